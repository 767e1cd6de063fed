"""GPTQ: integers packed along the inputs, with zero points for each group and output.

    P.qweight  I32 [in · bits / 32, out]: codes of a column one after the other, lowest bit first
    P.qzeros   I32 [groups, out · bits / 32]: zero points of a group one after the other
    P.scales   F16 [groups, out]
    P.g_idx    I32 [in], optional: the group of each input

W[o, i] = scales[g, o] · (code[i, o] - zero[g, o]) with g = g_idx[i], else i // group_size.

The first version of the layout stores zero points less one; `checkpoint_format: gptq_v2` stores
them as they are. So does AutoRound if its `packing_format` is `auto_round` or
`auto_round:gptqmodel`; `auto_round:auto_gptq` and `auto_round:gptq` are less one. In some files the
config states the wrong one. With `sym` every zero point is 2^(bits - 1): the stored values decide.
2, 3, 4 and 8 bits, of AutoRound 5, 6 and 7 too; GPTQModel stores these in another layout (planar).

Source: GPTQModel nn_modules/qlinear/__init__.py and utils/model.py
(`convert_gptq_v1_to_v2_format_module`), AutoGPTQ qlinear_cuda.py, AutoRound
auto_round_extension/torch and inference/convert_model.py.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from blockresearch.weights.grid import Grid
from blockresearch.weights.quantized import settings
from blockresearch.weights.quantized.scheme import Format, Found, NotDecoded, Settings, Unfit
from blockresearch.weights.quantized.source import Source
from blockresearch.weights.quantized.unpack import grouped_integers, integers, unpack_bits

OTHER_LAYOUTS = {"gptq_p", "marlin", "bitblas", "qqq", "exl3", "paroquant", "gguf"}

AS_STORED, LESS_ONE, UNKNOWN = "as stored", "less one", "unknown"

# So many equal zero points are no chance.
ENOUGH_ZERO_POINTS = 16


def open_gptq(source: Source) -> Grid:
    """The weights [out, in] as float32; raises Contradiction if zeros or groups do not fit."""
    bits, width = source.settings["bits"], source.settings["width"]
    outputs, inputs = source.shape
    packed = source.words()
    scales = np.ascontiguousarray(source.values("scale").T)
    zeros = np.ascontiguousarray(_zero_points(source, bits, outputs).T)
    groups = source.group_of_column(inputs, width, scales.shape[1])

    def read(first: int, last: int) -> np.ndarray:
        stream = np.ascontiguousarray(packed[:, first:last].T).view(np.uint8)
        codes = np.ascontiguousarray(integers(stream, bits, inputs))
        return grouped_integers(codes, scales[first:last], zeros[first:last], groups)

    return Grid((outputs, inputs), "F32", read)


def _zero_points(source: Source, bits: int, outputs: int) -> np.ndarray:
    """Zero points, float32 [groups, outputs]."""
    words = np.ascontiguousarray(source.codes("zeros"))
    stored = unpack_bits(words.view(np.uint8), bits, outputs)
    how, symmetric, middle = source.settings["zeros"], source.settings["sym"], 2 ** (bits - 1)
    if symmetric or (symmetric is None and stored.size >= ENOUGH_ZERO_POINTS):
        if (stored == middle).all():
            how = AS_STORED
        elif (stored == middle - 1).all():
            how = LESS_ONE
        elif symmetric:
            found = f"{stored.min()} to {stored.max()}"
            raise source.fail(
                f"its config says sym, but its stored zero points are {found}, not {middle}"
                f" nor {middle - 1}"
            )
    if how == UNKNOWN:
        raise source.fail("nothing says whether its zero points are stored as they are or less one")
    if how == LESS_ONE:
        stored = (stored.astype(np.uint16) + 1) & ((1 << bits) - 1)
    return stored.astype(np.float32)


def read_gptq(found: Found) -> Settings:
    """Settings by names and shapes, as the config allows.

    Raises Unfit if shapes or config contradict the layout or fit several numbers of bits,
    NotDecoded if the config names another layout of GPTQ.
    """
    words, scales, zeros = found.owner[1], found.shape("scale"), found.shape("zeros")
    shapes = f"words {list(words)}, zero points {list(zeros)}, scales {list(scales)}"
    own = settings.of_module(found.config, found.module)
    method, packing = settings.method_of(own), packing_format(own)
    form = str(own.get("checkpoint_format") or own.get("format") or "")
    if form in OTHER_LAYOUTS:
        raise NotDecoded(f"the layout {form} of GPTQ")
    if len(words) != 2 or len(scales) != 2 or len(zeros) != 2 or zeros[0] != scales[0]:
        raise Unfit(shapes)
    groups, outputs = scales
    if words[1] != outputs or not groups:
        raise Unfit(shapes)
    if method == "awq" or "awq" in packing:
        raise Unfit(f"{shapes} are those of GPTQ, but the config says AWQ")
    known = math.prod(found.shape("g_idx")) if "g_idx" in found.by_role else None
    fitting = [
        (bits, inputs)
        for bits in range(2, 9)
        for inputs in [words[0] * 32 // bits if known is None else known]
        if -(-outputs * bits // 32) == zeros[1]
        if -(-inputs * bits // 32) == words[0] and inputs >= groups
    ]
    stated = own.get("bits")
    if type(stated) is int:
        fitting = [(bits, inputs) for bits, inputs in fitting if bits == stated]
    if len(fitting) != 1:
        said = f"{stated} bits" if type(stated) is int else "one number of bits"
        raise Unfit(f"{shapes} are not those of {said}")
    ((bits, inputs),) = fitting
    if bits in (5, 6, 7) and method != "auto-round":
        raise NotDecoded(f"the planar layout of {bits} bits of GPTQModel")
    if own.get("desc_act") is True and groups > 1 and known is None:
        raise Unfit("the config says desc_act, and g_idx is missing")
    size = own.get("group_size")
    width = size if type(size) is int and size > 0 else -(-inputs // groups)
    if -(-inputs // width) != groups:
        raise Unfit(f"{inputs} inputs in groups of {width} have not {groups} groups")
    return (
        "gptq",
        "gptq",
        (outputs, inputs),
        {"bits": bits, "width": width, "zeros": _zeros(own, form), "sym": _symmetric(own)},
    )


def packing_format(own: Mapping[str, Any]) -> str:
    """AutoRound's `packing_format` (earlier `backend`), "" for other methods."""
    if settings.method_of(own) != "auto-round":
        return ""
    return str(own.get("packing_format") or own.get("backend") or "auto_round:auto_gptq")


def _zeros(own: Mapping[str, Any], form: str) -> str:
    """How zero points are stored, as the config says."""
    packing = packing_format(own)
    if packing:
        less_one = "gptq" in packing.replace("gptqmodel", "")
        return LESS_ONE if less_one else AS_STORED
    if form == "gptq_v2":
        return AS_STORED
    return LESS_ONE if own else UNKNOWN


def _symmetric(own: Mapping[str, Any]) -> bool | None:
    stated = own.get("sym")
    return stated if isinstance(stated, bool) else None


FORMATS = (
    Format(
        ".qweight",
        frozenset({"I32", "U32"}),
        {"scale": ".scales", "zeros": ".qzeros"},
        {"g_idx": ".g_idx"},
        read_gptq,
        frozenset({"gptq", "auto-round"}),
    ),
)

FORMULAS = {"gptq": open_gptq}
