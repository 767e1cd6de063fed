import pyarrow.parquet as pq
import pytest

from blockresearch.store.add import add
from blockresearch.store.partitions import MODELS, StoreError
from blockresearch.store.query import ask, connect
from blockresearch.store.remove import remove
from blockresearch.store.summaries import summaries
from tests.tools.results_folder import results_folder


@pytest.fixture
def store(analyzed, tmp_path):
    for name in "ab":
        add([results_folder(tmp_path / "r", analyzed[0], name, commit=name * 40)], tmp_path / "s")
    return tmp_path / "s"


def test_the_others_stay(store):
    gone = remove(["a@aaaaaaaaaaaa"], store)
    assert gone and not any(path.parent.exists() for path in gone)
    assert [one.model for one in summaries(store)] == ["b@bbbbbbbbbbbb"]
    found = ask(connect(str(store)), "select distinct model from params")
    assert found["model"].to_pylist() == pq.read_table(store / MODELS)["model"].to_pylist()
    assert found.num_rows == 1


def test_an_unknown_model_removes_nothing(store):
    with pytest.raises(StoreError, match="no model nope: `blockresearch store list`"):
        remove(["a@aaaaaaaaaaaa", "nope"], store)
    assert len(summaries(store)) == 2


def test_an_emptied_store_can_be_added_to(store, analyzed, tmp_path):
    remove(["a@aaaaaaaaaaaa", "b@bbbbbbbbbbbb"], store)
    assert ask(connect(str(store)), "select * from models").num_rows == 0
    add([tmp_path / "r/a"], store)
    assert [one.model for one in summaries(store)] == ["a@aaaaaaaaaaaa"]


def test_without_a_store_there_is_one_sentence(tmp_path):
    with pytest.raises(StoreError, match="there is no store"):
        remove(["a"], tmp_path / "none")
    assert not (tmp_path / "none").exists()
