"""Notebooks are stored clean, and their cells escape what they show."""

import json
from types import SimpleNamespace

import nbformat
import pandas as pd
import pytest

from blockresearch.report.findings.record import Finding, Place
from blockresearch.report.notebook_cells import (
    Picture,
    cluster_cards,
    explain,
    facts,
    lead,
    output_sentence,
    table,
)
from blockresearch.report.wording import number
from blockresearch.results import ON_DEMAND, REPORTS
from tests.conftest import ROOT

NAMES = list(REPORTS | ON_DEMAND)
FOUND = Finding("rule", "values", "note", "in <b>w</b>", (Place("<b>w</b>"), Place("x'y")))
HOSTILE = ["<img src=x onerror=alert(1)>", "$x$", "\u202eabc\x07", "</td><script>1</script>"]


@pytest.mark.parametrize("name", NAMES)
def test_notebooks_are_stored_without_outputs(name):
    notebook = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
    nbformat.validate(nbformat.from_dict(notebook))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)
    assert [cell["metadata"] for cell in code].count({"tags": ["parameters"]}) == 1
    assert "model_dir" in "".join(code[0]["source"])
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}


def test_tables_escape_everything():
    data = pd.DataFrame({"name": HOSTILE, "value": [1.0, None, 3.0, 4.0]})
    columns = {"name": (HOSTILE[0], None), "value": ("value", number)}
    html = table(data, columns, HOSTILE[3]).html
    html += lead(HOSTILE[0], [FOUND, *HOSTILE]).html + facts([(HOSTILE[0], HOSTILE[3])]).html
    assert "<img" not in html and "<script" not in html and "<b>" not in html
    assert 'href="../index.html#tensor=%3Cb%3Ew%3C/b%3E">&lt;b&gt;w&lt;/b&gt;</a>' in html
    assert "\u202e" not in html and "\x07" not in html and "\\u202eabc\\x07" in html
    assert "$x$" in html and "<td>–</td>" in html


def test_pictures_carry_their_caption():
    data, about = Picture(b"png", "what one sees", 10, 20)._repr_mimebundle_()
    assert set(data) == {"image/png", "text/plain"}
    assert about["image/png"] == {"alt": "what one sees", "width": 10, "height": 20}


def test_cluster_cards_escape_tokens():
    row = {name: None for name in ("categories", "scripts", "leading_space")}
    row |= {"cluster": 0, "size": 4, "typical_tokens": "  ".join(HOSTILE), "central_tokens": "x"}
    html = cluster_cards(pd.DataFrame([row])).html
    assert "<img" not in html and "<script" not in html and "\u202e" not in html
    assert html.count("<bdi>") == 5 and "<bdi>$x$</bdi>" in html


def test_findings_that_are_missing_show_nothing(capsys):
    explain(SimpleNamespace(findings=[]), "twin_tables")
    assert capsys.readouterr().out == ""


def test_the_output_layer_is_named_for_what_it_is():
    manifest = {"output": None, "tied": True, "config": {"tie_word_embeddings": True}}
    assert output_sentence(manifest, {}).startswith("The output layer is the token embed")
    assert "no separate one is stored" in output_sentence(manifest | {"config": {}}, {})
    none = output_sentence(manifest | {"tied": None}, {})
    assert none == "The checkpoint stores no output layer over tokens."
    own = manifest | {"output": "lm_head.weight", "tied": False}
    text = "The output layer is a separate matrix, lm_head.weight."
    assert output_sentence(own, {"output": {}, "output_reason": None}) == text
    reason = {"output": None, "output_reason": "It has 3 rows."}
    assert output_sentence(own, reason) == f"{text} It has 3 rows."
