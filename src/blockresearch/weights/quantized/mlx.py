"""MLX: affine integers, and its modes mxfp4, mxfp8 and nvfp4.

    P.weight  U32 [..., out, in · bits / 32]: codes, lowest bit first
    P.scales  [..., out, in / group]; in the modes U8: E8M0, for nvfp4 F8_E4M3
    P.biases  like the scales, for affine alone

affine: W = code · scale + bias. mxfp4: E2M1[code] · 2^(s - 127) in groups of 32; mxfp8:
E4M3[code] · 2^(s - 127) in groups of 32; nvfp4: E2M1[code] · E4M3[s] in groups of 16. The config's
`quantization` states bits, group_size and mode, for a module by its own name.

Source: MLX docs of mlx.core.quantize and dequantize (0.32.4).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from blockresearch.safetensors import dtypes
from blockresearch.weights.grid import Grid, Packed
from blockresearch.weights.quantized import settings
from blockresearch.weights.quantized.scheme import Format, Found, NotDecoded, Settings, Unfit
from blockresearch.weights.quantized.source import Source
from blockresearch.weights.quantized.unpack import (
    e2m1,
    integers,
    nibbles,
    scale_columns,
    shift_columns,
)

if TYPE_CHECKING:
    import torch

# Mode: bits, size of a group and type of the scales.
MODES = {
    "mxfp4": (4, 32, "F8_E8M0"),
    "mxfp8": (8, 32, "F8_E8M0"),
    "nvfp4": (4, 16, "F8_E4M3"),
}

AFFINE_BITS = (1, 2, 3, 4, 5, 6, 8)

AFFINE_GROUPS = (16, 32, 64, 128)


def open_affine(source: Source) -> Grid:
    """The weights [..., out, in] as float32."""
    bits, width = source.settings["bits"], source.settings["width"]
    cols = source.shape[-1]
    scales = source.values("scale").reshape(-1, cols // width)
    biases = source.values("biases").reshape(-1, cols // width)
    read_codes = source.rows(cols * bits // 8)

    def read(first: int, last: int) -> np.ndarray:
        values = np.ascontiguousarray(integers(read_codes(first, last), bits, cols))
        scale_columns(values, scales[first:last], width)
        return shift_columns(values, biases[first:last], width)

    def decode(raw: "torch.Tensor", first: int) -> "torch.Tensor":
        from blockresearch.weights.quantized import on_device

        values, rows = on_device.integers(raw, bits, cols), slice(first, first + len(raw))
        values = values * on_device.columns(scales[rows], width, values)
        return values + on_device.columns(biases[rows], width, values)

    packed = Packed(source.stored.begin, cols * bits // 8, decode)
    return Grid(source.shape, "F32", read, packed)


def open_mode(source: Source) -> Grid:
    """The weights [..., out, in] of one of the MODES as float32."""
    bits, width, scale_type = MODES[source.settings["mode"]]
    cols = source.shape[-1]
    scales = source.values("scale", read_as=scale_type).reshape(-1, cols // width)
    read_codes = source.rows(cols * bits // 8)

    def read(first: int, last: int) -> np.ndarray:
        data = read_codes(first, last)
        values = nibbles(data, e2m1()) if bits == 4 else dtypes.decode(data, "F8_E4M3")
        return scale_columns(values.reshape(last - first, cols), scales[first:last], width)

    def decode(raw: "torch.Tensor", first: int) -> "torch.Tensor":
        from blockresearch.weights.quantized import on_device

        is_pair = bits == 4
        values = on_device.nibbles(raw, e2m1()) if is_pair else on_device.byte_codes(raw, "F8_E4M3")
        return values * on_device.columns(scales[first : first + len(raw)], width, values)

    packed = Packed(source.stored.begin, cols * bits // 8, decode)
    return Grid(source.shape, "F32", read, packed)


def read_affine(found: Found) -> Settings:
    """Settings of codes with scales and biases.

    Raises Unfit if no number of bits and size of groups fits the shapes, or several do.
    """
    words, scales = found.owner[1], found.shape("scale")
    if len(words) != len(scales) or words[:-1] != scales[:-1] or not scales[-1]:
        raise Unfit(f"scales of shape {list(scales)} do not fit words {list(words)}")
    if found.shape("biases") != scales:
        raise Unfit(f"biases of shape {list(found.shape('biases'))} do not fit the scales")
    for stated in _stated(found):
        fitting = {
            (bits, group)
            for bits, group in stated
            if 0 < bits < 9 and group > 0 and scales[-1] * group * bits == words[-1] * 32
        }
        if len(fitting) > 1:
            told = " and ".join(f"{bits} bits in groups of {g}" for bits, g in sorted(fitting))
            raise Unfit(f"words {list(words)} and scales {list(scales)} fit {told}")
        for bits, group in fitting:
            logical = (*words[:-1], scales[-1] * group)
            return "mlx affine", "mlx", logical, {"bits": bits, "width": group}
    raise Unfit(f"words {list(words)} and scales {list(scales)} fit no bits and group size")


def _stated(found: Found) -> Iterator[set[tuple[int, int]]]:
    """Sets of (bits, group size): the module's own, any that the config states, else the usual."""
    yield _pairs([settings.of_module(found.config, found.module)])
    parts = [found.config, *(p for p in found.config.values() if isinstance(p, Mapping))]
    stated = _pairs(parts)
    yield stated
    if not stated:
        yield {(bits, group) for bits in AFFINE_BITS for group in AFFINE_GROUPS}


def _pairs(parts: Iterable[Mapping[str, Any]]) -> set[tuple[int, int]]:
    pairs = [(part.get("bits"), part.get("group_size")) for part in parts]
    return {(bits, size) for bits, size in pairs if type(bits) is int and type(size) is int}


def read_mode(found: Found) -> Settings:
    """Settings of codes with scales alone.

    Raises NotDecoded if the config names an unknown mode, Unfit if biases are missing or the shapes
    do not fit the mode.
    """
    words, scales = found.owner[1], found.shape("scale")
    own = settings.of_module(found.config, found.module)
    stated = own.get("mode")
    if stated is not None and stated not in (*MODES, "affine"):
        raise NotDecoded(f"MLX's mode {str(stated)[:40]}")
    if stated == "affine" or found.dtype("scale") not in ("U8", "F8_E8M0", "F8_E4M3"):
        raise Unfit(f"biases of words {list(words)} missing")
    if len(words) == len(scales) and words[:-1] == scales[:-1]:
        for mode, (bits, width, _) in MODES.items():
            if mode == (stated or mode) and words[-1] * 32 == scales[-1] * width * bits:
                logical = (*words[:-1], scales[-1] * width)
                return mode, "mlx mode", logical, {"mode": mode}
    told = f"mode {stated}" if stated else "any mode"
    raise Unfit(f"words {list(words)} and scales {list(scales)} do not fit {told}")


FORMATS = (
    Format(
        ".weight", frozenset({"U32"}), {"scale": ".scales", "biases": ".biases"}, {}, read_affine
    ),
    Format(".weight", frozenset({"U32"}), {"scale": ".scales"}, {}, read_mode),
)

FORMULAS = {"mlx": open_affine, "mlx mode": open_mode}
