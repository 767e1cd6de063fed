"""Findings as records."""

import json

from blockresearch.report.findings.record import (
    Finding,
    Place,
    as_records,
    from_records,
    leading,
    place_of,
    ranked,
)
from blockresearch.tables.io import frame


def test_records_survive_json():
    place = Place("w", "[3].gate_proj", 4, 5)
    found = [Finding("a", "values", "note", "text", (place,), "matrices.std", 1.0, None, "why")]
    assert from_records(json.loads(json.dumps(as_records(found)))) == found
    assert place.weight == "w [3].gate_proj[4, 5]"


def test_the_most_severe_come_first():
    found = [Finding(name, "values", name, "") for name in ("note", "warning", "notable")]
    assert [finding.id for finding in ranked(found)] == ["warning", "notable", "note"]


def test_warnings_lead_then_each_topic():
    shown = [("warning", "a"), ("warning", "a"), ("notable", "a"), ("notable", "b"), ("note", "c")]
    found = [Finding(f"{n}", topic, severity, "") for n, (severity, topic) in enumerate(shown)]
    assert [finding.id for finding in leading(found, 4)] == ["0", "1", "3", "4"]
    assert [finding.id for finding in leading(found[2:3], 4)] == ["2"]


def test_places_have_row_and_column():
    rows = [
        {"param_name": "a", "slice": "k_proj", "top_rows": [62, 1], "top_cols": [490, 2]},
        {"param_name": "b"},
    ]
    first, second = (row for _, row in frame(rows, "matrices").iterrows())
    assert place_of(first, True) == Place("a", "k_proj", 62, 490)
    assert place_of(first) == Place("a", "k_proj")
    assert place_of(second, True) == Place("b")
