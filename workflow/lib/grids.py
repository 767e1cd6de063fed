"""A stored tensor as a grid of rows that can be read block by block, quantised ones dequantised.

`open_grid` is the only place that knows how the bytes of a weight become numbers: a plain tensor
gives its codes as stored, a quantised one float32 values by the formula of its scheme. Companions
are small and read whole; the codes of GPTQ and AWQ, whose rows run across the file, too.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workflow.lib import dequantise, dtypes
from workflow.lib.quantised_shapes import POWERS
from workflow.lib.safetensors_file import SafetensorsError, read_bytes


class Contradiction(SafetensorsError):
    """The data of a quantised weight and its companions do not fit each other; `rule` says how."""

    def __init__(self, where: str, rule: str):
        super().__init__(f"{where}: {rule}.")
        self.rule = rule


PathOf = Callable[[str], Path]
Entry = Mapping[str, Any]  # a tensor of the plan: name, dtype, shape, begin, end …
Read = Callable[[int, int], np.ndarray]


@dataclass(frozen=True)
class Grid:
    """A tensor of logical `shape` as [rows, cols], the last dimension being the columns.

    `read(begin, end)` gives those rows as an array [end - begin, cols] of stored codes of `dtype`,
    a safetensors type (F32 for a dequantised weight).
    """

    shape: tuple[int, ...]
    dtype: str
    read: Read

    @property
    def rows(self) -> int:
        return math.prod(self.shape[:-1])

    @property
    def cols(self) -> int:
        return self.shape[-1] if self.shape else 1

    @property
    def row_bytes(self) -> int:
        return max(1, self.cols * self.item_bytes)

    @property
    def item_bytes(self) -> int:
        """Bytes of one element as `read` gives it."""
        return max(1, dtypes.DTYPES[self.dtype].bits // 8)

    def with_cols(self, cols: int) -> "Grid":
        """The same elements in rows of `cols`, a multiple of the present columns."""
        times = cols // max(1, self.cols)
        if times == 1:
            return self

        def read(first: int, last: int) -> np.ndarray:
            return self.read(first * times, last * times).reshape(last - first, cols)

        return Grid((math.prod(self.shape) // cols, cols), self.dtype, read)


@dataclass(frozen=True)
class _Source:
    """One quantised weight: its entry, and where its file and its companions' files lie."""

    entry: Entry
    path_of: PathOf
    shard: Path

    @property
    def settings(self) -> Mapping[str, Any]:
        return self.entry["scheme"]["settings"]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.entry["scheme"]["shape"])

    def rows(self, row_bytes: int) -> Callable[[int, int], np.ndarray]:
        """Reads the bytes of rows of the owner: uint8 [n, row_bytes]."""
        begin = self.entry["begin"]

        def read(first: int, last: int) -> np.ndarray:
            raw = read_bytes(self.shard, begin + first * row_bytes, begin + last * row_bytes)
            return raw.reshape(last - first, row_bytes)

        return read

    def words(self) -> np.ndarray:
        """The whole owner as little-endian words of 32 bits, in its shape."""
        raw = read_bytes(self.shard, self.entry["begin"], self.entry["end"])
        return raw.view("<u4").reshape(self.entry["shape"])

    def has(self, role: str) -> bool:
        return role in self.entry["scheme"]["companions"]

    def raw(self, role: str) -> tuple[np.ndarray, str, tuple[int, ...]]:
        """Bytes, type and shape of a companion."""
        companion = self.entry["scheme"]["companions"][role]
        path = self.path_of(companion["shard"])
        raw = read_bytes(path, companion["begin"], companion["end"])
        return raw, companion["dtype"], tuple(companion["shape"])

    def codes(self, role: str) -> np.ndarray:
        """A companion as stored integers."""
        raw, dtype, shape = self.raw(role)
        return raw.view(dtypes.storage(dtype)).reshape(shape)

    def values(self, role: str, powers: bool = False) -> np.ndarray:
        """A companion as float32; with `powers`, U8 codes are exponents of two."""
        raw, dtype, shape = self.raw(role)
        dtype = "F8_E8M0" if powers and dtype in POWERS else dtype
        return dtypes.decode(raw, dtype, np.float32).reshape(shape)

    def fail(self, rule: str) -> Contradiction:
        return Contradiction(f"{self.shard}: tensor {self.entry['name']!r}", rule)


