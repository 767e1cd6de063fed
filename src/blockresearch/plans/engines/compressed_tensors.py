"""compressed-tensors, which vLLM loads: a config for `model_free_ptq`, a recipe for llm-compressor.

    from compressed_tensors.quantization import QuantizationConfig
    from llmcompressor import model_free_ptq
    config = QuantizationConfig.model_validate(json.load(open("compressed_tensors.json")))
    model_free_ptq(source, target, config=config, device="cpu")

`re:` patterns are matched from the start of a module's name. Weights alone are quantized.
Source: compressed-tensors 0.19.0, llm-compressor 0.14.0.1.
"""

import json
from collections.abc import Sequence
from typing import Any

from blockresearch.plans.engine import KEPT, Assigned, Engine, Format, blocks
from blockresearch.plans.matrices import Matrix, patterns


def _integers(bits: int, group: int | None, symmetric: bool = True) -> dict[str, Any]:
    return {
        "num_bits": bits,
        "type": "int",
        "symmetric": symmetric,
        "strategy": "channel" if group is None else "group",
        **({} if group is None else {"group_size": group}),
        "dynamic": False,
    }


def _floats(bits: int, strategy: str, **more: Any) -> dict[str, Any]:
    start = {"num_bits": bits, "type": "float", "symmetric": True, "strategy": strategy}
    return {**start, "dynamic": False, **more}


E4M3, E8M0 = "torch.float8_e4m3fn", "torch.uint8"

# Format -> how its weights are rounded, and how they are packed.
SCHEMES = {
    "INT8": (_integers(8, None), "pack-quantized"),
    "INT4": (_integers(4, 128), "pack-quantized"),
    "INT4_ASYM": (_integers(4, 128, symmetric=False), "pack-quantized"),
    "FP8": (_floats(8, "channel"), "float-quantized"),
    "FP8_TENSOR": (_floats(8, "tensor"), "float-quantized"),
    "NVFP4": (
        _floats(4, "tensor_group", group_size=16, scale_dtype=E4M3, zp_dtype=E4M3),
        "nvfp4-pack-quantized",
    ),
    "MXFP4": (
        _floats(4, "group", group_size=32, scale_dtype=E8M0, zp_dtype=E8M0),
        "mxfp4-pack-quantized",
    ),
}

# Of `weight_shape`, two int64.
SHAPE = 16


def _packed(matrix: Matrix, bits: int, group: int | None, zeros: bool = False) -> int:
    """Words of 32 bits, scales in the type of the weights, zero points packed along the rows."""
    groups = 1 if group is None else matrix.cols // group
    words = blocks(matrix, 32 // bits)
    points = 4 * -(-matrix.rows * bits // 32) * groups if zeros else 0
    return 4 * words + matrix.item * matrix.rows * groups + points + SHAPE


FORMATS = (
    Format("INT8", "int8_channel", lambda m: _packed(m, 8, None), is_exact=True),
    Format("INT4", "int4_g128_sym", lambda m: _packed(m, 4, 128), 128, True),
    Format("INT4_ASYM", "int4_g128_asym", lambda m: _packed(m, 4, 128, True), 128, True),
    Format("FP8", "fp8_channel", lambda m: m.rows * m.cols + m.item * m.rows, is_exact=True),
    Format("FP8_TENSOR", "fp8_tensor", lambda m: m.rows * m.cols + m.item, is_exact=True),
    # Matrices of a group share the scale of the matrix, which the columns do not know.
    Format("NVFP4", "nvfp4", lambda m: blocks(m, 2) + blocks(m, 16) + 4, 16),
    # The scale is rounded up from 1.75 on, while the specification always rounds it down.
    Format("MXFP4", "mxfp4", lambda m: blocks(m, 2) + blocks(m, 32), 32),
)


def _targets(matrices: Sequence[Matrix]) -> list[str]:
    return [f"re:(.*\\.)?{pattern}$" for pattern in patterns(matrices)]


def files(assigned: Assigned, others: Sequence[str]) -> dict[str, str]:
    """The config of `model_free_ptq`, and the same as a recipe of llm-compressor."""
    groups, recipe = {}, {}
    for name, (weights, packing) in SCHEMES.items():
        if matrices := assigned.get(name):
            group = {"targets": _targets(matrices), "weights": weights}
            groups[f"group_{name.lower()}"] = {**group, "format": packing}
            recipe[f"group_{name.lower()}"] = group
    ignored = ["lm_head", "re:.*embed_tokens$", *_targets(assigned.get(KEPT, ())), *others]
    config = {
        "config_groups": groups,
        "ignore": ignored,
        "format": "mixed-precision",
        "quant_method": "compressed-tensors",
    }
    modifier = {"QuantizationModifier": {"ignore": ignored, "config_groups": recipe}}
    stage = {"quant_stage": {"quant_modifiers": modifier}}
    return {
        "compressed_tensors.json": json.dumps(config, indent=1) + "\n",
        # JSON is YAML, and keeps backslashes as they are.
        "llmcompressor_recipe.yaml": json.dumps(stage, indent=1) + "\n",
    }


ENGINE = Engine("compressed-tensors", FORMATS, files)
