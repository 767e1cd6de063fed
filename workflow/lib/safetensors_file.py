"""Strict reading of one safetensors file: the header validated, the data in bounded chunks.

A file is an 8-byte little-endian length N, a JSON header of N bytes and the data. The rules checked
are those of the format's specification, plus three that the reference library lets pass: duplicate
keys, entries that are not objects, and dtypes that are not plain text. Data is read by `pread` in
chunks of the caller's size: a file that shrinks meanwhile is an error, not a crash of the process.
"""

import json
import math
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workflow.lib import dtypes

MAX_HEADER_BYTES = 32 * 1024 * 1024
MAX_DIMENSIONS = 64

# First bytes of what is often found under the name of a shard.
IMPOSTORS = (
    (b"version https://git-lfs", "a git-lfs pointer: run `git lfs pull` in that folder"),
    (b"GGUF", "a GGUF file, which is not supported: use the repository's safetensors"),
    (b"PK\x03\x04", "a zip or PyTorch .bin file: convert the model to safetensors first"),
    (b"\x80\x02", "a pickle file: convert the model to safetensors first"),
    (b"<", "an HTML or XML page, probably an error page: download it again"),
    (b'{"error', "an error message of a server: download it again"),
)


class SafetensorsError(ValueError):
    """A file that is not sound safetensors; the message names the file, the tensor and the rule."""


@dataclass(frozen=True)
class TensorEntry:
    """One tensor of a file: bytes `begin` to `end` counted from the start of the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.end - self.begin


@dataclass(frozen=True)
class Header:
    """The header of one file, tensors in the order of their data."""

    tensors: tuple[TensorEntry, ...]
    metadata: dict[str, str]


def header_length(start: bytes, file_size: int, where: str) -> int:
    """Length N of the JSON header from the first bytes of a file (8 at least, 32 help to explain).

    Raises SafetensorsError when the file is too short, N is impossible, or the bytes are those of
    another kind of file.
    """
    for magic, explanation in IMPOSTORS:
        if start.startswith(magic):
            raise SafetensorsError(f"{where} is {explanation}.")
    if file_size < 8 or len(start) < 8:
        raise SafetensorsError(
            f"{where} is {file_size} bytes long, shorter than any safetensors file: "
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
            f"{where}: a header of {length} bytes is above the limit of {MAX_HEADER_BYTES}."
        )
    return length


def parse_header(text: bytes, file_size: int, where: str) -> Header:
    """Validate the JSON header `text` of a file of `file_size` bytes named `where` in errors."""

    def refuse(rule: str) -> SafetensorsError:
        return SafetensorsError(f"{where}: {rule}; the file is damaged or hostile.")

    try:
        decoded = json.loads(
            text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant
        )
    except (UnicodeDecodeError, RecursionError) as error:
        raise refuse(f"the header is not readable UTF-8 JSON ({type(error).__name__})") from error
    except ValueError as error:
        raise refuse(f"the header is not valid JSON ({error})") from error
    if not isinstance(decoded, dict):
        raise refuse("the header is not a JSON object")
    metadata = decoded.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(
        isinstance(value, str) for value in metadata.values()
    ):
        raise refuse("__metadata__ is not a map of texts")

    data_start = 8 + len(text)
    entries = []
    for name, entry in decoded.items():
        shown = json.dumps(name)
        if any("\ud800" <= character <= "\udfff" for character in name):
            raise refuse(f"tensor name {shown} is not valid Unicode")
        if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
            raise refuse(f"tensor {shown} is not an object of dtype, shape and data_offsets")
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not isinstance(dtype, str) or dtype not in dtypes.DTYPES:
            raise refuse(f"tensor {shown} has the unknown dtype {json.dumps(dtype)[:60]}")
        if not _naturals(shape) or len(shape) > MAX_DIMENSIONS:
            raise refuse(f"tensor {shown} has no valid shape")
        if not _naturals(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
            raise refuse(f"tensor {shown} has no valid data_offsets")
        try:
            size = dtypes.nbytes(dtype, math.prod(shape))
        except ValueError as error:
            raise refuse(f"tensor {shown}: {error}") from error
        if size != offsets[1] - offsets[0]:
            raise refuse(
                f"tensor {shown} of {dtype} {list(shape)} needs {size} bytes but has "
                f"{offsets[1] - offsets[0]}"
            )
        entries.append(
            TensorEntry(name, dtype, tuple(shape), data_start + offsets[0], data_start + offsets[1])
        )
    entries.sort(key=lambda entry: (entry.begin, entry.end))
    position = data_start
    for tensor in entries:
        if tensor.begin != position:
            raise refuse(f"the data of tensor {json.dumps(tensor.name)} leaves a hole or overlaps")
        position = tensor.end
    if position != file_size:
        raise SafetensorsError(
            f"{where}: the tensors end at byte {position} but the file has {file_size}: it is "
            "truncated or has bytes appended; download it again."
        )
    return Header(tuple(entries), metadata)


def read_header(path: str | os.PathLike[str]) -> Header:
    """Header of the file at `path`, which must be a regular file (a FIFO would hang)."""
    path = Path(path)
    try:
        status = path.stat()
    except OSError as error:
        raise SafetensorsError(f"{path}: cannot be read ({error.strerror}).") from error
    if not stat.S_ISREG(status.st_mode):
        raise SafetensorsError(f"{path} is not a regular file.")
    with path.open("rb") as file:
        start = file.read(32)
        length = header_length(start, status.st_size, str(path))
        file.seek(8)
        text = file.read(length)
    return parse_header(text, status.st_size, str(path))


def read_bytes(path: str | os.PathLike[str], begin: int, end: int) -> np.ndarray:
    """Bytes `begin` to `end` of a file as uint8; SafetensorsError when the file is shorter."""
    out = np.empty(end - begin, np.uint8)
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
    return out


def read_chunks(
    path: str | os.PathLike[str], begin: int, end: int, chunk_bytes: int
) -> Iterator[np.ndarray]:
    """Bytes `begin` to `end` of a file in pieces of `chunk_bytes` (the last may be shorter)."""
    for start in range(begin, end, chunk_bytes):
        yield read_bytes(path, start, min(start + chunk_bytes, end))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key occurs twice")
    return result


def _no_constant(name: str) -> None:
    raise ValueError(f"the number {name}")


def _naturals(value: Any) -> bool:
    return isinstance(value, list) and all(
        type(item) is int and 0 <= item < 2**63 for item in value
    )
