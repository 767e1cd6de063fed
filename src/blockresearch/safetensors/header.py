"""The header of a safetensors file, parsed and validated from its bytes.

The header is JSON: an object of tensor name → {dtype, shape, data_offsets}, and `__metadata__`, a
map of texts. It comes from a stranger, so it is read entry by entry by a small parser of that
grammar alone, which stops at the first broken rule: neither time nor memory follow what a general
JSON value could make of the same bytes (nested lists, huge numbers, millions of members).

What the reference library accepts is accepted, but for these, of which other readers make
something else, or nothing:

- a key that occurs twice (the last wins there, the first elsewhere),
- a tensor that is an array, a dtype that is an object (forms of serde),
- a shape with a zero beside dimensions whose product overflows 63 bits, and more than 64
  dimensions (NumPy opens neither),
- headers beyond the limits below, which no published model comes near.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from blockresearch.safetensors import dtypes

MAX_HEADER_BYTES = 25_000_000

MAX_TENSORS = 100_000

MAX_DIMENSIONS = 64

MAX_ENTRY_BYTES = 2**16
"""Of one tensor, its name aside."""

MAX_NESTING = 100
"""Of fields that the format does not know; the reference library stops at 128."""

SPACE = rb"[ \t\n\r]*+"

STRING = re.compile(rb'"[^"\\\x00-\x1f]*+(?:\\.[^"\\\x00-\x1f]*+)*+"')

NATURAL = rb"(?:0|[1-9][0-9]{0,18})"

# How nearly all files write a tensor; whatever else JSON allows takes the slow way.
USUAL_ENTRY = re.compile(
    SPACE.join(
        (
            rb"\{",
            rb'"dtype"',
            rb":",
            rb'"([A-Z0-9_]+)"',
            rb",",
            rb'"shape"',
            rb":",
            rb"\[",
            rb"((?:N(?:S,SN){0,63})?)".replace(b"N", NATURAL).replace(b"S", SPACE),
            rb"\]",
            rb",",
            rb'"data_offsets"',
            rb":",
            rb"\[",
            rb"(N)".replace(b"N", NATURAL),
            rb",",
            rb"(N)".replace(b"N", NATURAL),
            rb"\]",
            rb"\}",
        )
    )
)

BLANKS = re.compile(SPACE)

SURROGATE = re.compile("[\ud800-\udfff]")


class SafetensorsError(ValueError):
    """A file that is not sound safetensors; the message names the file, the tensor and the rule."""


@dataclass(frozen=True, slots=True)
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


class _BrokenRule(ValueError):
    """The rule that a header breaks."""


def parse_header(text: bytes, file_size: int, where: str) -> Header:
    """Validate the JSON header `text` of a file of `file_size` bytes named `where` in errors.

    Raises SafetensorsError.
    """
    try:
        return _header(text, file_size)
    except _BrokenRule as error:
        raise SafetensorsError(
            f"{where}: {error}; the file is damaged or hostile: download it again, and if that "
            "does not help do not use it."
        ) from error


def _header(text: bytes, file_size: int) -> Header:
    metadata: dict[str, str] = {}
    data_start = 8 + len(text)
    entries: dict[str, TensorEntry] = {}
    has_metadata = False
    reader = _Reader(text)
    for name in reader.members("the header"):
        if name == "__metadata__":
            if has_metadata:
                raise _BrokenRule("the key __metadata__ occurs twice")
            has_metadata = True
            metadata = reader.metadata()
            continue
        if name in entries:
            raise _BrokenRule(f"the tensor {shown(name)} occurs twice")
        if len(entries) == MAX_TENSORS:
            raise _BrokenRule(f"there are more than {MAX_TENSORS} tensors")
        dtype, shape, begin, end = reader.entry(name)
        _check(name, dtype, shape, begin, end)
        entries[name] = TensorEntry(name, dtype, shape, data_start + begin, data_start + end)
    reader.end()
    tensors = sorted(entries.values(), key=lambda tensor: (tensor.begin, tensor.end))
    position = data_start
    for tensor in tensors:
        if tensor.begin != position:
            flaw = "leaves a hole before it" if tensor.begin > position else "overlaps another's"
            raise _BrokenRule(f"the data of tensor {shown(tensor.name)} {flaw}")
        position = tensor.end
    if position != file_size:
        raise _BrokenRule(
            f"the tensors end at byte {position} but the file has {file_size} bytes, so it is "
            + ("truncated" if position > file_size else "followed by foreign bytes")
        )
    return Header(tuple(tensors), metadata)


def _check(name: str, dtype: str, shape: tuple[int, ...], begin: int, end: int) -> None:
    known = dtypes.DTYPES.get(dtype)
    if known is None:
        raise _BrokenRule(f"tensor {shown(name)} has the unknown dtype {shown(dtype)}")
    if begin > end or end >= 2**63:
        raise _BrokenRule(f"tensor {shown(name)} has the impossible data_offsets [{begin}, {end}]")
    numel = math.prod(shape)
    # A zero must not hide what it is multiplied with.
    largest = numel if numel else math.prod(size for size in shape if size)
    if largest * known.bits >= 2**63:
        raise _BrokenRule(f"the elements of tensor {shown(name)} overflow 63 bits")
    size, rest = divmod(numel * known.bits, 8)
    if rest:
        raise _BrokenRule(f"the {numel} elements of tensor {shown(name)} do not fill whole bytes")
    if size != end - begin:
        raise _BrokenRule(
            f"tensor {shown(name)} of {dtype} {list(shape)} needs {size} bytes but data_offsets "
            f"give it {end - begin}"
        )


def shown(name: Any) -> str:
    """A name as messages show it: quoted, escaped, cut."""
    text = json.dumps(name)
    return text if len(text) <= 200 else text[:200] + '…"'


class _Reader:
    """A place in the JSON text of a header."""

    def __init__(self, text: bytes):
        self.text = text
        self.at = 0

    def blanks(self) -> None:
        self.at = BLANKS.match(self.text, self.at).end()  # type: ignore[union-attr]

    def take(self, sign: bytes) -> bool:
        """Whether `sign` comes next, blanks before it passed over; it is taken then."""
        self.blanks()
        found = self.text.startswith(sign, self.at)
        self.at += len(sign) * found
        return found

    def members(self, what: str) -> Iterator[str]:
        """The keys of an object; whoever iterates reads the value behind each key."""
        if not self.take(b"{"):
            raise _BrokenRule(f"{what} is not a JSON object")
        if self.take(b"}"):
            return
        while True:
            key = self.string(what)
            if not self.take(b":"):
                raise _BrokenRule(f"{what} is not valid JSON at byte {self.at}")
            self.blanks()
            yield key
            if self.take(b"}"):
                return
            if not self.take(b","):
                raise _BrokenRule(f"{what} is not valid JSON at byte {self.at}")

    def string(self, what: str) -> str:
        self.blanks()
        match = STRING.match(self.text, self.at)
        if not match:
            raise _BrokenRule(f"{what} is not valid JSON at byte {self.at}")
        self.at = match.end()
        quoted = match[0]
        try:
            text = quoted.decode("utf-8")
            value = json.loads(text) if b"\\" in quoted else text[1:-1]
        except UnicodeDecodeError as error:
            raise _BrokenRule(f"{what} has a text that is not UTF-8, at byte {self.at}") from error
        except ValueError as error:
            raise _BrokenRule(f"{what} has an invalid text at byte {self.at}") from error
        if b"\\" in quoted and SURROGATE.search(value):
            raise _BrokenRule(f"{what} has a text that is not valid Unicode: {shown(value)}")
        return value

    def metadata(self) -> dict[str, str]:
        """The value of `__metadata__`: a map of texts, or null."""
        if self.take(b"null"):
            return {}
        found: dict[str, str] = {}
        for key in self.members("__metadata__"):
            if key in found:
                raise _BrokenRule(f"the key {shown(key)} of __metadata__ occurs twice")
            if not self.text.startswith(b'"', self.at):
                raise _BrokenRule(f"__metadata__ is not a map of texts: {shown(key)}")
            found[key] = self.string("__metadata__")
        return found

    def entry(self, name: str) -> tuple[str, tuple[int, ...], int, int]:
        """dtype, shape and data_offsets of a tensor."""
        match = USUAL_ENTRY.match(self.text, self.at)
        if match:
            self.at = match.end()
            shape = tuple(map(int, match[2].split(b","))) if match[2] else ()
            return match[1].decode(), shape, int(match[3]), int(match[4])
        value = self.value(name)
        what = f"tensor {shown(name)}"
        if not isinstance(value, dict):
            raise _BrokenRule(f"{what} is not an object of dtype, shape and data_offsets")
        for field in ("dtype", "shape", "data_offsets"):
            if field not in value:
                raise _BrokenRule(f"{what} has no {field}")
        dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
        if not isinstance(dtype, str):
            raise _BrokenRule(f"{what} has a dtype that is not a text")
        if not _naturals(shape):
            raise _BrokenRule(f"{what} has a shape that is not a list of whole numbers from 0")
        if len(shape) > MAX_DIMENSIONS:
            raise _BrokenRule(f"{what} has more than {MAX_DIMENSIONS} dimensions")
        if not _naturals(offsets) or len(offsets) != 2:
            raise _BrokenRule(f"{what} has data_offsets that are not two whole numbers from 0")
        return dtype, tuple(shape), offsets[0], offsets[1]

    def value(self, name: str) -> Any:
        """Any JSON value of bounded length."""
        piece = self.text[self.at : self.at + MAX_ENTRY_BYTES]
        try:
            # Bytes beyond the value may be cut inside a character.
            value, length = DECODER.raw_decode(piece.decode("utf-8", "surrogateescape"))
            taken = piece.decode("utf-8", "surrogateescape")[:length]
            taken.encode("utf-8")
        except UnicodeEncodeError as error:
            raise _BrokenRule(f"tensor {shown(name)} has a text that is not UTF-8") from error
        except (ValueError, RecursionError) as error:
            reason = str(error) if isinstance(error, _BrokenRule) else "not valid JSON"
            long = f", or longer than {MAX_ENTRY_BYTES} bytes"
            where = len(self.text) - self.at > MAX_ENTRY_BYTES
            raise _BrokenRule(
                f"the entry of tensor {shown(name)} is {reason}{long if where else ''}"
            ) from error
        if not _plain(value, MAX_NESTING):
            raise _BrokenRule(f"the entry of tensor {shown(name)} is nested too deep or not text")
        self.at += len(taken.encode())
        return value

    def end(self) -> None:
        """Nothing but blanks may follow the object."""
        self.blanks()
        if self.at != len(self.text):
            raise _BrokenRule(f"the header goes on after its JSON object, at byte {self.at}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _BrokenRule("an object with a key that occurs twice")
    return result


def _no_constant(name: str) -> None:
    raise _BrokenRule(f"not valid JSON: {name}")


def _integer(text: str) -> int:
    """A number in a shape or an offset; -1 for what no file can need (-0, 40 digits)."""
    return int(text) if len(text) <= 20 and text != "-0" else -1


def _real(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _BrokenRule("a number beyond float64")
    return value


DECODER = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_constant=_no_constant,
    parse_int=_integer,
    parse_float=_real,
)


def _naturals(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _plain(value: Any, levels: int) -> bool:
    """Whether texts are valid Unicode and nothing is nested deeper than `levels`."""
    if isinstance(value, str):
        return not SURROGATE.search(value)
    if isinstance(value, dict):
        return levels > 0 and all(
            _plain(key, levels) and _plain(item, levels - 1) for key, item in value.items()
        )
    if isinstance(value, list):
        return levels > 0 and all(_plain(item, levels - 1) for item in value)
    return True
