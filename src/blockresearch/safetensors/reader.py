"""Strict reading of one safetensors file: the header validated, the data in bounded chunks.

A file is an 8-byte little-endian length N, a JSON header of N bytes (`header`) and the data. Data
is read through a file handle in chunks of the caller's size, never by a memory map: a file that
shrinks meanwhile is an error, not a crash of the process.
"""

import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from blockresearch.safetensors.header import (
    MAX_HEADER_BYTES,
    Header,
    SafetensorsError,
    parse_header,
)

START_BYTES = 512

# First bytes of other files that are often found under the name of a shard. They explain a refusal
# and never cause one: the length of a sound header may spell the short ones.
OTHER_KINDS = (
    (
        (b"version https://git-lfs", b"version https://hawser"),
        "a git-lfs pointer in place of the weights: run `git lfs pull` in that folder",
    ),
    ((b"GGUF",), "a GGUF file, which is not supported: use the repository's safetensors"),
    ((b"GGML", b"ggjt", b"lmgg", b"tjgg"), "a GGML file: use the repository's safetensors"),
    (
        (b"PK\x03\x04", b"PK\x05\x06"),
        "a zip or PyTorch file, which is never opened: convert the model to safetensors first",
    ),
    (
        tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6)),
        "a pickle, which is never opened because that would run its code: convert the model to "
        "safetensors first",
    ),
    ((b"\x93NUMPY",), "a NumPy array: convert the model to safetensors first"),
    ((b"\x89HDF\r\n",), "an HDF5 file: convert the model to safetensors first"),
    ((b"\x1f\x8b",), "a gzip archive: unpack it first"),
    (
        (b"\x28\xb5\x2f\xfd", b"\xfd7zXZ", b"BZh", b"7z\xbc\xaf"),
        "a compressed file: unpack it first",
    ),
    ((b"\x89PNG", b"\xff\xd8\xff", b"%PDF-"), "a picture or document: download the model again"),
    ((b"\x7fELF", b"MZ", b"#!"), "a program, not weights: do not use it"),
    ((b"<",), "an HTML or XML page, probably an error page: download it again"),
    ((b"{", b"["), "JSON text without weights, probably a server's message: download it again"),
)

TAR = slice(257, 262)

# The length of a header has zero bytes among its eight, a text has none.
TEXT = bytes(range(32, 127)) + b"\t\r\n"


def other_kind(start: bytes) -> str | None:
    """What a refused file is, by its first bytes; None when it does not show."""
    if start[8:9] == b"{":
        return None
    begin = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    known = next((what for signs, what in OTHER_KINDS if begin.startswith(signs)), None)
    if known or not begin:
        return known
    if start[TAR] == b"ustar":
        return "a tar archive: unpack it first"
    if len(start) < 8 or start.translate(None, TEXT):
        return None
    line = begin.splitlines()[0][:60].decode()
    return f"a text, not weights, that begins with {json.dumps(line)}: download it again"


def header_from(read_start: Callable[[int], bytes], file_size: int, where: str) -> Header:
    """Header of a file of `file_size` bytes, whose first n bytes `read_start(n)` gives.

    `where` names the file in errors. Raises SafetensorsError when the file is another kind of file
    or breaks a rule of the format.
    """
    start = read_start(min(file_size, START_BYTES))
    try:
        length = _header_length(start, file_size, where)
        text = read_start(8 + length)[8:]
        if len(text) < length:
            raise SafetensorsError(f"{where} ends inside its header: it was cut while it was read.")
        return parse_header(text, file_size, where)
    except SafetensorsError as error:
        kind = other_kind(start)
        if kind:
            raise SafetensorsError(f"{where} is {kind}.") from error
        raise


