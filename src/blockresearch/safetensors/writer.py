"""Write a safetensors file tensor by tensor, so that none but the one in work is in memory.

The header, a JSON object with the type, shape and place of every tensor, comes first. So all shapes
are stated before, and the values follow in the same order.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from blockresearch.files import atomic
from blockresearch.safetensors.dtypes import nbytes

# Types that values are written in.
WRITTEN = ("F32", "BF16", "F16")

# The header is filled up with spaces to a multiple of it.
ALIGNMENT = 8


@dataclass(frozen=True)
class Written:
    """Type (one of WRITTEN) and shape of a tensor that is written."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of its values."""
        return nbytes(self.dtype, int(np.prod(self.shape, dtype=np.int64)))


def write_tensors(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Written],
    values: Iterable[np.ndarray],
) -> None:
    """Write `tensors` by name, atomically; `values` are those of all of them in order, in blocks
    [*shape] that each belong to one tensor, of any float type.

    Raises ValueError if a block does not fit the tensors that are left, or values are missing.
    """
    blocks = iter(values)
    with atomic(path) as temporary, temporary.open("wb") as file:
        file.write(_header(tensors))
        for name, tensor in tensors.items():
            left = tensor.size
            while left:
                block = next(blocks, None)
                raw = b"" if block is None else encoded(block, tensor.dtype)
                if not 0 < len(raw) <= left:
                    raise ValueError(f"{path}: the values of {name} do not have its shape.")
                file.write(raw)
                left -= len(raw)


def encoded(values: np.ndarray, dtype: str) -> bytes:
    """Values [*shape] as the bytes of a type of WRITTEN, rounded to the nearest, ties to even."""
    if dtype == "F16":
        return values.astype("<f2").tobytes()
    single = np.ascontiguousarray(values, dtype="<f4")
    return single.tobytes() if dtype == "F32" else _bfloat16(single).astype("<u2").tobytes()


def rounded(values: np.ndarray, dtype: str) -> np.ndarray:
    """Values, float32 [*shape], as they are once they are written in a type of WRITTEN."""
    if dtype == "F16":
        return values.astype(np.float16).astype(np.float32)
    single = np.ascontiguousarray(values, dtype=np.float32)
    return single if dtype == "F32" else (_bfloat16(single) << np.uint32(16)).view(np.float32)


def _bfloat16(single: np.ndarray) -> np.ndarray:
    """Codes of finite float32 values as BF16, uint32 of the same shape."""
    codes = single.view(np.uint32)
    return (codes + (np.uint32(0x7FFF) + ((codes >> np.uint32(16)) & np.uint32(1)))) >> np.uint32(
        16
    )


def _header(tensors: Mapping[str, Written]) -> bytes:
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    begin = 0
    for name, tensor in tensors.items():
        entries[name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [begin, begin + tensor.size],
        }
        begin += tensor.size
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    return len(text).to_bytes(8, "little") + text
