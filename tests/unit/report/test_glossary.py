"""The glossary: every column, block type and anchor."""

import re
from html import unescape

from blockresearch.report import blocks, comparison, glossary, model_page
from blockresearch.tables.columns import (
    SCHEMAS,
)


def test_the_glossary_has_every_column_and_anchor():
    html = glossary.page({})
    anchors = set(re.findall('id="(.*?)"', html))
    for table, schema in SCHEMAS.items():
        assert {glossary.anchor(table, column.name) for column in schema.columns} <= anchors
    assert "Σ<sub>σ &gt; t</sub> σ / Σ<sub>σ ≤ t</sub> σ / σ₁" in html and "_{" not in html
    assert {row.anchor for row in comparison.ROWS} - {""} <= anchors
    assert {glossary.anchor("params", name) for name in model_page.COLUMNS} <= anchors


def test_numbers_of_circuits_have_formula_and_source():
    html = glossary.page({})
    circuits = [name for name, schema in SCHEMAS.items() if schema.files.startswith("circuits/")]
    assert len(circuits) == 8
    for table in circuits:
        for column in SCHEMAS[table].columns:
            anchor = f'id="{glossary.anchor(table, column.name)}"'
            entry = html.partition(anchor)[2].partition("<dt ")[0]
            if column.type in ("number", "numbers"):
                assert '<span class="formula">' in entry and "Accuracy:" in entry, column.name
            assert column.source in unescape(entry), column.name


def test_block_types_have_a_color_and_a_definition():
    assert set(glossary.BLOCK_TYPES) == set(blocks.BLOCKS)
