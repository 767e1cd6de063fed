"""Files on the disk: whole, verified, continued after a kill, or with exactly the ranges."""

import hashlib
import os
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from blockresearch.hub import download as hub_download
from blockresearch.hub import partial
from blockresearch.hub.download import download, download_ranges
from blockresearch.hub.requests import HubError
from tests.unit.hub.conftest import (
    REPO,
    SHARD,
    WEIGHTS,
    gets,
    left_behind,
    listed,
    put,
)


def test_a_download_is_verified_and_alone(server, tmp_path):
    commit, files = listed()
    seen = []
    target = tmp_path / "weights" / "a.safetensors"
    how = download(REPO, commit, files[SHARD], target, lambda *n: seen.append(n))
    assert how == "downloaded" and target.read_bytes() == WEIGHTS
    assert seen[-1] == (len(WEIGHTS), len(WEIGHTS))
    download(REPO, commit, files["extra/tokenizer.json"], tmp_path / "weights" / "t.json")
    assert sorted(os.listdir(tmp_path / "weights")) == ["a.safetensors", "t.json"]
    assert not (tmp_path / "cache").exists()


def test_a_later_call_continues(server, tmp_path):
    commit, files = listed()
    server.fault("drop", path=SHARD, after=300_000)
    server.fault("drop", path=SHARD, times=5, after=0)
    with pytest.raises(HubError, match="keeps breaking off"):
        download(REPO, commit, files[SHARD], tmp_path / "file")
    assert [path.stat().st_size for path in left_behind(tmp_path)] == [300_000]
    asked = len(gets(server))
    download(REPO, commit, files[SHARD], tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == WEIGHTS and not left_behind(tmp_path)
    assert [r.range for r in gets(server)[asked:]] == ["bytes=300000-500000"]


RANGES = [(0, 1000), (200_000, 300_001), (500_000, 500_001)]


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_a_killed_download_loses_no_bytes(server, tmp_path, kills):
    step, lost = 300_000, 2 * 65_536  # bytes: between two kills, and on the way at a kill
    weights = random.Random(kills).randbytes(step * (kills + 1))
    put(server.root / "org/big", {SHARD: weights})
    commit, files = listed("org/big")
    code = (
        "import sys; from pathlib import Path; from blockresearch.hub import download as hub;"
        f"hub.download('org/big', {commit!r}, hub.{files[SHARD]!r}, Path(sys.argv[1]))"
    )
    environment = os.environ | {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "home")}
    target, received = tmp_path / "out" / "file", 0
    for after in range(step, step * kills + 1, step):
        server.fault("stall", path=SHARD, after=after - received, seconds=99)
        process = subprocess.Popen([sys.executable, "-c", code, str(target)], env=environment)
        while received < after - lost and process.poll() is None:
            time.sleep(0.02)
            received = sum(path.stat().st_size for path in left_behind(target.parent))
        process.kill()
        assert process.wait() == -9 and not target.exists()
        received = sum(path.stat().st_size for path in left_behind(target.parent))
    download("org/big", commit, files[SHARD], target)
    assert target.read_bytes() == weights and os.listdir(target.parent) == ["file"]
    assert gets(server)[-1].range == f"bytes={received}-{len(weights) - 1}"
    assert sum(r.sent for r in gets(server)) <= len(weights) + kills * lost


def test_downloads_of_one_file_at_once_end_well(server, tmp_path):
    commit, files = listed()
    server.fault("drop", path=SHARD, times=8, after=100_000)
    target = tmp_path / "out" / "file"
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(download, REPO, commit, files[SHARD], target) for _ in range(8)]
        assert {call.result() for call in calls} == {"downloaded"}
    assert target.read_bytes() == WEIGHTS and os.listdir(target.parent) == ["file"]


@pytest.mark.parametrize("length", [200_000, len(WEIGHTS), len(WEIGHTS) + 9])
def test_a_spoilt_partial_costs_a_new_start(server, tmp_path, length):
    commit, files = listed()
    partial.partial_path(tmp_path, files[SHARD].sha256[:16]).write_bytes(bytes(length))
    download(REPO, commit, files[SHARD], tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == WEIGHTS and not left_behind(tmp_path)
    assert gets(server)[-1].sent == len(WEIGHTS)


def test_files_by_xet_are_verified_too(server, tmp_path, monkeypatch):
    monkeypatch.setattr(hub_download, "XET_FROM_BYTES", 1000)
    commit, files = listed()
    target = tmp_path / "weights" / SHARD
    assert download(REPO, commit, files[SHARD], target) == "downloaded"
    assert target.read_bytes() == WEIGHTS
    target.unlink()
    server.fault("flip", path=SHARD)
    with pytest.raises(HubError, match="are not those that the hub lists"):
        download(REPO, commit, files[SHARD], target)
    assert os.listdir(target.parent) == []


def fetch(target):
    commit, files = listed()
    assert files[SHARD].sha256 == hashlib.sha256(WEIGHTS).hexdigest()
    download_ranges(REPO, commit, files[SHARD], RANGES, target)


def test_a_file_with_holes_has_the_ranges_alone(server, tmp_path):
    server.fault("drop", path=SHARD, after=50_000)
    fetch(tmp_path / "here/file")
    expected = bytearray(len(WEIGHTS))
    for begin, end in RANGES:
        expected[begin:end] = WEIGHTS[begin:end]
    assert (tmp_path / "here/file").read_bytes() == expected
    sent = sum(request.sent for request in server.requests if request.cdn)
    assert sent == sum(end - begin for begin, end in RANGES)
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["file"]
    server.fault("ignore_range", path=SHARD, times=3)
    fetch(tmp_path / "here/file")
    assert (tmp_path / "here/file").read_bytes() == expected


def test_ranges_that_break_off_leave_nothing(server, tmp_path):
    server.fault("short", path=SHARD, times=10, after=10)
    with pytest.raises(HubError, match="keeps breaking off"):
        fetch(tmp_path / "file")
    assert not [path for path in tmp_path.iterdir() if path.name not in ("root", "cache")]
