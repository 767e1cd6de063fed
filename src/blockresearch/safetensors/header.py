"""The header of a safetensors file, parsed and validated from its bytes.

The header is JSON: an object of tensor name → {dtype, shape, data_offsets}, and `__metadata__`, a
map of texts. It comes from a stranger, so the number of its values is bounded before it is parsed
(`json_text`), and the first broken rule ends the reading.

All that the reference library accepts is accepted, except these, which other readers interpret
differently or reject:

- a key that occurs twice (the last counts there, the first elsewhere),
- a tensor that is an array, a dtype that is an object (forms of serde),
- a shape with a zero beside dimensions whose product overflows 63 bits, and more than 64
  dimensions (NumPy opens neither),
- headers beyond the limits below, which no published model comes near.

Source: README.md and safetensors/src/tensor.rs of safetensors 0.8.0.
"""

import math
from dataclasses import dataclass
from typing import Any

from blockresearch.safetensors import dtypes, json_text
from blockresearch.text import quoted

MAX_HEADER_BYTES = 25_000_000

MAX_TENSORS = 100_000

# Commas and brackets: ten for each of the most tensors, of four dimensions.
MAX_HEADER_VALUES = 1_000_000

MAX_DIMENSIONS = 64


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
    try:
        values = json_text.parse(text, MAX_HEADER_BYTES, MAX_HEADER_VALUES, strict=True)
    except json_text.JsonError as error:
        raise _BrokenRule(f"the header is {error}") from error
    if not isinstance(values, dict):
        raise _BrokenRule("the header is not a JSON object")
    metadata = _metadata(values.pop("__metadata__", None))
    if len(values) > MAX_TENSORS:
        raise _BrokenRule(f"there are more than {MAX_TENSORS} tensors")
    data_start = 8 + len(text)
    tensors = sorted(
        (_tensor(name, value, data_start) for name, value in values.items()),
        key=lambda tensor: (tensor.begin, tensor.end),
    )
    position = data_start
    for tensor in tensors:
        if tensor.begin != position:
            flaw = "leaves a hole before it" if tensor.begin > position else "overlaps another's"
            raise _BrokenRule(f"the data of tensor {quoted(tensor.name)} {flaw}")
        position = tensor.end
    if position != file_size:
        raise _BrokenRule(
            f"the tensors end at byte {position} but the file has {file_size} bytes, so it is "
            + ("truncated" if position > file_size else "followed by foreign bytes")
        )
    return Header(tuple(tensors), metadata)


def _metadata(value: Any) -> dict[str, str]:
    """The value of `__metadata__`: a map of texts, or null."""
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise _BrokenRule("__metadata__ is not a map of texts")
    return value


def _tensor(name: str, value: Any, data_start: int) -> TensorEntry:
    what = f"tensor {quoted(name)}"
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
    begin, end = offsets
    _check(name, dtype, tuple(shape), begin, end)
    return TensorEntry(name, dtype, tuple(shape), data_start + begin, data_start + end)


def _naturals(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _check(name: str, dtype: str, shape: tuple[int, ...], begin: int, end: int) -> None:
    known = dtypes.DTYPES.get(dtype)
    if known is None:
        raise _BrokenRule(f"tensor {quoted(name)} has the unknown dtype {quoted(dtype)}")
    if begin > end or end >= 2**63:
        raise _BrokenRule(f"tensor {quoted(name)} has the impossible data_offsets [{begin}, {end}]")
    numel = math.prod(shape)
    # A zero must not hide what it is multiplied with.
    largest = numel if numel else math.prod(size for size in shape if size)
    if largest * known.bits >= 2**63:
        raise _BrokenRule(f"the elements of tensor {quoted(name)} overflow 63 bits")
    size, rest = divmod(numel * known.bits, 8)
    if rest:
        raise _BrokenRule(f"the {numel} elements of tensor {quoted(name)} do not fill whole bytes")
    if size != end - begin:
        raise _BrokenRule(
            f"tensor {quoted(name)} of {dtype} {list(shape)} needs {size} bytes but data_offsets "
            f"give it {end - begin}"
        )