def open_grid(entry: Entry, path_of: PathOf) -> Grid:
    """The grid of a tensor of the plan; `path_of` gives the place of a shard on this machine.

    Raises Contradiction where companions contradict what the scheme promised.
    """
    shard = path_of(entry["shard"])
    if "scheme" in entry:
        source = _Source(entry, path_of, shard)
        try:
            return FORMULAS[entry["scheme"]["formula"]](source)
        except SafetensorsError:
            raise
        except (ValueError, IndexError) as error:
            sizes = {r: c["shape"] for r, c in entry["scheme"]["companions"].items()}
            raise source.fail(f"its companions do not fit it: {json.dumps(sizes)}") from error
    shape, dtype, begin = tuple(entry["shape"]), entry["dtype"], entry["begin"]
    bits = dtypes.DTYPES[dtype].bits
    cols = shape[-1] if shape else 1

    def read(first: int, last: int) -> np.ndarray:
        raw = read_bytes(shard, begin + first * cols * bits // 8, begin + last * cols * bits // 8)
        return dtypes.codes(raw, dtype).reshape(last - first, cols)

    return Grid(shape, dtype, read)


def _scaled(source: _Source) -> Grid:
    """FP8 and INT8 with scales per tensor, channel or block: (code - zero) · scale."""
    shape, dtype = source.shape, source.entry["dtype"]
    rows, cols = shape[-2:]
    scales = source.values("scale", powers=True)
    block = tuple(source.settings["block"])
    grid_of_scales = tuple(-(-a // b) for a, b in zip(shape, block, strict=True))
    scales = scales.reshape(grid_of_scales)
    zeros = source.values("zeros").reshape(grid_of_scales) if source.has("zeros") else None
    read_codes = source.rows(cols)

    def at(table: np.ndarray, first: int, last: int) -> np.ndarray:
        place = np.arange(first, last)
        leading = np.unravel_index(place // rows, shape[:-2] or (1,))
        index = [i // b for i, b in zip(leading, block[:-2], strict=True)] if block[:-2] else []
        return table[(*index, place % rows // block[-2])]

    def read(first: int, last: int) -> np.ndarray:
        values = dtypes.decode(read_codes(first, last), dtype).reshape(last - first, cols)
        if zeros is not None:
            dequantise.shift_columns(values, -at(zeros, first, last), block[-1])
        return dequantise.scale_columns(values, at(scales, first, last), block[-1])

    return Grid(shape, "F32", read)


def _float4(source: _Source) -> Grid:
    """MXFP4 and NVFP4: E2M1 codes, low nibble first, scales along rows, perhaps one for all."""
    shape, width = source.shape, source.settings["width"]
    cols = shape[-1]
    scales = source.values("scale", powers=True).reshape(-1, cols // width)
    if source.has("global_scale"):
        scales = scales / _per_row(source, "global_scale", len(scales))
    elif source.has("scale_2"):
        scales = scales * _per_row(source, "scale_2", len(scales))
    read_codes = source.rows(cols // 2)

    def read(first: int, last: int) -> np.ndarray:
        values = dequantise.nibbles(read_codes(first, last), dequantise.e2m1())
        return dequantise.scale_columns(values, scales[first:last], width)

    return Grid(shape, "F32", read)


def _per_row(source: _Source, role: str, rows: int) -> np.ndarray:
    """A scale for the whole tensor, or one per expert, as a column [rows or 1, 1]."""
    values = source.values(role).reshape(-1, 1)
    if not len(values) or rows % len(values):
        raise source.fail(f"{len(values)} values of {role} do not fit {rows} rows")
    return np.repeat(values, rows // len(values), axis=0)


def _packed(source: _Source) -> Grid:
    """compressed-tensors pack-quantized: signed integers stored with an offset of 2^(b-1)."""
    bits, width = source.settings["bits"], source.settings["width"]
    rows, cols = source.shape
    row_bytes = source.entry["shape"][1] * 4
    if source.has("shape"):
        true = source.codes("shape").reshape(-1).tolist()
        if len(true) == 2 and true[0] == rows and 0 < true[1] <= cols:
            cols = true[1]
        else:
            raise source.fail(f"weight_shape says {true}, the words hold {[rows, cols]}")
    offset = float(2 ** (bits - 1))
    scales = source.values("scale").reshape(-1, 1 if cols <= width else -(-cols // width))
    scales = np.broadcast_to(scales, (rows, scales.shape[1]))
    zeros: np.ndarray | None = None
    if source.has("zeros"):
        packed = source.codes("zeros")
        if packed.dtype.itemsize == 4:
            stream = np.ascontiguousarray(packed.reshape(-1, scales.shape[1]).T).view(np.uint8)
            zeros = dequantise.unpack_bits(stream, bits, rows).T.astype(np.float32)
        else:
            zeros = packed.reshape(-1, scales.shape[1]).astype(np.float32) + offset
    groups: int | np.ndarray = width
    if source.has("g_idx"):
        groups = _group_of_column(source, cols, width, scales.shape[1])
    read_codes = source.rows(row_bytes)

    def read(first: int, last: int) -> np.ndarray:
        codes = dequantise.integers(read_codes(first, last), bits, cols)
        codes = np.ascontiguousarray(codes)
        zero = offset if zeros is None else zeros[first:last]
        return dequantise.grouped_integers(codes, scales[first:last], zero, groups)

    return Grid((rows, cols), "F32", read)


def _group_of_column(source: _Source, cols: int, width: int, groups: int) -> int | np.ndarray:
    """Group of each column, or its width where groups are just consecutive columns."""
    index = source.codes("g_idx").reshape(-1).astype(np.int64)
    if len(index) != cols or (index >= groups).any() or (index < -1).any():
        raise source.fail(f"g_idx does not name groups 0 to {groups - 1} for {cols} columns")
    # -1 throughout is an unused g_idx.
    if (index == -1).all() or np.array_equal(index, np.arange(cols) // width):
        return width
    return index


def _gptq(source: _Source) -> Grid:
    bits, width = source.settings["bits"], source.settings["width"]
    outputs, inputs = source.shape
    packed = source.words()
    scales = np.ascontiguousarray(source.values("scale").T)
    zeros = dequantise.gptq_zeros(source.codes("zeros"), bits, outputs, source.settings["plus_one"])
    zeros = np.ascontiguousarray(zeros.T)
    groups: int | np.ndarray = width
    if source.has("g_idx"):
        groups = _group_of_column(source, inputs, width, scales.shape[1])

    def read(first: int, last: int) -> np.ndarray:
        stream = np.ascontiguousarray(packed[:, first:last].T).view(np.uint8)
        codes = np.ascontiguousarray(dequantise.integers(stream, bits, inputs))
        return dequantise.grouped_integers(codes, scales[first:last], zeros[first:last], groups)

    return Grid((outputs, inputs), "F32", read)


def _awq(source: _Source) -> Grid:
    width = source.settings["width"]
    outputs, inputs = source.shape
    packed = source.words()
    scales = np.ascontiguousarray(source.values("scale").T)
    zeros = dequantise.awq_integers(source.codes("zeros").view("<u4"))

    def read(first: int, last: int) -> np.ndarray:
        low, high = first // 8, -(-last // 8)
        codes = dequantise.awq_integers(packed[:, low:high])[first - 8 * low : last - 8 * low]
        return dequantise.grouped_integers(codes, scales[first:last], zeros[first:last], width)

    return Grid((outputs, inputs), "F32", read)


def _bitsandbytes4(source: _Source) -> Grid:
    """NF4 and FP4: the stored table of 16 values, high nibble first, one scale per block."""
    raw, _, _ = source.raw("quant_state")
    try:
        state = json.loads(raw.tobytes())
        shape = tuple(int(size) for size in state["shape"])
        block, nested_block = int(state["blocksize"]), int(state.get("nested_blocksize", 256))
        offset = float(state.get("nested_offset", 0.0))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise source.fail("its quant_state is not the JSON that bitsandbytes writes") from error
    numel, stored = math.prod(shape), source.entry["end"] - source.entry["begin"]
    if not shape or min(shape) < 1 or block < 1 or nested_block < 1 or (numel + 1) // 2 != stored:
        raise source.fail(f"its quant_state says shape {list(shape)} for {stored} bytes")
    table = source.values("quant_map").reshape(-1)
    nested = source.has("nested_absmax") and source.has("nested_quant_map")
    absmax = source.codes("absmax").reshape(-1) if nested else source.values("absmax").reshape(-1)
    scales = dequantise.blockwise_absmax(
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
        values = dequantise.nibbles(packed, table, high_first=True)
        factors = scales[low // block : -(-high // block)]
        values = dequantise.scale_columns(values[None], factors[None], block)[0]
        return values[first * cols - low : last * cols - low].reshape(last - first, cols)

    return Grid(shape, "F32", read)


def _bitsandbytes8(source: _Source) -> Grid:
    """LLM.int8: code · SCB / 127 per row."""
    rows, cols = source.shape
    scales = source.values("scb").reshape(rows, 1) / np.float32(127)
    read_codes = source.rows(cols)

    def read(first: int, last: int) -> np.ndarray:
        values = read_codes(first, last).view(np.int8).astype(np.float32)
        return dequantise.scale_columns(values, scales[first:last], cols)

    return Grid((rows, cols), "F32", read)


def _mlx(source: _Source) -> Grid:
    """MLX affine: code · scale + bias per group."""
    bits, width = source.settings["bits"], source.settings["width"]
    cols = source.shape[-1]
    scales = source.values("scale").reshape(-1, cols // width)
    biases = source.values("biases").reshape(-1, cols // width)
    read_codes = source.rows(cols * bits // 8)

    def read(first: int, last: int) -> np.ndarray:
        values = np.ascontiguousarray(dequantise.integers(read_codes(first, last), bits, cols))
        dequantise.scale_columns(values, scales[first:last], width)
        return dequantise.shift_columns(values, biases[first:last], width)

    return Grid(source.shape, "F32", read)


FORMULAS: dict[str, Callable[[_Source], Grid]] = {
    "scaled": _scaled,
    "float4": _float4,
    "packed": _packed,
    "gptq": _gptq,
    "awq": _awq,
    "bitsandbytes4": _bitsandbytes4,
    "bitsandbytes8": _bitsandbytes8,
    "mlx": _mlx,
}
