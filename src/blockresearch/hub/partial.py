"""Partial files: the bytes that a broken transfer has received, for the next process to continue.

A partial lies beside its target under a hidden name: the start of the hash that the whole file
must have, and the machine. Its writer holds a lock on it, which the kernel takes back however the
process ends. If it cannot be locked, another process writes to it or the file system has no locks;
then the bytes go to a partial whose name is never looked up. The machine is part of the name
because other machines do not see the locks of some network file systems. The hash of the whole file
is verified in any case: a partial only saves bytes.

huggingface_hub had the same until 1.18, without the machine and the second name, and gave it up
because of those file systems.
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

# Without a byte, after which a partial is removed.
ABANDONED_SECONDS = 86400.0


@dataclass(frozen=True)
class Partial:
    """A file that grows, and its name until it is whole."""

    path: Path
    stream: BinaryIO


@contextmanager
def partial_file(folder: Path, key: str) -> Iterator[Partial]:
    """Yield a partial for the content `key`: one left behind in `folder`, or a new one.

    Rename it once it is whole. The bytes received stay if the block fails, but not after an error
    of the disk, which may need the space. Raises OSError.
    """
    path = partial_path(folder, key)
    stream = _open_locked(path)
    if stream is None:
        path = path.with_name(f"{PREFIX}{uuid.uuid4().hex}")
        stream = path.open("x+b")
    try:
        yield Partial(path, stream)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        if _is_open(path, stream) and path.stat().st_size == 0:
            path.unlink()
        stream.close()


def partial_path(folder: Path, key: str) -> Path:
    """The name of the partial for the content `key` that a later call continues."""
    machine = re.sub("[^A-Za-z0-9]", "_", platform.node())[:64]
    return folder / f"{PREFIX}{key}-{machine}"


def received_bytes(folder: Path, key: str) -> int:
    """Size of the partial for a content; 0 if there is none."""
    with suppress(FileNotFoundError):
        return partial_path(folder, key).stat().st_size
    return 0


def remove_abandoned(folder: Path) -> None:
    """Remove partials, and folders with their prefix, that nobody has written to for a day."""
    for path in folder.glob(f"{PREFIX}*"):
        if time.time() - _last_written(path) < ABANDONED_SECONDS:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _open_locked(path: Path) -> BinaryIO | None:
    """The partial at `path`, open and locked; None if another process has it."""
    if fcntl is None:
        return None
    stream = path.open("a+b")
    with suppress(OSError):
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The last writer may have renamed it before the lock was free.
        if _is_open(path, stream):
            return stream
    stream.close()
    return None


def _is_open(path: Path, stream: BinaryIO) -> bool:
    """Whether `path` is still the name of the open file `stream`."""
    with suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(stream.fileno()))
    return False


def _last_written(path: Path) -> float:
    """The time of the last byte, of a folder that in its files; now if it is gone."""
    with suppress(FileNotFoundError):
        return max(place.lstat().st_mtime for place in (path, *path.rglob("*")))
    return time.time()
