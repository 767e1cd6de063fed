"""Files that are downloaded while they are read, and ranges of those that hold companions."""

from dataclasses import replace

import pytest

from blockresearch.checkpoint import borrow
from blockresearch.checkpoint.describe import describe_folder
from blockresearch.checkpoint.plan import make_plan


@pytest.fixture
def manifest(model):
    return describe_folder(str(model), "2026-01-01T00:00:00Z")


@pytest.fixture
def on_hub(manifest, monkeypatch):
    """The same model as if on the hub, and the names of the files that are fetched."""
    fetched = []

    def fetch(_, file, place):
        if len(fetched) == 3:
            raise ValueError("the connection is gone")
        fetched.append(file.path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(file.path)

    monkeypatch.setattr(borrow, "fetch", fetch)
    return replace(manifest, model_id="org/model", commit="0" * 40), fetched


def test_what_is_in_place_is_read_there_and_stays(manifest, model, tmp_path):
    weights = tmp_path / "weights"
    with borrow.borrowed(manifest, manifest.shards, weights, weights / "job") as places:
        assert places == {file.path: model / file.path for file in manifest.shards}
    assert all(place.exists() for place in places.values()) and not weights.exists()


@pytest.mark.parametrize("fails", [False, True])
def test_what_was_downloaded_is_deleted(on_hub, tmp_path, fails):
    (manifest, _), weights = on_hub, tmp_path / "weights"
    kept = manifest.path_of(manifest.shards[0].path, weights)
    kept.parent.mkdir(parents=True)
    kept.touch()
    folder = borrow.job_folder(weights, tmp_path / "manifest.json", "00001")
    try:
        with borrow.borrowed(manifest, manifest.shards, weights, folder) as places:
            assert places[manifest.shards[0].path] == kept
            assert places[manifest.shards[1].path].read_text() == manifest.shards[1].path
            if fails:
                raise ValueError
    except ValueError:
        assert fails
    assert [path for path in weights.rglob("*") if path.is_file()] == [kept]


def test_what_arrived_before_a_failure_stays(on_hub, tmp_path):
    manifest, fetched = on_hub
    fetched += ["earlier", "earlier"]
    with (
        pytest.raises(ValueError, match="gone"),
        borrow.borrowed(manifest, manifest.shards, tmp_path, tmp_path / "job"),
    ):
        pass
    fetched.clear()
    with borrow.borrowed(manifest, manifest.shards, tmp_path, tmp_path / "job") as places:
        assert all(place.read_text() == name for name, place in places.items())
    assert fetched == [manifest.shards[1].path] and not (tmp_path / "job").exists()


def test_companions_in_another_shard_come_as_ranges(manifest):
    first, *_ = make_plan(manifest)
    own, other = manifest.shards
    assert borrow.shards_of(manifest, [first]) == [own]
    scale, far = [tensor for tensor in manifest.tensors if tensor.shard == other.path][:2]
    weight = replace(first.weights[0], companions={"scale": scale, "zeros": far})
    sources = borrow.shards_of(manifest, [replace(first, weights=(weight,))])
    assert sources[0] == own and sources[1].path == other.path
    assert sources[1].key != other.key
    begin = min(t.begin for t in manifest.tensors if t.shard == other.path)
    wanted = {*range(begin), *range(scale.begin, scale.end), *range(far.begin, far.end)}
    assert wanted == {byte for b, e in sources[1].ranges for byte in range(b, e)}
