"""compressed-tensors pack-quantized: signed integers of 1 to 8 bits in words of 32 bits.

    P_packed      I32 [..., out, words]
    P_scale       [..., out, groups], one group for a whole row or tensor
    P_zero_point  optional; I32 [..., words, groups], packed along outputs, or I8 like the scales
    P_shape       optional; I64 [2] or [3], the true shape; words may hold a few more columns
    P_g_idx       optional; I32 [in], the group of each column

`P` is `proj.weight` or a bare parameter such as `experts.gate_up_proj`, a stack has a dimension in
front. W = (code - zero) · scale; codes and packed zero points are stored plus 2^(bits - 1).

Codes are packed in one of two ways. Releases up to 0.13 put 32 // bits whole codes into a word, the
first lowest; later ones leave no gaps. Both are the same for 1, 2, 4 and 8 bits. For other widths
the number of words decides; if both fit, the spare bits of whole codes are zero.

Source: compressed-tensors compressors/pack_quantized (0.20.0) and
quantized_compressors/pack_quantized.py (0.9.4, 0.13.0).
"""

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from blockresearch.weights.grid import Grid, Packed
from blockresearch.weights.quantized import settings
from blockresearch.weights.quantized.scheme import Format, Found, NotDecoded, Settings, Unfit
from blockresearch.weights.quantized.source import Source
from blockresearch.weights.quantized.unpack import (
    grouped_integers,
    integers,
    unpack_bits,
    unpack_whole,
)

if TYPE_CHECKING:
    import torch

DENSE, WHOLE, EITHER = "dense", "whole", "either"

# Without a config: the widths that both ways of packing store alike.
USUAL = ((4, None), (8, None), (2, None))


class Reading(NamedTuple):
    """One way to read the words: bits of a code, packing, columns and width of a group."""

    bits: int
    packing: str
    cols: int
    width: int


