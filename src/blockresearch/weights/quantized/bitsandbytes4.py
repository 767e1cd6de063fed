"""bitsandbytes NF4 and FP4: a table of 16 values and one scale for each block of elements.

    P.weight                              codes, two a byte, high nibble first, [bytes, 1]; of any
                                          type (`bnb_4bit_quant_storage`), the bytes are the same
    P.weight.absmax                       F32 [blocks]; U8 if it is quantized itself
    P.weight.quant_map                    F32 [16]
    P.weight.nested_absmax, .nested_quant_map   F32, of a quantized absmax
    P.weight.quant_state.bitsandbytes__nf4 (or __fp4)   U8: JSON with shape, blocksize, …

W.flat[i] = quant_map[code[i]] · absmax[i // blocksize]; a quantized absmax is
nested_quant_map[absmax] · nested_absmax[block // nested_blocksize] + nested_offset. `P.weight` may
be a bare parameter, such as a stack of experts. Its true shape is in the quant_state alone: it is
read for stacks when the plan is made, for matrices when they are measured.

Source: bitsandbytes functional.py (QuantState.as_dict, dequantize_4bit), backends/default/ops.py.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from blockresearch.safetensors import json_text
from blockresearch.safetensors.dtypes import nbytes
from blockresearch.safetensors.reader import read_bytes
from blockresearch.weights.grid import Grid, Packed
from blockresearch.weights.quantized.scheme import INTEGERS, Format, Found, Settings, Unfit
from blockresearch.weights.quantized.source import Source
from blockresearch.weights.quantized.unpack import nibbles, scale_columns

if TYPE_CHECKING:
    import torch

MAX_STATE_BYTES = 65536

MAX_STATE_VALUES = 4096


def parse_state(text: bytes) -> tuple[tuple[int, ...], int, int, float]:
    """(shape, blocksize, nested_blocksize, nested_offset) of a quant_state.

    Raises ValueError if it is not what bitsandbytes writes.
    """
    try:
        state = json_text.parse(text, MAX_STATE_BYTES, MAX_STATE_VALUES)
        shape = tuple(int(size) for size in state["shape"])
        block, nested_block = int(state["blocksize"]), int(state.get("nested_blocksize", 256))
        offset = float(state.get("nested_offset", 0.0))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise ValueError("its quant_state is not the JSON that bitsandbytes writes") from error
    if not shape or min(shape) < 1 or block < 1 or nested_block < 1:
        raise ValueError(f"its quant_state says shape {list(shape)}, blocks of {block}")
    return shape, block, nested_block, offset


def blockwise_absmax(
    absmax: np.ndarray,
    nested_absmax: np.ndarray | None,
    nested_map: np.ndarray | None,
    nested_block: int,
    offset: float,
) -> np.ndarray:
    """Scales of the blocks, float32 [blocks], undoing their own quantization if any.

    Raises ValueError if there is not one nested scale for each block of scales.
    """
    if nested_absmax is None or nested_map is None:
        return absmax.astype(np.float32)
    if len(nested_absmax) != -(-len(absmax) // nested_block):
        raise ValueError(f"{len(nested_absmax)} nested scales for {len(absmax)} scales")
    nested = np.repeat(nested_absmax.astype(np.float32), min(nested_block, len(absmax)))
    nested = nested[: len(absmax)]
    return nested_map.astype(np.float32)[absmax] * nested + np.float32(offset)


def open_blocks(source: Source) -> Grid:
    """The weights as float32 in the shape of quant_state; raises Contradiction if none fits."""
    raw = source.raw("quant_state")
    try:
        shape, block, nested_block, offset = parse_state(raw.tobytes())
    except ValueError as error:
        raise source.fail(str(error)) from error
    numel, stored = math.prod(shape), source.stored.nbytes
    if not _fits(numel, stored, source.stored.dtype):
        raise source.fail(f"its quant_state says shape {list(shape)} for {stored} bytes")
    table = source.values("quant_map").reshape(-1)
    nested = source.has("nested_absmax") and source.has("nested_quant_map")
    absmax = source.codes("absmax").reshape(-1) if nested else source.values("absmax").reshape(-1)
    scales = blockwise_absmax(
        absmax,
        source.values("nested_absmax").reshape(-1) if nested else None,
        source.values("nested_quant_map").reshape(-1) if nested else None,
        nested_block,
        offset,
    )
    if len(table) != 16 or len(scales) != -(-numel // block):
        raise source.fail(f"{len(scales)} scales for blocks of {block}, {len(table)} values")
    if len(shape) > 2 and source.settings.get("shape_inside"):
        raise source.fail(f"its quant_state says a stack {list(shape)}, which its name does not")
    shape = shape if len(shape) > 1 else (1, *shape)
    cols, begin = shape[-1], source.stored.begin

    def read(first: int, last: int) -> np.ndarray:
        # Whole blocks of scales around the rows, from an even element on.
        step = math.lcm(block, 2)
        low = first * cols // step * step
        high = min(-(-last * cols // step) * step, 2 * stored)
        packed = read_bytes(source.shard, begin + low // 2, begin + -(-high // 2))
        values = nibbles(packed, table, high_first=True)
        factors = scales[low // block : -(-high // block)]
        values = scale_columns(values[None], factors[None], block)[0]
        return values[first * cols - low : last * cols - low].reshape(last - first, cols)

    def decode(raw: "torch.Tensor", first: int) -> "torch.Tensor":
        from blockresearch.weights.quantized import on_device

        values, per_row = on_device.nibbles(raw, table, high_first=True), cols // block
        factors = scales[first * per_row : (first + len(raw)) * per_row]
        return values * on_device.columns(factors.reshape(len(raw), per_row), block, values)

    # Rows are whole blocks in nearly all models.
    is_whole = cols % math.lcm(block, 2) == 0
    return Grid(shape, "F32", read, Packed(begin, cols // 2, decode) if is_whole else None)


def _fits(numel: int, stored: int, dtype: str) -> bool:
    """Whether `stored` bytes hold the codes: two a byte, in whole elements of storage."""
    item = max(1, nbytes(dtype, 1))
    return stored == -(-((numel + 1) // 2) // item) * item


def read_blocks(found: Found) -> Settings:
    """Settings by names, and for stacks by the quant_state.

    Raises Unfit if the quant_map has not 16 values, or a quant_state does not fit the codes.
    """
    name, shape, dtype = found.owner
    state = found.by_role["quant_state"][0]
    method = f"bitsandbytes {'nf4' if state.endswith('nf4') else 'fp4'}"
    if math.prod(found.shape("quant_map")) != 16:
        raise Unfit(f"a quant_map of shape {list(found.shape('quant_map'))}, not of 16 values")
    nested = [role in found.by_role for role in ("nested_absmax", "nested_quant_map")]
    if found.dtype("absmax") in INTEGERS and not all(nested):
        raise Unfit("its absmax is quantized, and nested_absmax or nested_quant_map is missing")
    stored = nbytes(dtype, math.prod(shape))
    is_stack = not name.endswith(".weight") or "expert" in name or "moe" in name
    if found.read_small and is_stack and math.prod(found.shape("quant_state")) <= MAX_STATE_BYTES:
        try:
            true = parse_state(found.read_small(state))[0]
        except ValueError as error:
            raise Unfit(str(error)) from error
        if not _fits(math.prod(true), stored, dtype):
            raise Unfit(f"its quant_state says shape {list(true)} for {stored} bytes")
        return method, "bitsandbytes4", true if len(true) > 1 else (1, *true), {}
    # Headers tell the number of elements only.
    numel = 2 * stored
    width = math.gcd(numel, 2 ** (numel.bit_length() // 2))
    return method, "bitsandbytes4", (numel // width, width), {"shape_inside": True}


_STORAGE = frozenset(
    {"U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64", "F16", "BF16", "F32", "F64"}
    | {"F8_E4M3", "F8_E5M2"}
)

_NESTED = {"nested_absmax": ".nested_absmax", "nested_quant_map": ".nested_quant_map"}

FORMATS = tuple(
    Format(
        "",
        _STORAGE,
        {
            "absmax": ".absmax",
            "quant_map": ".quant_map",
            "quant_state": f".quant_state.bitsandbytes__{kind}",
        },
        _NESTED,
        read_blocks,
        frozenset({"bitsandbytes"}),
    )
    for kind in ("nf4", "fp4")
)

FORMULAS = {"bitsandbytes4": open_blocks}
