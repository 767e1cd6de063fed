"""Every key of the JSON files has a record."""

from collections.abc import Mapping

import numpy as np

from blockresearch.report.findings.record import Finding, as_records
from blockresearch.report.portal import entry
from blockresearch.tables.documents import FINDINGS, INDEX, ROW_FACTS, SUMMARY
from blockresearch.tokens.analysis import analyze_embedding, nothing, with_output
from tests.unit.tokens.samples import token, untrained_sample

OBJECTS = {column.name for column in (*SUMMARY, *INDEX) if column.type.startswith("object")}


def keys(value: Mapping, prefix: str = "") -> set[str]:
    """Names of all keys, those inside objects with a dot."""
    found = set()
    for key, inner in value.items():
        name = prefix + key
        is_object = isinstance(inner, Mapping) and name not in OBJECTS
        found |= keys(inner, f"{name}.") if is_object else {name}
    return found


def test_every_key_of_the_summary_has_a_record():
    rows, known = untrained_sample(n=400)
    tokens = [token(f"[unused{i}]") if k else token(f" w{i}") for i, k in enumerate(known)]
    analysis = analyze_embedding(rows.copy(), tokens, k_max=4, metric="euclidean")
    done = with_output(analysis, rows, tokens, np.ones(400)).summary
    names = {column.name for column in SUMMARY}
    added = {"reason", "output_reason", "output.mean_output_cosine", "provenance", "messages"}
    assert keys(done) | added == names
    facts = {column.name for column in ROW_FACTS} | {"mean_output_cosine"}
    assert keys(done["output"]) == facts
    assert keys(nothing("none").summary) == {"reason"}


def test_every_key_of_the_index_has_a_record(tmp_path):
    assert set(entry(tmp_path)) == {column.name for column in INDEX}


def test_every_key_of_the_findings_has_a_record():
    (record,) = as_records([Finding("rule", "values", "note", "text")])
    names = {f"findings.{name}" for name in record} | {"findings", "provenance"}
    assert names == {column.name for column in FINDINGS}
