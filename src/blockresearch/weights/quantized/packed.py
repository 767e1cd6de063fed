"""compressed-tensors pack-quantized: signed integers as a stream of bits in words."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from blockresearch.weights.grid import Grid
from blockresearch.weights.quantized.source import Found, Settings, Unfit, _group_of_column, _Source
from blockresearch.weights.quantized.unpack import grouped_integers, integers, unpack_bits


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
            zeros = unpack_bits(stream, bits, rows).T.astype(np.float32)
        else:
            zeros = packed.reshape(-1, scales.shape[1]).astype(np.float32) + offset
    groups: int | np.ndarray = width
    if source.has("g_idx"):
        groups = _group_of_column(source, cols, width, scales.shape[1])
    read_codes = source.rows(row_bytes)

    def read(first: int, last: int) -> np.ndarray:
        codes = integers(read_codes(first, last), bits, cols)
        codes = np.ascontiguousarray(codes)
        zero = offset if zeros is None else zeros[first:last]
        return grouped_integers(codes, scales[first:last], zero, groups)

    return Grid((rows, cols), "F32", read)


def packed_integers(found: Found) -> Settings:
    """compressed-tensors pack-quantized: a row is a stream of bits in words."""
    shape, scales = found.owner[1], found.shape("scale")
    if len(shape) != 2 or len(scales) not in (1, 2):
        raise Unfit(f"packed words of shape {list(shape)} with scales of shape {list(scales)}")
    groups = scales[1] if len(scales) == 2 else 1
    for bits, group in _groups(found.config):
        cols = shape[1] * 32 // bits
        width = group if group and group > 0 else cols // max(1, groups)
        # The last word of a row may be part empty.
        if (width and 0 <= groups * width - cols < width) or groups == 1:
            break
    else:
        raise Unfit(f"{shape[1]} words a row and {groups} groups fit no bit width of the config")
    settings: dict[str, Any] = {"bits": bits, "width": width}
    return "pack-quantized", "packed", (shape[0], cols), settings


def _groups(config: Mapping[str, Any]) -> list[tuple[int, int | None]]:
    """(bits, group size) of the config's groups of modules, then the usual ones."""
    result: list[tuple[int, int | None]] = []
    groups = config.get("config_groups")
    for group in groups.values() if isinstance(groups, Mapping) else ():
        weights = group.get("weights") if isinstance(group, Mapping) else None
        if isinstance(weights, Mapping):
            bits, size = weights.get("num_bits"), weights.get("group_size")
            if type(bits) is int and 1 <= bits <= 8:
                result.append((bits, size if type(size) is int else None))
    return result or [(4, None), (8, None)]
