"""torchao's safetensors pieces with one code a byte: Float8Tensor, Int8Tensor, unpacked Intx.

    P._weight_qdata       F8_E4M3 or I8 [out, in]
    P._weight_scale       [out, 1], [1, 1] or [out, in / group]
    P._weight_zero_point  optional, in the shape of the scales

W = (code - zero) · scale. Int4Tensor, which packs two codes into a byte, is not decoded.

Source: torchao prototype/safetensors and quantization/quantize_/workflows.
"""

from blockresearch.weights.quantized.fp8 import read_float8
from blockresearch.weights.quantized.int8 import read_int8
from blockresearch.weights.quantized.scaled import open_scaled
from blockresearch.weights.quantized.scheme import FLOAT8, Format, Found, Settings, Unfit


def read_integers(found: Found) -> Settings:
    """Settings of Int8Tensor and IntxUnpackedToInt8Tensor.

    Raises Unfit if the codes may be packed, or scales or zero points do not fit them.
    """
    shape, scales = found.owner[1], found.shape("scale")
    # Int4Tensor packs two codes into these bytes, and stores its scales [groups, out].
    packed = "int4weightonly" in str(found.config.get("quant_type")).lower()
    rows = shape[:-1]
    if packed or len(scales) != len(shape) or scales[:-1] not in (rows, (1,) * len(rows)):
        raise Unfit(f"scales of shape {list(scales)} for {list(shape)}: packed codes of torchao?")
    return read_int8(found)


FORMATS = (
    Format("._weight_qdata", FLOAT8, {"scale": "._weight_scale"}, {}, read_float8),
    Format(
        "._weight_qdata",
        frozenset({"I8"}),
        {"scale": "._weight_scale"},
        {"zeros": "._weight_zero_point"},
        read_integers,
    ),
)

FORMULAS = {"scaled": open_scaled}
