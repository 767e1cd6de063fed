"""sha256 of local files, remembered for the next model of the same folder.

The user's cache has a small file for each path: size, time of the last change in ns, that of the
last change of its status, inode and device of the file, and its hash, such as

    [269060552, 1764208800123456789, 1764208800123456789, 1311, 66, "5af5…"]

The hash counts as long as all numbers are those of the file. New bytes change at least one of them:
no program can set the time of the last change of the status.
"""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from blockresearch.files import write_text
from blockresearch.hub.names import is_hex

# Smaller files are hashed faster than a home folder on a network answers.
MIN_BYTES = 8_000_000

# Clocks of file systems are coarse: bytes that change again so soon could have the same times.
SETTLED_SECONDS = 3.0


def file_sha256(
    path: str | os.PathLike[str], progress: Callable[[str], None] = lambda line: None
) -> str:
    """sha256 of a file's bytes, 64 hex digits; from the cache if a large file is unchanged."""
    with open(path, "rb") as file:
        begin = os.fstat(file.fileno())
        remembered = None
        if begin.st_size >= MIN_BYTES:
            remembered = Path(
                os.path.expanduser("~/.cache/blockresearch/sha256"),
                hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:32],
            )
            if known := _known(remembered, _identity(begin)):
                return known
        progress(f"hashing {os.path.basename(path)} ({begin.st_size / 1e6:,.0f} MB)")
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        end = os.fstat(file.fileno())
    settled = max(end.st_mtime, end.st_ctime) + SETTLED_SECONDS < time.time()
    if remembered and settled and _identity(begin) == _identity(end):
        # A home folder may be missing, full or read-only.
        with contextlib.suppress(OSError):
            write_text(json.dumps([*_identity(end), sha256]), remembered)
    return sha256


def _identity(status: os.stat_result) -> list[int]:
    times = status.st_mtime_ns, status.st_ctime_ns
    return [status.st_size, *times, status.st_ino, status.st_dev]


def _known(remembered: Path, identity: list[int]) -> str | None:
    """The hash in a file of the cache, if it is that of a file with this identity."""
    try:
        *numbers, sha256 = json.loads(remembered.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return None
    return sha256 if numbers == identity and is_hex(sha256, 64) else None
