"""NVFP4: pairs of E2M1 codes with an F8_E4M3 scale for 16 columns and a scale for all.

    compressed-tensors  P.weight_packed U8 [out, in / 2], P.weight_scale [out, in / 16],
                        P.weight_global_scale F32 [1]:      W = E2M1[code] · scale / global
    ModelOpt            P.weight U8 or F4, P.weight_scale [out, in / 16],
                        P.weight_scale_2 F32 []:            W = E2M1[code] · scale · scale_2

Low nibble first; in a stack the scale for all may be one for each expert. Stacks that are stored
[E, in, out] (Llama 4) are packed along `in`: P [E, in / 2, out], P_weight_scale [E, in / 16, out].

ComfyUI's NVFP4 has ModelOpt's names, but tiles of 128 rows and 4 scales are shuffled for cuBLAS. So
without a config that names the writer, scales of whole tiles may be in either order.

Source: compressed-tensors nvfp4, ModelOpt quantization/qtensor/nvfp4_tensor.py.
"""

from blockresearch.weights.quantized.float4 import open_float4, open_float4_rows, read_float4
from blockresearch.weights.quantized.scheme import (
    POWERS,
    Format,
    Found,
    NotDecoded,
    Settings,
    Unfit,
)
from blockresearch.weights.quantized.settings import method_of


def read_packed(found: Found) -> Settings:
    """Settings of two E2M1 codes a byte with a scale for all.

    Raises Unfit if the scales are powers of two or do not fit the codes, NotDecoded if they may be
    shuffled.
    """
    if found.dtype("scale") in POWERS:
        raise Unfit("scales of this type do not belong to NVFP4")
    if "scale_2" in found.by_role and not method_of(found.config):
        *_, rows, groups = (1, 1, *found.shape("scale"))
        if rows % 128 == 0 and groups % 4 == 0:
            raise NotDecoded("NVFP4 of an unnamed library (the order of its scales is unknown)")
    return read_float4(found, "nvfp4", 16)


METHODS = frozenset({"nvfp4", "compressed-tensors", "modelopt"})

_TYPES = frozenset({"U8", "F4"})

FORMATS = (
    Format(
        "_packed",
        frozenset({"U8", "I8"}),
        {"scale": "_scale", "global_scale": "_global_scale"},
        {},
        read_packed,
        METHODS,
    ),
    *(
        Format("", _TYPES, {"scale": s, "scale_2": s + "_2"}, {}, read_packed, METHODS)
        for s in ("_scale", "_weight_scale")
    ),
)

FORMULAS = {"float4": open_float4, "float4 rows": open_float4_rows}