def _header_length(start: bytes, file_size: int, where: str) -> int:
    if file_size < 8 or len(start) < 8:
        raise SafetensorsError(
            f"{where}: a file of {file_size} bytes is shorter than any safetensors file: "
            "download it again."
        )
    length = int.from_bytes(start[:8], "little")
    if length > file_size - 8:
        raise SafetensorsError(
            f"{where}: the header claims {length} bytes but the file has {file_size}: it is "
            "truncated or not safetensors; download it again."
        )
    if length > MAX_HEADER_BYTES:
        raise SafetensorsError(
            f"{where}: a header of {length} bytes is above the limit of {MAX_HEADER_BYTES}, which "
            "no published model comes near: do not use the file, or save it in several shards."
        )
    if length == 0:
        raise SafetensorsError(
            f"{where}: the header is empty, as in a file of zero bytes only: download it again."
        )
    return length


def read_header(path: str | os.PathLike[str]) -> Header:
    """Header of the file at `path`. Raises SafetensorsError if it is no sound regular file."""
    with _regular_file(Path(path)) as (file, size):

        def read_start(count: int) -> bytes:
            file.seek(0)
            return file.read(count)

        return header_from(read_start, size, str(path))


@contextmanager
def _regular_file(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """An open regular file and its size. Anything else is refused before it is opened: opening a
    FIFO waits until someone writes to it, opening a device may have any effect."""
    try:
        kind = _kind(path.stat().st_mode)
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK) if kind is None else None
    except (OSError, ValueError) as error:
        if path.is_symlink() and isinstance(error, FileNotFoundError):
            raise SafetensorsError(
                f"{path} is a link to a file that is not there: download the model again."
            ) from error
        reason = error.strerror if isinstance(error, OSError) else error
        raise SafetensorsError(
            f"{path}: cannot be read ({reason}): check the path and its permissions."
        ) from error
    if descriptor is None:
        raise SafetensorsError(f"{path} is {kind}, not a regular file: put the weights there.")
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SafetensorsError(f"{path} was replaced while it was opened: start again.")
        try:
            yield file, status.st_size
        except OSError as error:
            raise SafetensorsError(f"{path}: reading failed ({error.strerror}).") from error


def _kind(mode: int) -> str | None:
    """The name of another kind of file, None for a regular file."""
    kinds = (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISBLK, "a device"),
        (stat.S_ISCHR, "a device"),
    )
    return next((name for test, name in kinds if test(mode)), None)


def read_bytes(path: str | os.PathLike[str], begin: int, end: int) -> np.ndarray:
    """Bytes `begin` to `end` of a file: uint8 [bytes]. Raises SafetensorsError if it is shorter."""
    out = np.empty(end - begin, np.uint8)
    read_into(out, path, begin)
    return out


def read_into(out: np.ndarray, path: str | os.PathLike[str], begin: int) -> None:
    """Fill `out` (uint8 [n]) with the bytes of a file from `begin` on.

    Raises SafetensorsError if the file is shorter.
    """
    with open(path, "rb", buffering=0) as file:
        file.seek(begin)
        view, done = out.data, 0
        while done < len(out):
            count = file.readinto(view[done:])
            if not count:
                raise SafetensorsError(
                    f"{path}: ends at byte {begin + done}, before the data it promised; "
                    "it was truncated while it was read."
                )
            done += count


def read_chunks(
    path: str | os.PathLike[str], begin: int, end: int, chunk_bytes: int
) -> Iterator[np.ndarray]:
    """Bytes `begin` to `end` of a file in pieces: uint8 [chunk_bytes], the last may be shorter."""
    for start in range(begin, end, chunk_bytes):
        yield read_bytes(path, start, min(start + chunk_bytes, end))


@contextmanager
def unchanged(sizes: Mapping[Path, int]) -> Iterator[None]:
    """A `with` block that reads files. Raises SafetensorsError if the size of one differs."""
    before = {path: _state(path) for path in sizes}
    for path, size in sizes.items():
        if before[path][0] != size:
            raise SafetensorsError(
                f"{path} has {before[path][0]} bytes and should have {size}: it was cut or "
                "replaced since the model was resolved; start the run again."
            )
    yield
    for path, state in before.items():
        if _state(path) != state:
            raise SafetensorsError(f"{path} was changed while it was read: start the run again.")


def _state(path: Path) -> tuple[int, int, int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise SafetensorsError(f"{path}: cannot be read ({error.strerror}).") from error
    return status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev
