"""compressed-tensors sparse-24-bitmask and sparse-bitmask: the values that are kept and a mask.

    P.compressed         2:4 sparse: [out, in / 2]; else all kept values in a row [n]
    P.bitmask            U8 [out, ceil(in / 8)], the first column in the lowest bit
    P.shape              I64 [2] or [2, 1]
    P.row_offsets        I64 [out], optional: where each row begins in the kept values
    P.weight_scale       optional: scales of FP8 or INT8 values, as of `fp8` and `int8`
    P.weight_zero_point  optional

W[mask] = compressed, row by row, zero elsewhere; times the scale. Values are of any plain type.

Source: compressed-tensors 0.9.4 sparse_compressors/sparse_24_bitmask.py and sparse_bitmask.py.
"""

import math

import numpy as np

from blockresearch.safetensors import dtypes
from blockresearch.safetensors.dtypes import DTYPES
from blockresearch.safetensors.reader import read_bytes
from blockresearch.weights.grid import Grid
from blockresearch.weights.quantized.scaled import scale_block, stated_blocks
from blockresearch.weights.quantized.scheme import FLOAT8, Format, Found, Settings, Unfit
from blockresearch.weights.quantized.source import Source
from blockresearch.weights.quantized.unpack import scale_columns, shift_columns


def open_sparse(source: Source) -> Grid:
    """The whole weights [out, in] as float32; raises Contradiction if mask and values differ."""
    shape = source.shape
    if source.has("shape"):
        true = source.codes("shape").reshape(-1).tolist()
        if len(true) != 2 or true[0] != shape[0] or -(-true[1] // 8) != -(-shape[1] // 8):
            raise source.fail(f"its shape says {true}, its mask {list(shape)}")
        shape = (true[0], true[1])
    rows, cols = shape
    mask = source.codes("bitmask").reshape(rows, -1)
    kept = np.bitwise_count(mask).sum(axis=1, dtype=np.int64)
    starts = np.concatenate(([0], np.cumsum(kept)))
    dtype, begin = source.stored.dtype, source.stored.begin
    item = DTYPES[dtype].bits // 8
    if starts[-1] * item != source.stored.nbytes:
        raise source.fail(f"its mask keeps {starts[-1]} values, and others are stored")
    block = shape
    if source.has("scale"):
        stated = tuple((height, width) for height, width in source.settings["blocks"])
        block = scale_block(shape, source.companions["scale"].shape, stated)
    scales = _table(source, "scale", shape, block)
    zeros = _table(source, "zeros", shape, block)

    def read(first: int, last: int) -> np.ndarray:
        places = np.unpackbits(mask[first:last], axis=1, bitorder="little")[:, :cols].view(bool)
        low, high = int(starts[first]), int(starts[last])
        raw = read_bytes(source.shard, begin + low * item, begin + high * item)
        values = np.zeros((last - first, cols), np.float32)
        values[places] = dtypes.decode(raw, dtype, np.float32)
        at = np.arange(first, last) // block[0]
        if zeros is not None:
            shift_columns(values, -zeros[at], block[1])
        return values if scales is None else scale_columns(values, scales[at], block[1])

    return Grid(shape, "F32", read)


def _table(
    source: Source, role: str, shape: tuple[int, ...], block: tuple[int, ...]
) -> np.ndarray | None:
    """A companion as float32 [blocks of rows, blocks of columns], None without one."""
    if not source.has(role):
        return None
    blocks = tuple(-(-size // extent) for size, extent in zip(shape, block, strict=True))
    return source.values(role, read_as="F8_E8M0").reshape(blocks)


def read_sparse(found: Found) -> Settings:
    """Settings by the shapes of mask and values, and by the true shape if at hand.

    Raises Unfit if these contradict each other, or scales are missing.
    """
    name, shape, dtype = found.owner
    mask = found.shape("bitmask")
    if len(mask) != 2 or found.dtype("bitmask") != "U8" or len(shape) not in (1, 2):
        raise Unfit(f"values of shape {list(shape)} with a bit mask of shape {list(mask)}")
    rows, cols = mask[0], 8 * mask[1]
    if len(shape) == 2:
        cols = 2 * shape[1]
        if shape[0] != rows or -(-cols // 8) != mask[1]:
            raise Unfit(f"values of shape {list(shape)} with a bit mask of shape {list(mask)}")
    true = found.integers("shape")
    if true is not None:
        if len(true) != 2 or true[0] != rows or -(-true[1] // 8) != mask[1]:
            raise Unfit(f"a shape of {true} with a bit mask of shape {list(mask)}")
        cols = true[1]
    blocks = stated_blocks(found) if "scale" in found.by_role else ()
    if "scale" in found.by_role:
        scale_block((rows, cols), found.shape("scale"), blocks)
    kind = "sparse-24-bitmask" if len(shape) == 2 else "sparse-bitmask"
    inner = " fp8" if dtype in FLOAT8 else " int8" if dtype == "I8" else ""
    if inner and "scale" not in found.by_role:
        raise Unfit(f"scales of {name} missing")
    if math.prod(shape) > rows * cols:
        raise Unfit(f"{math.prod(shape)} values for a mask of {rows} x {cols}")
    return kind + inner, "sparse", (rows, cols), {"blocks": list(map(list, blocks))}


FORMATS = (
    Format(
        ".compressed",
        frozenset({"F64", "F32", "F16", "BF16", "I8"}) | FLOAT8,
        {"bitmask": ".bitmask"},
        {
            "shape": ".shape",
            "row_offsets": ".row_offsets",
            "scale": ".weight_scale",
            "zeros": ".weight_zero_point",
        },
        read_sparse,
        frozenset({"compressed-tensors"}),
        least_dimensions=1,
    ),
)

FORMULAS = {"sparse": open_sparse}
