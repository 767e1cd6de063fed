"""Partial files: what a broken transfer has received, for the next process to go on with.

A partial lies beside its target under a hidden name with the start of the hash that the whole file
must have. Its writer holds a lock on it, which the kernel takes back however the process ends, so
one that can be locked was left behind. On some network file systems locks say nothing about other
machines: a partial of another machine counts as left behind only after a day of silence. Where
there are no locks at all nothing is taken over. The hash of the whole file is the proof in any
case; a partial only saves bytes.
"""

import os
import platform
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PREFIX = ".partial-"

ABANDONED = 86400.0  # seconds without a byte after which a partial belongs to nobody


@dataclass(frozen=True)
class Partial:
    """A file that grows, and its name until it is whole."""

    path: Path
    stream: BinaryIO


@contextmanager
def partial_file(folder: Path, key: str) -> Iterator[Partial]:
    """Yield a partial for the content `key`: one left behind in `folder`, or a new one.

    Rename it once it is whole. What was received stays when the block fails, but not after an
    error of the disk, which may need the room.
    """
    partial = _left_behind(folder, key) or _new(folder, key)
    try:
        yield partial
    except OSError:
        partial.path.unlink(missing_ok=True)
        raise
    finally:
        with suppress(FileNotFoundError):
            if partial.path.stat().st_size == 0:
                partial.path.unlink()
        partial.stream.close()


def received(folder: Path, key: str) -> int:
    """Bytes of the largest partial for a content; 0 where there is none."""
    return max((_size(path) for path in folder.glob(f"{PREFIX}{key}-*")), default=0)


def remove_abandoned(folder: Path) -> None:
    """Remove partials, and folders with their prefix, that nobody has written to for a day."""
    for path in folder.glob(f"{PREFIX}*"):
        if _silence(path) < ABANDONED:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif stream := _locked(path):
            path.unlink(missing_ok=True)
            stream.close()


def _new(folder: Path, key: str) -> Partial:
    # Locked before it has a name that `_left_behind` looks for: none can take it for left behind.
    unseen = folder / f"{PREFIX}{uuid.uuid4().hex}"
    stream = unseen.open("x+b")
    _lock(stream)
    return Partial(unseen.rename(_name(folder, key)), stream)


def _left_behind(folder: Path, key: str) -> Partial | None:
    """The largest partial that can be had, under a name of its own from now on."""
    known = [path for path in folder.glob(f"{PREFIX}{key}-*") if _silence(path) >= 0]
    for path in sorted(known, key=_size, reverse=True):
        here = f"-{_machine()}-" in path.name
        if (here or _silence(path) > ABANDONED) and (stream := _locked(path)):
            # A writer that only seemed to be gone cannot finish what it no longer finds.
            return Partial(path.rename(_name(folder, key)), stream)
    return None


def _name(folder: Path, key: str) -> Path:
    return folder / f"{PREFIX}{key}-{_machine()}-{uuid.uuid4().hex[:8]}"


def _machine() -> str:
    return re.sub("[^A-Za-z0-9]", "_", platform.node())[:64]


def _locked(path: Path) -> BinaryIO | None:
    """The file, open and locked; None when a living process has it or has just renamed it."""
    with suppress(FileNotFoundError):
        stream = path.open("r+b")
        if _lock(stream) and os.path.samestat(path.stat(), os.fstat(stream.fileno())):
            return stream
        stream.close()
    return None


def _lock(stream: BinaryIO) -> bool:
    if fcntl is None:
        return False
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held, or a file system without locks
        return False
    return True


def _size(path: Path) -> int:
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0


def _silence(path: Path) -> float:
    """Seconds since the last byte, of a folder that in its files; negative where it is gone."""
    with suppress(FileNotFoundError):
        last = max(place.lstat().st_mtime for place in (path, *path.rglob("*")))
        return max(time.time() - last, 0.0)
    return -1.0
