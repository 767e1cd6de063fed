"""Revisions, listings and small files, with the real client against tests/tools/hub_server.py."""

import dataclasses
import hashlib
import os
import subprocess
import sys

import pytest

from blockresearch.hub.download import download
from blockresearch.hub.repository import list_files, read_small_file, read_start, resolve_commit
from blockresearch.hub.requests import HubError
from blockresearch.hub.transfer import RepoFile
from tests.unit.hub.conftest import (
    CONFIG,
    REPO,
    SHARD,
    WEIGHTS,
    gets,
    listed,
    put,
    restricted,
)


def test_revisions_become_commits(server):
    main, date = resolve_commit(REPO, "main")
    assert date == "2026-01-31T12:00:00Z"
    assert main == server.commit(server.root / REPO)
    assert resolve_commit(REPO, main).id == main
    assert resolve_commit(REPO, "v1.0").id == server.commit(server.root / f"{REPO}@v1.0")
    pull_request = server.commit(server.root / f"{REPO}@refs--pr--1")
    assert resolve_commit(REPO, "refs/pr/1").id == pull_request
    assert list_files(REPO, pull_request)[0].size == len(b'{"pr": 1}')


def test_listing_has_sizes_and_hashes(server):
    _, files = listed()
    assert list(files) == ["config.json", "extra/tokenizer.json", SHARD]
    sha256 = hashlib.sha256(WEIGHTS).hexdigest()
    assert files[SHARD] == RepoFile(SHARD, len(WEIGHTS), sha256, None)
    git = subprocess.run(["git", "hash-object", "--stdin"], input=CONFIG, capture_output=True)
    assert files["config.json"].git_sha1 == git.stdout.decode().strip()


def test_small_file(server):
    commit, files = listed()
    assert read_small_file(REPO, commit, files["config.json"]) == CONFIG
    server.fault("flip", path="config.json", times=2)
    with pytest.raises(HubError, match=r"config.json: the sha1 of the bytes sent is .* not"):
        read_small_file(REPO, commit, files["config.json"])
    with pytest.raises(HubError, match="500001 bytes but 1000 are the limit"):
        read_small_file(REPO, commit, files[SHARD], limit=1000)


def test_a_branch_that_moves_changes_no_commit(server, tmp_path):
    commit, files = listed()
    root = server.root / REPO
    root.rename(root.with_name("model@before"))
    put(root, {SHARD: bytes(len(WEIGHTS)), "config.json": b"{}"})
    assert resolve_commit(REPO, "main").id != commit
    assert list_files(REPO, commit) == list(files.values())
    download(REPO, commit, files[SHARD], tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == WEIGHTS
    assert read_small_file(REPO, commit, files["config.json"]) == CONFIG


@pytest.mark.parametrize("missing", ["size", "blobId", "rfilename"])
def test_a_mirror_without_sizes_or_hashes_is_refused(server, missing):
    # Files that cannot be verified are not fetched: the hashes of the listing are the only proof.
    entry = {"rfilename": "config.json", "size": 2, "blobId": "0" * 40}
    del entry[missing]
    commit = resolve_commit(REPO, "main").id
    server.answers["/revision/"] = {"id": REPO, "sha": commit, "siblings": [entry]}
    with pytest.raises(HubError, match=r"is not a Hugging Face hub; check HF_ENDPOINT"):
        list_files(REPO, commit)


def test_start_of_a_file(server):
    commit, files = listed()
    assert read_start(REPO, commit, files[SHARD], 8) == WEIGHTS[:8]
    assert gets(server)[0].range == "bytes=0-7" and gets(server)[0].sent == 8
    assert read_start(REPO, commit, files["config.json"], 999) == CONFIG
    server.fault("drop", path=SHARD, after=100)
    assert read_start(REPO, commit, files[SHARD], 1000) == WEIGHTS[:1000]
    longer = dataclasses.replace(files["config.json"], size=999)
    with pytest.raises(HubError, match="try again later"):
        read_start(REPO, commit, longer, 99)


def test_an_ignored_range_does_not_read_a_big_file(server):
    put(server.root / "org/big", {SHARD: bytes(30_000_000)})
    commit, files = listed("org/big")
    server.fault("ignore_range", path=SHARD)
    assert read_start("org/big", commit, files[SHARD], 100) == bytes(100)
    assert gets(server)[0].sent < 20_000_000  # the rest is what the sockets hold


def test_environment_of_a_new_process(server, tmp_path):
    restricted(server)
    code = (
        "from blockresearch.hub import repository as hub;"
        "commit = hub.resolve_commit('org/private', 'main').id;"
        "print(len(hub.list_files('org/private', commit)))"
    )
    home = {"HF_HOME": str(tmp_path / "home"), "HF_TOKEN": "hf_ok", "HF_ENDPOINT": server.url}
    environment = {**os.environ, **home}
    environment.pop("HF_HUB_CACHE", None)
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("1\n", "")
    assert len(server.requests) == 2 and all(r.authorized for r in server.requests)
    environment["HF_HUB_OFFLINE"] = "1"
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert f"is not in the cache {tmp_path}/home/hub and HF_HUB_OFFLINE" in result.stderr
    assert len(server.requests) == 2
