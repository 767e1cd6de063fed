"""NVFP4: pairs of E2M1 codes with an F8_E4M3 scale for 16 columns and a scale for all.

    compressed-tensors  P.weight_packed U8 [out, in / 2], P.weight_scale [out, in / 16],
                        P.weight_global_scale F32 [1]:      W = E2M1[code] · scale / global
    ModelOpt            P.weight U8 or F4, P.weight_scale [out, in / 16],
                        P.weight_scale_2 F32 []:            W = E2M1[code] · scale · scale_2

Low nibble first; in a stack the scale for all may be one for each expert.

Source: compressed-tensors nvfp4, ModelOpt quantization/qtensor/nvfp4_tensor.py.
"""

from blockresearch.weights.quantized.float4 import open_float4, packed_shape
from blockresearch.weights.quantized.fp8 import SCALES
from blockresearch.weights.quantized.scheme import POWERS, Format, Found, Settings, Unfit


def read_packed(found: Found) -> Settings:
    """Settings of two E2M1 codes a byte with a scale for all; raises Unfit."""
    if found.dtype("scale") in POWERS:
        raise Unfit("scales of this type do not belong to NVFP4")
    return "nvfp4", "float4", packed_shape(found, 16), {"width": 16}


FORMATS = (
    Format(
        "_packed",
        frozenset({"U8", "I8"}),
        {"scale": "_scale", "global_scale": "_global_scale"},
        {},
        read_packed,
    ),
    *(
        Format("", frozenset({"U8", "F4"}), {"scale": s, "scale_2": s + "_2"}, {}, read_packed)
        for s in SCALES
    ),
)

FORMULAS = {"float4": open_float4}
