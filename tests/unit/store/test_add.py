import shutil

import pyarrow.parquet as pq
import pytest

from blockresearch.files import read_json, write_json
from blockresearch.results import TABLES
from blockresearch.store.add import add, models_in
from blockresearch.store.partitions import MODELS, StoreError
from blockresearch.store.summaries import SUMMARIES
from tests.tools.results_folder import results_folder

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folder(analyzed, tmp_path):
    return results_folder(
        tmp_path / "results", analyzed[0], "Org--M", model_id="Org/M", commit=COMMIT
    )


def files(store):
    return sorted(str(path.relative_to(store)) for path in store.rglob("*.parquet"))


def test_a_model_is_one_partition_per_table(folder, tmp_path):
    [added] = add([folder], tmp_path / "store")
    assert added.key == "Org--M@0123456789ab"
    place = f"schema=1/model={added.key}/data.parquet"
    # Histograms are large and were not requested.
    tables = ("audit", "coverage", "findings", "layers", "matrices", "params", "spectra")
    partitions = [f"{name}/{place}" for name in tables]
    assert files(tmp_path / "store") == sorted([*partitions, MODELS, SUMMARIES])
    found = pq.read_table(tmp_path / "store" / "matrices" / place)
    assert set(found["model"].to_pylist()) == {added.key}
    assert found.drop(["model"]).equals(pq.read_table(folder / TABLES["matrices"]).drop(["model"]))
    [row] = pq.read_table(tmp_path / "store" / MODELS).to_pylist()
    assert row["model_id"] == "Org/M" and row["stable_rank"] == 3.0 and row["layers"] == "3"
    assert row["tool"] == "AI Block Research 9.9" and len(row["files"]) == 7


def test_adding_again_changes_nothing(folder, tmp_path):
    store = tmp_path / "store"
    add([folder], store)
    before = {path: (store / path).read_bytes() for path in files(store)}
    add([folder], store)
    assert before == {path: (store / path).read_bytes() for path in files(store)}


def test_a_table_that_is_gone_leaves_the_store(folder, tmp_path):
    store = tmp_path / "store"
    add([folder], store, ["histograms"])
    assert any("histograms" in path for path in files(store))
    add([folder], store)
    assert not any("histograms" in path for path in files(store))


def test_changed_weights_are_another_model(analyzed, tmp_path):
    """A local folder has no commit, so the hashes of its files name it."""
    one = results_folder(tmp_path / "a", analyzed[0], "local--m")
    other = results_folder(tmp_path / "b", analyzed[0], "local--m")
    manifest = read_json(other / "manifest.json")
    manifest["files"][0]["sha256"] = "0" * 64
    write_json(manifest, other / "manifest.json")
    keys = [added.key for added in add([one, other], tmp_path / "store")]
    assert len(set(keys)) == 2 and all(key.startswith("local--m@") for key in keys)


def test_incomplete_results_are_refused(folder, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    (broken / "findings.json").unlink()
    with pytest.raises(StoreError, match="has no complete results"):
        add([folder, broken], tmp_path / "store")
    # What came before it is in the list.
    assert pq.read_table(tmp_path / "store" / MODELS).num_rows == 1


def test_an_unknown_table_is_refused(folder, tmp_path):
    with pytest.raises(StoreError, match="no table nope: there are params"):
        add([folder], tmp_path / "store", ["nope"])
    assert not (tmp_path / "store").exists()


def test_a_folder_of_results_is_all_its_models(folder, tmp_path):
    results = folder.parent
    (results / "benchmarks").mkdir()
    (results / "index.html").touch()
    begun = results / "begun"
    begun.mkdir()
    shutil.copy(folder / "manifest.json", begun)
    rest = [results / "begun", results / "benchmarks", results / "index.html"]
    assert models_in([results]) == models_in(sorted(results.iterdir())) == ([folder], rest)
    with pytest.raises(StoreError, match="benchmarks has no complete results"):
        models_in([results / "benchmarks"])
    with pytest.raises(StoreError, match="typo does not exist"):
        models_in([folder, results / "typo"])
    with pytest.raises(StoreError, match="begun has no complete results"):
        models_in([begun])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with pytest.raises(StoreError, match="elsewhere has no complete results"):
        models_in([folder, elsewhere])
