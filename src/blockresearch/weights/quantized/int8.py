"""8-bit integers with scales per tensor, row or block: compressed-tensors int-quantized and others.

    P.weight             I8 [out, in]
    P.weight_scale       one, or [out, 1], or one for each block
    P.weight_zero_point  optional, in the shape of the scales

W = (code - zero) · scale.

Source: compressed-tensors naive_quantized; ModelOpt export (INT8_SQ).
"""

from blockresearch.weights.quantized.fp8 import SCALES
from blockresearch.weights.quantized.scaled import open_scaled, scale_block, stated_blocks
from blockresearch.weights.quantized.scheme import POWERS, Format, Found, Settings, Unfit


def read_int8(found: Found) -> Settings:
    """Settings of 8-bit integers. Raises Unfit if scales or zero points do not fit them."""
    shape, scales = found.owner[1], found.shape("scale")
    if found.dtype("scale") in POWERS:
        raise Unfit("scales that are powers of two do not belong to 8-bit integers")
    block = scale_block(shape, scales, stated_blocks(found))
    asymmetric = [weights.get("symmetric") is False for weights in found.stated]
    if "zeros" not in found.by_role and asymmetric and all(asymmetric):
        raise Unfit("the config says asymmetric, and zero points are missing")
    if "zeros" in found.by_role and found.shape("zeros") != scales:
        raise Unfit(f"zero points of shape {list(found.shape('zeros'))} do not fit the scales")
    return "int8", "scaled", shape, {"block": list(block)}


METHODS = frozenset({"compressed-tensors", "modelopt"})

_I8 = frozenset({"I8"})

FORMATS = (
    *(Format("", _I8, {"scale": s}, {"zeros": "_zero_point"}, read_int8, METHODS) for s in SCALES),
    Format(".weight", _I8, {"scale": ".scale"}, {}, read_int8, METHODS),
)

FORMULAS = {"scaled": open_scaled}
