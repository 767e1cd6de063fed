"""Hashes are remembered, and never those of other bytes."""

import hashlib
import os
import time

import pytest

from blockresearch.checkpoint import hashes


@pytest.fixture
def shard(tmp_path, monkeypatch):
    """A file that has lain there for a while, and the lines that tell when it is hashed."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(hashes, "MIN_BYTES", 8)
    monkeypatch.setattr(hashes, "SETTLED_SECONDS", 0.0)
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"12345678")
    time.sleep(0.02)
    return path


def hashed(path):
    """Whether the bytes were read; the hash is right in any case."""
    lines = []
    assert hashes.file_sha256(path, lines.append) == hashlib.sha256(path.read_bytes()).hexdigest()
    return bool(lines)


def test_an_unchanged_file_is_hashed_once(shard, tmp_path):
    (tmp_path / "link").symlink_to(shard)
    assert [hashed(shard), hashed(shard), hashed(tmp_path / "link")] == [True, False, False]
    [remembered] = (tmp_path / "home").rglob("sha256/*")
    for damaged in ("", "{}", "[1]", "null", remembered.read_text().replace('"', '"x')):
        remembered.write_text(damaged)
        assert hashed(shard)


def test_other_bytes_of_the_same_size_are_hashed(shard, tmp_path):
    status = shard.stat()
    hashed(shard)
    shard.write_bytes(b"87654321")
    os.utime(shard, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert hashed(shard)
    (tmp_path / "new").write_bytes(b"11111111")
    os.utime(tmp_path / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(tmp_path / "new", shard)
    assert hashed(shard)


def test_a_file_that_has_just_changed_is_not_kept(shard, tmp_path, monkeypatch):
    monkeypatch.setattr(hashes, "SETTLED_SECONDS", 60.0)
    assert hashed(shard) and hashed(shard)
    monkeypatch.setattr(hashes, "SETTLED_SECONDS", 0.0)
    monkeypatch.setenv("HOME", str(shard))
    assert hashed(shard) and hashed(shard)
