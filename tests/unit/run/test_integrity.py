"""Altered and deleted results are found, and only they."""

import os
from pathlib import Path

from blockresearch.run import integrity
from blockresearch.run.session import started_at

MODEL = "local--m"


def write(results: Path, name: str, text: str) -> Path:
    """A result, written at a time that the file system can tell from that of the run's start."""
    path = results / MODEL / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_only_other_bytes_count(tmp_path):
    since = started_at(str(tmp_path), None)
    table, page = write(tmp_path, "params.csv", "one"), write(tmp_path, "index.html", "two")
    write(tmp_path, "odd.txt", "not ours")
    integrity.record(str(tmp_path), [MODEL], since)
    os.utime(page, (1, 1))
    assert integrity.verify(str(tmp_path), [MODEL]) == ([], [], [tmp_path])
    times = table.stat()
    table.write_text("One")
    os.utime(table, ns=(times.st_atime_ns, times.st_mtime_ns))
    page.unlink()
    assert integrity.verify(str(tmp_path), [MODEL]) == ([table], [page], [tmp_path])


def test_what_stays_altered_never_becomes_the_record(tmp_path):
    table = write(tmp_path, "params.csv", "one")
    integrity.record(str(tmp_path), [MODEL], started_at(str(tmp_path), None))
    table.write_text("spoilt")
    os.utime(table, (1, 1))
    integrity.record(str(tmp_path), [MODEL], started_at(str(tmp_path), None))
    assert integrity.verify(str(tmp_path), [MODEL])[0] == [table]
    since = started_at(str(tmp_path), None)
    table.write_text("made again")
    integrity.record(str(tmp_path), [MODEL], since)
    assert integrity.verify(str(tmp_path), [MODEL])[0] == []


def test_a_damaged_record_is_none(tmp_path):
    write(tmp_path, integrity.NAME, "{")
    assert integrity.verify(str(tmp_path), [MODEL]) == ([], [], [tmp_path, tmp_path / MODEL])


def test_comparisons_and_training_runs_count(tmp_path):
    folders = ["compare/a-vs-b", "dynamics/a"]
    tables = [tmp_path / "compare/a-vs-b/differences.csv", tmp_path / "dynamics/a/dynamics.csv"]
    for table in tables:
        table.parent.mkdir(parents=True)
        table.write_text("one")
    assert integrity.others(tmp_path) == folders
    integrity.record(str(tmp_path), folders, 0)
    assert integrity.verify(str(tmp_path), folders) == ([], [], [tmp_path])
    tables[0].write_text("two")
    tables[1].unlink()
    assert integrity.verify(str(tmp_path), folders) == (tables[:1], tables[1:], [tmp_path])
