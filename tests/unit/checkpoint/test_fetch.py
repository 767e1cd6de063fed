"""Free space is asked for before anything is downloaded."""

import shutil
from collections import namedtuple

import pytest

from blockresearch.checkpoint import fetch
from blockresearch.checkpoint.fetch import DownloadError, check_space, file_of_key
from blockresearch.checkpoint.manifest import Manifest, SourceFile, Totals
from blockresearch.hub.partial import partial_path

MANIFEST = Manifest(
    model="org/model",
    model_id="org/model",
    model_path="org/model",
    revision="main",
    commit="c" * 40,
    created_at="2026-01-01T00:00:00Z",
    files=tuple(
        SourceFile(f"{n}.safetensors", "shard", 10**9, sha256=n * 64, git_sha1=None) for n in "ab"
    ),
    skipped={},
    tensors=(),
    problems=(),
    config={},
    license=None,
    adapter=None,
    index={},
    embedding=None,
    output=None,
    tied=None,
    totals=Totals(0, 0, 0, 0, 0),
)


@pytest.fixture
def free(monkeypatch):
    def set_free(size):
        usage = namedtuple("usage", "free")(size)
        monkeypatch.setattr(shutil, "disk_usage", lambda place: usage)

    monkeypatch.setattr(fetch, "cached_file", lambda *arguments: None)
    return set_free


def test_a_model_too_large_for_the_disk_is_refused(free, tmp_path):
    free(2 * 10**9)
    with pytest.raises(DownloadError, match=r"needs 2\.0 GB .* has 2\.0 GB free"):
        check_space(MANIFEST, tmp_path)


def test_what_is_there_already_needs_no_space(free, tmp_path):
    (tmp_path / ("a" * 12)).mkdir()
    (tmp_path / ("a" * 12) / "a.safetensors").touch()
    free(15 * 10**8)
    check_space(MANIFEST, tmp_path)


def test_received_bytes_need_no_more_space(free, tmp_path):
    (tmp_path / ("b" * 12)).mkdir()
    with partial_path(tmp_path / ("b" * 12), "b" * 16).open("wb") as partial:
        partial.truncate(9 * 10**8)
    free(15 * 10**8)
    check_space(MANIFEST, tmp_path)


def test_files_are_found_by_the_start_of_their_hash():
    assert file_of_key(MANIFEST, "b" * 12).path == "b.safetensors"
    with pytest.raises(DownloadError, match="ffff"):
        file_of_key(MANIFEST, "f" * 12)
