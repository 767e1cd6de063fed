"""bitsandbytes: NF4, FP4 and LLM.int8."""

import math

import numpy as np

from blockresearch.safetensors import json_text
from blockresearch.safetensors.reader import read_bytes
from blockresearch.weights.grid import Grid
from blockresearch.weights.quantized.source import Found, Settings, Unfit, _Source
from blockresearch.weights.quantized.unpack import nibbles, scale_columns


def blockwise_absmax(
    absmax: np.ndarray,
    nested_absmax: np.ndarray | None,
    nested_map: np.ndarray | None,
    nested_block: int,
    offset: float,
) -> np.ndarray:
    """Scales of the blocks of a bitsandbytes weight, undoing their own quantization if any."""
    if nested_absmax is None or nested_map is None:
        return absmax.astype(np.float32)
    nested = np.repeat(nested_absmax.astype(np.float32), min(nested_block, len(absmax)))
    nested = nested[: len(absmax)]
    return nested_map.astype(np.float32)[absmax] * nested + np.float32(offset)


def _bitsandbytes4(source: _Source) -> Grid:
    """NF4 and FP4: the stored table of 16 values, high nibble first, one scale per block."""
    raw, _, _ = source.raw("quant_state")
    try:
        state = json_text.parse(raw.tobytes(), 65536, 4096)
        shape = tuple(int(size) for size in state["shape"])
        block, nested_block = int(state["blocksize"]), int(state.get("nested_blocksize", 256))
        offset = float(state.get("nested_offset", 0.0))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise source.fail("its quant_state is not the JSON that bitsandbytes writes") from error
    numel, stored = math.prod(shape), source.entry["end"] - source.entry["begin"]
    if not shape or min(shape) < 1 or block < 1 or nested_block < 1 or (numel + 1) // 2 != stored:
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
    if len(table) != 16 or len(scales) * block < numel:
        raise source.fail(f"{len(scales)} scales for blocks of {block}, {len(table)} values")
    shape = shape if len(shape) > 1 else (1, *shape)
    cols, begin = shape[-1], source.entry["begin"]

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

    return Grid(shape, "F32", read)


def _bitsandbytes8(source: _Source) -> Grid:
    """LLM.int8: code · SCB / 127 per row."""
    rows, cols = source.shape
    scales = source.values("scb").reshape(rows, 1) / np.float32(127)
    read_codes = source.rows(cols)

    def read(first: int, last: int) -> np.ndarray:
        values = read_codes(first, last).view(np.int8).astype(np.float32)
        return scale_columns(values, scales[first:last], cols)

    return Grid((rows, cols), "F32", read)


def bitsandbytes4(found: Found) -> Settings:
    """NF4 and FP4; the shape is in the data of quant_state."""
    _, shape, _ = found.owner
    state = found.by_role["quant_state"][0]
    method = "nf4" if state.endswith("nf4") else "fp4"
    # The true shape is in the quant_state's data; headers tell the number of elements only.
    numel = 2 * math.prod(shape)
    width = math.gcd(numel, 2 ** (numel.bit_length() // 2))
    settings = {"shape_inside": True}
    return f"bitsandbytes {method}", "bitsandbytes4", (numel // width, width), settings


def bitsandbytes8(found: Found) -> Settings:
    """LLM.int8: a scale for each row."""
    shape = found.owner[1]
    if len(shape) != 2 or math.prod(found.shape("scb")) != shape[0]:
        raise Unfit(f"SCB of shape {list(found.shape('scb'))} does not fit {list(shape)}")
    return "bitsandbytes int8", "bitsandbytes8", shape, {}
