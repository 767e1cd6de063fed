"""8-bit floats with scales: per tensor, row, expert or block, and MXFP8 (E8M0 for 32 columns).

    P.weight            F8_E4M3 or F8_E5M2 [out, in], or a stack of experts [E, out, in]
    P.weight_scale_inv  (weight_scale, scale, qscale_weight, scale_weight, weights_scaling_factor,
                        or `_scale…` behind the name of a bare parameter) F32, BF16, E8M0 or U8
                        (2^(u - 127))

W[i, j] = code[i, j] · scale[block of i, block of j]; despite its name `_scale_inv` multiplies.
Blocks are `weight_block_size` of the config, usually 128 x 128, cut off at the edges.

Source: transformers integrations/finegrained_fp8.py and fbgemm_fp8.py, compressed-tensors
naive_quantized and mxfp8, ModelOpt export (FP8, FP8_PB_WO, MXFP8; to TensorRT-LLM
its names end in `_scaling_factor`).
"""

from collections.abc import Mapping
from typing import Any

from blockresearch.weights.quantized import settings
from blockresearch.weights.quantized.scaled import open_scaled, scale_block, stated_blocks
from blockresearch.weights.quantized.scheme import (
    DOES_NOT_FIT,
    FLOAT8,
    Format,
    Found,
    Scheme,
    Settings,
    Tensor,
)

# Endings behind `proj.weight` and behind bare parameters such as `experts.gate_up_proj` alike.
SCALES = ("_scale_inv", "_scale", "_weight_scale", "_weight_scale_inv")

SCALES_OF_MODULE = (".qscale_weight", ".scale_weight", ".scale", ".weights_scaling_factor")


def read_float8(found: Found) -> Settings:
    """Settings of 8-bit floats with scales per tensor, channel or block; raises Unfit."""
    shape = found.owner[1]
    block = scale_block(shape, found.shape("scale"), stated_blocks(found))
    whole = block[-1] == shape[-1]
    kind = "fp8" if whole else "mxfp8" if block[-1] == 32 and block[-2] == 1 else "fp8 block"
    return kind, "scaled", shape, {"block": list(block)}


def lost_scale(tensor: Tensor, config: Mapping[str, Any], others: Mapping[str, Scheme]) -> str:
    """Why 8-bit floats without a scale are no weights: the config or other weights promise one.

    "" if they are plain: a direct cast, or a module that is not to be quantized.
    """
    name, shape, dtype = tensor
    if dtype not in FLOAT8 or len(shape) < 2:
        return ""
    module = name.removesuffix(".weight")
    if settings.is_left_out(config, module):
        return ""
    promised = settings.method_of(config) in METHODS
    if promised or any(scheme.formula == "scaled" for scheme in others.values()):
        who = "the config promises one" if promised else "other weights have one"
        return f"{DOES_NOT_FIT}: its scale is missing, and {who}"
    return ""


METHODS = frozenset({"fp8", "fbgemm_fp8", "compressed-tensors", "modelopt"})

FORMATS = (
    *(Format("", FLOAT8, {"scale": s}, {}, read_float8, METHODS) for s in SCALES),
    *(Format(".weight", FLOAT8, {"scale": s}, {}, read_float8, METHODS) for s in SCALES_OF_MODULE),
)

FORMULAS = {"scaled": open_scaled}
