"""MLX affine quantization: code · scale + bias per group."""

from collections.abc import Mapping

import numpy as np

from blockresearch.weights.grid import Grid
from blockresearch.weights.quantized.source import POWERS, Found, Settings, Unfit, _Source
from blockresearch.weights.quantized.unpack import integers, scale_columns, shift_columns


def _mlx(source: _Source) -> Grid:
    """MLX affine: code · scale + bias per group."""
    bits, width = source.settings["bits"], source.settings["width"]
    cols = source.shape[-1]
    scales = source.values("scale").reshape(-1, cols // width)
    biases = source.values("biases").reshape(-1, cols // width)
    read_codes = source.rows(cols * bits // 8)

    def read(first: int, last: int) -> np.ndarray:
        values = np.ascontiguousarray(integers(read_codes(first, last), bits, cols))
        scale_columns(values, scales[first:last], width)
        return shift_columns(values, biases[first:last], width)

    return Grid(source.shape, "F32", read)


def mlx(found: Found) -> Settings:
    """MLX affine, and its mode mxfp4 without biases."""
    name, words, _ = found.owner
    scales = found.shape("scale")
    if len(words) != len(scales) or words[:-1] != scales[:-1] or not scales[-1]:
        raise Unfit(f"scales of shape {list(scales)} do not fit words {list(words)}")
    affine = "biases" in found.by_role
    if affine and found.shape("biases") != scales:
        raise Unfit(f"biases of shape {list(found.shape('biases'))} do not fit the scales")
    if not affine and found.dtype("scale") not in POWERS:
        raise Unfit("scales without biases that are no powers of two")
    own = found.config.get(name.removesuffix(".weight"))
    own = own if isinstance(own, Mapping) else {}
    wanted = [(part.get("bits"), part.get("group_size")) for part in (own, {**found.config, **own})]
    usual = [(bits, group) for group in (64, 32, 128, 16) for bits in (4, 8, 6, 3, 2, 5)]
    for bits, group in wanted + usual:
        if type(bits) is int and type(group) is int and 1 < bits < 9 and group > 0:
            cols = scales[-1] * group
            if cols * bits == words[-1] * 32 and (affine or (bits, group) == (4, 32)):
                settings = {"bits": bits, "width": group}
                formula = "mlx" if affine else "float4"
                method = "mlx affine" if affine else "mxfp4"
                return method, formula, (*words[:-1], cols), settings
    raise Unfit(f"words {list(words)} and scales {list(scales)} fit no bits and group size")
