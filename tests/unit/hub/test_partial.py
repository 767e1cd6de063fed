"""Partial files: continued by the next process, never taken from a living one."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

from blockresearch.hub import partial
from blockresearch.hub.download import download
from tests.unit.hub.conftest import (
    REPO,
    SHARD,
    WEIGHTS,
    gets,
    left_behind,
    listed,
    put,
)


def test_living_and_foreign_partials_are_left_alone(server, tmp_path):
    commit, files = listed()
    key = files[SHARD].sha256[:16]
    away = tmp_path / f".partial-{key}-elsewhere"
    away.write_bytes(WEIGHTS[:5])
    with partial.partial_file(tmp_path, key) as living:
        living.stream.write(WEIGHTS[:7])
        living.stream.flush()
        download(REPO, commit, files[SHARD], tmp_path / "file")
        assert left_behind(tmp_path) == sorted([living.path, away])
    assert [r.range for r in gets(server)] == [None]
    with partial.partial_file(tmp_path, key) as taken:
        taken.stream.seek(0)
        assert taken.stream.read() == WEIGHTS[:7], "its writer has ended"


def test_a_new_partial_is_never_taken(tmp_path):
    def write() -> None:
        with partial.partial_file(tmp_path, "key") as mine:
            mine.stream.write(b"x")
            mine.stream.flush()
            os.replace(mine.path, tmp_path / "file")

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            for call in [pool.submit(write) for _ in range(500)]:
                call.result()
    finally:
        sys.setswitchinterval(interval)
    assert os.listdir(tmp_path) == ["file"]


def test_abandoned_partials_are_removed(server, tmp_path):
    commit, files = listed()
    for name, age in {"old": 2 * partial.ABANDONED_SECONDS, "new": 0}.items():
        put(tmp_path, {f".partial-0123-{name}": b"part", f".partial-{name}/file": b"part"})
        for path in (*tmp_path.glob(f".partial-*{name}/file"), *tmp_path.glob(f".partial-*{name}")):
            then = path.stat().st_mtime - age
            os.utime(path, (then, then))
    download(REPO, commit, files[SHARD], tmp_path / "file")
    left = sorted(path.name for path in tmp_path.glob(".partial-*"))
    assert left == [".partial-0123-new", ".partial-new"]
