"""Each row of the tables of names against its example."""

import pytest

from blockresearch.naming.patterns import BLOCKS, BUFFERS, COMPONENTS, FALLBACKS, ZONES
from blockresearch.naming.template import find_block, split, take_apart
from tests.unit.naming.test_roles import role


@pytest.mark.parametrize("row", BLOCKS + FALLBACKS, ids=lambda row: row.example)
def test_block_row_matches_its_example(row):
    assert row.zones <= set(ZONES)
    template = take_apart(split(row.example)[0])
    found, _ = find_block(template.path)
    assert found is row


@pytest.mark.parametrize("row", COMPONENTS, ids=lambda row: row.words)
def test_component_row_matches_its_example(row):
    assert role(row.example).component == row.name


@pytest.mark.parametrize("row", BUFFERS, ids=lambda row: row.words)
def test_buffer_row_matches_its_example(row):
    assert role(row.example, shape=(2,) * (row.ndim or 1)).is_buffer
