"""Altered results are found, and only they."""

import os

from blockresearch.run import checksums

NAMES = ["a.csv", "b.csv"]


def folder_with_a_record(folder):
    for name in NAMES:
        (folder / name).write_text(name)
    checksums.record(folder, NAMES, {})
    return folder


def test_only_other_bytes_count(tmp_path):
    folder = folder_with_a_record(tmp_path)
    assert checksums.altered(folder, NAMES) == {}
    os.utime(folder / "a.csv", (1, 1))
    (folder / "b.csv").unlink()
    assert checksums.altered(folder, [*NAMES, "unknown.csv"]) == {}
    status = (folder / "a.csv").stat()
    (folder / "a.csv").write_text("A.csv")
    os.utime(folder / "a.csv", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert list(checksums.altered(folder, NAMES)) == ["a.csv"]
    (folder / checksums.NAME).write_text("{")
    assert checksums.altered(folder, NAMES) == {}


def test_what_stays_altered_never_becomes_the_record(tmp_path):
    folder = folder_with_a_record(tmp_path)
    (folder / "a.csv").write_text("spoilt")
    found = checksums.altered(folder, NAMES)
    (folder / "b.csv").write_text("made again by a run that failed before it came to a.csv")
    checksums.record(folder, NAMES, found)
    assert list(checksums.altered(folder, NAMES)) == ["a.csv"]
    (folder / "a.csv").write_text("made again")
    checksums.record(folder, NAMES, found)
    assert checksums.altered(folder, NAMES) == {}
