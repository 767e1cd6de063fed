"""Bytes over broken connections: each received once, in its place, and verified."""

import dataclasses
import os

import pytest
from huggingface_hub import constants

from blockresearch.hub import requests, transfer
from blockresearch.hub.download import download, download_ranges
from blockresearch.hub.requests import HubError
from blockresearch.hub.transfer import is_intact
from tests.unit.hub.conftest import (
    REPO,
    SHARD,
    WEIGHTS,
    gets,
    listed,
)


@pytest.mark.parametrize("name", [SHARD, "config.json"])
def test_wrong_bytes_are_refused_at_the_second_try(server, tmp_path, name):
    commit, files = listed()
    target = tmp_path / "out" / "file"
    server.fault("flip", path=name, times=2, after=7)
    with pytest.raises(HubError, match=r"of the bytes sent is [0-9a-f]{12}… and not [0-9a-f]{12}"):
        download(REPO, commit, files[name], target)
    assert os.listdir(target.parent) == []
    server.fault("flip", path=name, times=1, after=7)
    download(REPO, commit, files[name], target)
    assert is_intact(target, files[name])


@pytest.mark.parametrize("kind", ["drop", "reset", "short"])
def test_a_broken_transfer_continues(server, tmp_path, kind):
    commit, files = listed()
    server.fault(kind, path=SHARD, after=400_000)
    download(REPO, commit, files[SHARD], tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == WEIGHTS
    first, second = gets(server)
    assert first.range is None and second.range is not None
    start, end = map(int, second.range.removeprefix("bytes=").split("-"))
    assert end == len(WEIGHTS) - 1
    assert second.sent == len(WEIGHTS) - start
    if kind != "reset":  # a reset may discard what the client has not read yet
        assert start == 400_000


def test_a_stalled_transfer_continues(server, tmp_path, monkeypatch):
    monkeypatch.setattr(requests, "TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    commit, files = listed()
    server.fault("stall", path=SHARD, after=1000, seconds=60)
    download(REPO, commit, files[SHARD], tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == WEIGHTS
    # A client that waited would receive the rest by the first request.
    assert gets(server)[1].range == "bytes=1000-500000"


def test_ignored_range_restarts_the_file(server, tmp_path):
    commit, files = listed()
    server.fault("drop", path=SHARD, after=300_000)
    server.fault("ignore_range", path=SHARD)
    download(REPO, commit, files[SHARD], tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == WEIGHTS
    assert [r.sent for r in gets(server)] == [300_000, len(WEIGHTS)]


def test_a_file_that_changes_is_not_mixed(server, tmp_path):
    commit, files = listed()
    source = server.root / REPO / SHARD
    changed = bytes(len(WEIGHTS))
    server.fault("drop", path=SHARD, after=300_000)

    def change(received, total):
        if received == 300_000:
            source.write_bytes(changed)
            # the old commit stays the one that is asked for
            server.folder = lambda repo, revision: server.root / repo

    with pytest.raises(HubError, match="the hub now has another file there"):
        download(REPO, commit, files[SHARD], tmp_path / "file", change)
    assert not (tmp_path / "file").exists()


def test_tries_without_progress_are_counted(server, tmp_path):
    commit, files = listed()
    server.fault("drop", path=SHARD, times=99, after=0)
    with pytest.raises(HubError, match=r"keeps breaking off at org/model@[0-9a-f]{12} mod"):
        download(REPO, commit, files[SHARD], tmp_path / "out" / "file")
    assert len(gets(server)) == 6
    assert os.listdir(tmp_path / "out") == []


def test_progress_renews_the_tries(server, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "PROGRESS_BYTES", 50_000)
    commit, files = listed()
    server.fault("drop", path=SHARD, times=9, after=50_000)
    download(REPO, commit, files[SHARD], tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == WEIGHTS
    assert sum(r.sent for r in gets(server)) == len(WEIGHTS)


def test_another_part_or_file_is_refused(server, tmp_path):
    commit, files = listed()
    for other, reason in {
        "sha256": ("0" * 64, "has another file there"),
        "size": (len(WEIGHTS) + 1, "sends bytes 0-999/500001"),
    }.items():
        value, said = reason
        file = dataclasses.replace(files[SHARD], **{other: value})
        with pytest.raises(HubError, match=said):
            download_ranges(REPO, commit, file, [(0, 1000)], tmp_path / "file")
