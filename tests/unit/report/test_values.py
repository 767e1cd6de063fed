"""Sums and tables of the report on values."""

import pytest

from blockresearch.report.values import coverage_table, information_table, largest_weights
from blockresearch.tables.io import frame


def test_information_sums_the_ideal_saving():
    rows = [
        {"block_type": "q_proj", "numel": 300, "dtype": "BF16", "entropy_bits": 8.0},
        {"block_type": "norm", "numel": 100, "dtype": "BF16", "entropy_bits": 16.0},
        {"block_type": "norm", "numel": 100, "dtype": "F32"},
    ]
    table = information_table(frame(rows, "params")).set_index("block_type")
    assert list(table.index) == ["q_proj", "norm", "all of these"]
    assert table.loc["all of these", "entropy_bits"] == 10
    assert table.loc["all of these", "saving"] == pytest.approx(1 - 10 / 16)
    assert table.loc["all of these", "nbytes"] == 400 * 10 / 8
    assert information_table(frame([], "params")).empty


def test_largest_weights_say_where_they_are():
    rows = [
        {"param_name": "a", "max_over_rms": 3.0, "top_values": [1.0], "top_rows": [4]},
        {"param_name": "b", "slice": "k_proj", "max_over_rms": 9.0, "top_values": [-5.0, 1.0]},
        {"param_name": "c"},
    ]
    table = largest_weights(frame(rows, "matrices"))
    assert list(table["matrix"]) == ["b k_proj", "a"]
    assert table["top_value"].iloc[0] == -5.0 and table["top_row"].iloc[1] == 4


def test_statuses_are_words_for_readers():
    rows = [{"status": status, "numel": 2} for status in ("analysed", "analysed", None, "buffer")]
    table = coverage_table(frame(rows, "coverage"))
    assert list(table["status"]) == ["analyzed", "buffer", "unknown"]
    assert list(table["numel"]) == [4, 2, 2]
