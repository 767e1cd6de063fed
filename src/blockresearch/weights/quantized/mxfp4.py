"""MXFP4: pairs of E2M1 codes with a power of two for 32 columns.

    P_packed    U8 or I8 [..., out, in / 2]    P_scale   U8 or E8M0 [..., out, in / 32]
    P_blocks    U8 [E, out, in / 32, 16]       P_scales  U8 [E, out, in / 32]          (gpt-oss)
    P           U8, I8 or F4                   P_scale   U8 or E8M0 [..., out, in / 32]
    P.weight    U8, I8 or F4                   P.scale   the same                  (DeepSeek-V4)

W = E2M1[code] · 2^(scale - 127), low nibble first. `P` is `proj.weight` or a bare parameter.

Source: compressed-tensors mxfp4, transformers integrations/mxfp4.py and finegrained_fp8.py
(`_unpack_fp4`), AMD Quark.
"""

from blockresearch.weights.quantized.float4 import open_float4, open_float4_rows, read_float4
from blockresearch.weights.quantized.fp8 import SCALES
from blockresearch.weights.quantized.scheme import POWERS, Format, Found, Settings, Unfit


def read_packed(found: Found) -> Settings:
    """Settings of two E2M1 codes a byte. Raises Unfit if scales of powers of two do not fit."""
    if found.dtype("scale") not in POWERS:
        raise Unfit("scales of this type do not belong to MXFP4")
    return read_float4(found, "mxfp4", 32)


def read_blocks(found: Found) -> Settings:
    """Settings of gpt-oss' blocks of 16 bytes. Raises Unfit if not each has a scale."""
    shape = found.owner[1]
    if len(shape) < 3 or found.shape("scale") != shape[:-1]:
        raise Unfit(f"scales of shape {list(found.shape('scale'))} do not fit blocks {list(shape)}")
    logical = (*shape[:-2], shape[-2] * shape[-1] * 2)
    return "mxfp4", "float4", logical, {"width": 2 * shape[-1]}


METHODS = frozenset({"mxfp4", "compressed-tensors", "modelopt"})

_BYTES = frozenset({"U8", "I8"})

FORMATS = (
    Format("_packed", _BYTES, {"scale": "_scale"}, {}, read_packed, METHODS),
    Format("_blocks", frozenset({"U8"}), {"scale": "_scales"}, {}, read_blocks, METHODS),
    *(Format("", _BYTES | {"F4"}, {"scale": s}, {}, read_packed, METHODS) for s in SCALES),
    Format(".weight", _BYTES | {"F4"}, {"scale": ".scale"}, {}, read_packed, METHODS),
)

FORMULAS = {"float4": open_float4, "float4 rows": open_float4_rows}