def open_packed(source: Source) -> Grid:
    """The weights [..., out, in] as float32; raises Contradiction if weight_shape does not fit."""
    bits, width, packing = (source.settings[key] for key in ("bits", "width", "packing"))
    shape = _true_shape(source)
    rows, cols = math.prod(shape[:-1]), shape[-1]
    words = source.stored.shape[-1]
    read_codes = source.rows(words * 4)
    if packing == EITHER:
        packing = _packing_of(read_codes, rows, bits)
    groups = 1 if cols <= width else -(-cols // width)
    scales = source.values("scale").reshape(-1, groups)
    # One scale may serve the rows of a whole expert or tensor.
    scales = np.repeat(scales, rows // len(scales), axis=0)
    offset = float(2 ** (bits - 1))
    zeros = _zero_points(source, shape, bits, packing, groups) if source.has("zeros") else None
    group = source.group_of_column(cols, width, groups)

    def read(first: int, last: int) -> np.ndarray:
        data = read_codes(first, last)
        if packing == DENSE:
            codes = np.ascontiguousarray(integers(data, bits, cols))
        else:
            codes = unpack_whole(data.view("<u4"), bits, cols).astype(np.float32)
        zero = offset if zeros is None else zeros[first:last]
        return grouped_integers(codes, scales[first:last], zero, group)

    def decode(raw: "torch.Tensor", first: int) -> "torch.Tensor":
        from blockresearch.weights.quantized import on_device

        codes, rows = on_device.integers(raw, bits, cols), slice(first, first + len(raw))
        zero = offset if zeros is None else on_device.columns(zeros[rows], group, codes)
        return (codes - zero) * on_device.columns(scales[rows], group, codes)

    packed = Packed(source.stored.begin, words * 4, decode) if packing == DENSE else None
    return Grid(shape, "F32", read, packed)


def _true_shape(source: Source) -> tuple[int, ...]:
    """The logical shape, its columns as `weight_shape` says where it is stored."""
    shape = source.shape
    if not source.has("shape"):
        return shape
    bits, words = source.settings["bits"], source.stored.shape[-1]
    true = _columns(source.codes("shape").reshape(-1).tolist(), shape)
    if true is None or words not in (-(-true * bits // 32), -(-true // (32 // bits))):
        said = source.codes("shape").tolist()
        raise source.fail(f"weight_shape says {said}, the words hold {list(shape)}")
    return (*shape[:-1], true)


def _columns(stored: list[int], shape: tuple[int, ...]) -> int | None:
    """The columns that a stored shape states; None if it contradicts the rows.

    In a stack it is the shape of the stack, of an expert, or of each expert.
    """
    lengths = {2, len(shape)} if len(stored) in (2, len(shape)) else {2}
    for length in sorted(lengths, reverse=True):
        parts = {tuple(stored[i : i + length]) for i in range(0, len(stored), length)}
        if len(stored) % length == 0 and len(parts) == 1:
            (part,) = parts
            if part[:-1] == shape[-length:-1] and part[-1] > 0:
                return part[-1]
    return None


def _packing_of(read_codes: Any, rows: int, bits: int) -> str:
    """Whole codes leave the highest bits of each word empty; codes without gaps use them."""
    spare = np.uint32(-1 << (32 // bits * bits) & 0xFFFFFFFF)
    step = 256
    for first in range(0, rows, step):
        if (read_codes(first, min(first + step, rows)).view("<u4") & spare).any():
            return DENSE
    return WHOLE


def _zero_points(
    source: Source, shape: tuple[int, ...], bits: int, packing: str, groups: int
) -> np.ndarray:
    """Zero points as stored codes, float32 [rows of all experts, groups]."""
    stored = source.codes("zeros")
    rows = shape[-2]
    if stored.dtype.itemsize != 4:
        return stored.reshape(-1, groups).astype(np.float32) + 2.0 ** (bits - 1)
    # [experts, words, groups] to [experts · groups, words]
    stacked = stored.reshape(math.prod(shape[:-2]), -1, groups).transpose(0, 2, 1)
    words = np.ascontiguousarray(stacked).reshape(-1, stacked.shape[-1]).view("<u4")
    if packing == DENSE:
        codes = unpack_bits(words.view(np.uint8), bits, rows)
    else:
        codes = unpack_whole(words, bits, rows)
    return codes.reshape(-1, groups, rows).transpose(0, 2, 1).reshape(-1, groups).astype(np.float32)


def read_packed(found: Found) -> Settings:
    """Settings of the one reading that fits words, scales, zero points and the true shape.

    The config's group for the module states bits and size of groups; `weight_shape` is read if
    headers leave several readings. Raises Unfit if none or several fit, or NotDecoded.
    """
    shape, scales = found.owner[1], found.shape("scale")
    words = f"{shape[-1]} words a row with scales of shape {list(scales)}"
    if _groups(found) is None:
        raise Unfit(f"packed words of shape {list(shape)} with scales of shape {list(scales)}")
    own = settings.config_groups(
        found.config, (found.module, found.module.rpartition(".")[0], found.stem)
    )
    every = settings.all_groups(found.config)
    stated = list(_stated(found, own))
    known = math.prod(found.shape("g_idx")) if "g_idx" in found.by_role else None
    fitting = _readings(found, stated, known)
    if len(fitting) > 1 or len(every) > 1:
        true = found.integers("shape")
        if true is not None:
            known = _columns(true, shape)
            if known is None:
                raise Unfit(f"weight_shape {true} contradicts words of shape {list(shape)}")
            fitting = _readings(found, stated, known)
    if not fitting and len(every) > len(own):
        # Targets may name modules as another library does; the sizes settle it among all groups.
        stated = list(_stated(found, every))
        fitting = _readings(found, stated, known)
    if not fitting:
        raise Unfit(f"{words} fit none of {_told(stated)}")
    first = fitting[0]
    if any(other._replace(packing=first.packing) != first for other in fitting):
        raise Unfit(f"{words} fit several of {_told(stated)}")
    packing = first.packing if len(fitting) == 1 else EITHER
    result: dict[str, Any] = {"bits": first.bits, "width": first.width, "packing": packing}
    return "pack-quantized", "packed", (*shape[:-1], first.cols), result


def _told(stated: list[tuple[int, int | None]]) -> str:
    return " or ".join(
        f"{bits} bits" + (f" in groups of {size}" if size else "") for bits, size in stated
    )


def _stated(found: Found, groups: list[Mapping[str, Any]]) -> Iterator[tuple[int, int | None]]:
    """(bits, size of a group or None) of groups of the config, without any the usual.

    Raises Unfit if each of them needs a companion that is missing, NotDecoded if none is of int.
    """
    seen: set[tuple[int, int | None]] = set()
    lacking = ""
    for group in groups:
        weights = group["weights"]
        bits, size = weights.get("num_bits"), weights.get("group_size")
        if str(weights.get("type", "int")) != "int" or type(bits) is not int or not 1 <= bits <= 8:
            continue
        missing = _missing(found, weights)
        lacking = lacking or missing
        one = (bits, size if type(size) is int and size > 0 else None)
        if one not in seen and not missing:
            seen.add(one)
            yield one
    if lacking and not seen:
        raise Unfit(lacking)
    if groups and not seen:
        raise NotDecoded("packed words of a type other than int")
    if not groups:
        yield from USUAL


def _missing(found: Found, weights: Mapping[str, Any]) -> str:
    """Which companion settings of weights need that is not there, "" for none."""
    if weights.get("symmetric") is False and "zeros" not in found.by_role:
        return "the config says asymmetric, and zero points are missing"
    is_ordered = weights.get("actorder") in ("group", "dynamic", True)
    if is_ordered and "g_idx" not in found.by_role and (_groups(found) or 1) > 1:
        return "the config says actorder group, and weight_g_idx is missing"
    return ""


def _readings(
    found: Found, stated: list[tuple[int, int | None]], known: int | None
) -> list[Reading]:
    """The readings of stated bits and groups that fit; `known` is the true number of columns."""
    groups = _groups(found) or 1
    words, result = found.owner[1][-1], []
    for bits, size in stated:
        for packing in (DENSE,) if 32 % bits == 0 else (DENSE, WHOLE):
            whole = 32 // bits
            most = words * 32 // bits if packing == DENSE else words * whole
            least = (words - 1) * 32 // bits + 1 if packing == DENSE else most - whole + 1
            if size:
                least, most = max(least, (groups - 1) * size + 1), min(most, groups * size)
            cols = most if known is None else known
            # Libraries refuse to quantize rows that are not whole groups.
            uneven = cols % groups if not size else known is None and groups > 1 and cols % size
            if not least <= cols <= most or uneven:
                continue
            width = size if size and groups > 1 else -(-cols // groups)
            if _zeros_fit(found, bits, packing, groups):
                result.append(Reading(bits, packing, cols, width))
    return result


def _groups(found: Found) -> int | None:
    """Groups of columns that have a scale each; None if the scales do not fit the rows."""
    shape, scales = found.owner[1], found.shape("scale")
    ones = tuple(size for size in scales if size > 1)
    if math.prod(scales) == 1 or scales == shape[:-1] or ones == shape[:-2] == scales[: len(ones)]:
        return 1
    return scales[-1] if len(scales) == len(shape) and scales[:-1] == shape[:-1] else None


def _zeros_fit(found: Found, bits: int, packing: str, groups: int) -> bool:
    if "zeros" not in found.by_role:
        return True
    zeros, shape = found.shape("zeros"), found.owner[1]
    if found.dtype("zeros") not in ("I32", "U32"):
        return math.prod(zeros) == math.prod(found.shape("scale"))
    rows = shape[-2]
    words = -(-rows * bits // 32) if packing == DENSE else -(-rows // (32 // bits))
    return zeros == (*shape[:-2], words, groups)


FORMATS = (
    Format(
        "_packed",
        frozenset({"I32"}),
        {"scale": "_scale"},
        {"zeros": "_zero_point", "g_idx": "_g_idx", "shape": "_shape"},
        read_packed,
        frozenset({"compressed-tensors"}),
    ),
)

FORMULAS = {"packed": open_packed}
