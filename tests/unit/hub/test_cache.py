"""The user's cache: used in place, verified, never changed, enough when offline."""

import os
from pathlib import Path

import pytest
from huggingface_hub import constants, hf_hub_download

from blockresearch.hub.cache import cached_file
from blockresearch.hub.download import download
from blockresearch.hub.repository import list_files, read_small_file, read_start, resolve_commit
from blockresearch.hub.requests import HubError
from blockresearch.hub.transfer import RepoFile
from tests.unit.hub.conftest import CONFIG, REPO, SHARD, WEIGHTS, listed, put


def test_a_cached_file_is_used_in_place(server, tmp_path):
    commit, files = listed()
    blob = Path(hf_hub_download(REPO, SHARD, revision=commit)).resolve()
    hf_hub_download(REPO, "config.json", revision=commit)
    asked = len(server.requests)
    target = tmp_path / "weights" / SHARD
    assert cached_file(REPO, commit, files[SHARD]) == blob
    assert download(REPO, commit, files[SHARD], target) == "linked from cache"
    assert target.is_symlink() and target.resolve() == blob
    assert read_small_file(REPO, commit, files["config.json"]) == CONFIG
    assert read_start(REPO, commit, files[SHARD], 16) == WEIGHTS[:16]
    assert len(server.requests) == asked

    put(server.root / REPO, {"README.md": b"another commit with the same weights"})
    commit, files = listed()
    asked = len(server.requests)
    assert download(REPO, commit, files[SHARD], target) == "linked from cache"
    assert len(server.requests) == asked


def test_a_cached_file_is_copied_without_links(server, tmp_path, monkeypatch):
    commit, files = listed()
    hf_hub_download(REPO, SHARD, revision=commit)

    def refuse(*_):
        raise OSError("not permitted")

    monkeypatch.setattr(os, "symlink", refuse)
    monkeypatch.setattr(os, "link", refuse)
    target = tmp_path / "weights" / SHARD
    assert download(REPO, commit, files[SHARD], target) == "copied from cache"
    assert not target.is_symlink() and target.read_bytes() == WEIGHTS


def test_nothing_in_the_cache_is_changed(server, tmp_path):
    commit, files = listed()
    hf_hub_download(REPO, SHARD, revision=commit)
    hf_hub_download(REPO, "config.json", revision=commit)
    cache = tmp_path / "cache"

    def state():
        return {
            path: (
                path.is_symlink() or path.is_dir() or path.read_bytes(),
                path.lstat().st_mtime_ns,
            )
            for path in [cache, *cache.rglob("*")]
        }

    before = state()
    for name in files:
        download(REPO, commit, files[name], tmp_path / "weights" / name)
        (tmp_path / "weights" / name).unlink()
    read_small_file(REPO, commit, files["config.json"])
    read_small_file(REPO, commit, files["extra/tokenizer.json"])
    assert state() == before


@pytest.mark.parametrize("damage", [b"", bytes(len(WEIGHTS))])
def test_a_damaged_cache_is_not_used_nor_touched(server, tmp_path, damage):
    commit, files = listed()
    blob = Path(hf_hub_download(REPO, SHARD, revision=commit)).resolve()
    blob.write_bytes(damage)
    target = tmp_path / "weights" / SHARD
    assert download(REPO, commit, files[SHARD], target) == "downloaded"
    assert target.read_bytes() == WEIGHTS and blob.read_bytes() == damage


def test_offline_uses_the_cache_alone(server, tmp_path, monkeypatch):
    commit, files = listed()
    for name in ("config.json", "extra/tokenizer.json", SHARD):
        hf_hub_download(REPO, name)  # at main, so that the cache remembers what main is
    asked = len(server.requests)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert resolve_commit(REPO, "main") == resolve_commit(REPO, commit) == (commit, None)
    assert list_files(REPO, commit) == list(files.values())
    assert download(REPO, commit, files[SHARD], tmp_path / "file") == "linked from cache"
    for call in (
        lambda: resolve_commit(REPO, "v1.0"),
        lambda: resolve_commit("org/other", "main"),
        lambda: list_files(REPO, "0" * 40),
        lambda: read_start(REPO, commit, RepoFile("other", 9, None, None), 8),
    ):
        with pytest.raises(HubError, match=r"is not in the cache .* HF_HUB_OFFLINE"):
            call()
    assert len(server.requests) == asked
