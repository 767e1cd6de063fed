import pyarrow.parquet as pq
import pytest

from blockresearch.store.partitions import StoreError
from blockresearch.store.summaries import SUMMARIES, replace, summaries
from blockresearch.summary import Summary

ONE = Summary("a@1", "a", 7, {"numbers": {"layers": "3", "bytes": 10**15, "k": 0.1}}, {"error": 1})

OTHER = Summary("b@1", "b", 8, {"depth": [{"label": "Ä", "std": [None, 0.5]}]}, {})


def test_summaries_come_back_as_they_were(tmp_path):
    replace(tmp_path, [OTHER])
    replace(tmp_path, [ONE])
    assert summaries(tmp_path) == [ONE, OTHER]


def test_a_model_has_one_summary_or_none(tmp_path):
    replace(tmp_path, [ONE, OTHER])
    replace(tmp_path, [ONE], gone=["b@1"])
    assert summaries(tmp_path) == [ONE]


def test_without_a_store_there_are_none(tmp_path):
    assert summaries(tmp_path / "store") == []


def test_a_damaged_file_has_one_sentence(tmp_path):
    replace(tmp_path, [ONE])
    table = pq.read_table(tmp_path / SUMMARIES)
    pq.write_table(table.set_column(3, "comparison", table["model"]), tmp_path / SUMMARIES)
    with pytest.raises(StoreError, match="is damaged"):
        summaries(tmp_path)
