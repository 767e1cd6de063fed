"""Make tests/data/quantized.npz: quantized weights as the defining libraries store and read them.

    python tests/golden/quantized.py FOLDER tests/data/quantized.npz

needs torch, transformers, compressed-tensors, bitsandbytes, torchao and mlx (mlx-cpu) installed,
and FOLDER with the unpacked sources of auto-gptq 0.7.1 (auto_gptq/) and autoawq 0.2.9 (awq/); the
tests need none of them. Made with transformers 5.23.0, compressed-tensors 0.20.0,
bitsandbytes 0.50.2, mlx 0.32.4, torchao 0.18.0.

Libraries are asked for float32; if one rounds to a 16-bit type, `rounded` is that
type. `collection` says what the file holds.
"""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import torch
from collection import Collection


def weights(*shape):
    return torch.randn(*shape, generator=GENERATOR) * 0.05


GENERATOR = torch.Generator().manual_seed(0)


def transformers_cases(out):
    from transformers.integrations.finegrained_fp8 import Fp8Dequantize, _dequantize_fp8_weight
    from transformers.integrations.mxfp4 import _convert_moe_packed_tensors

    # Blocks cut off at both edges, as in DeepSeek's kv_a_proj_with_mqa.
    codes = (weights(36, 40) * 1000).to(torch.float8_e4m3fn)
    scales = weights(3, 3).abs()
    weight = _dequantize_fp8_weight(codes, scales, [16, 16], torch.float32)
    config = {"quant_method": "fp8", "weight_block_size": [16, 16]}
    out.add("fp8_block", {"p.weight": codes, "p.weight_scale_inv": scales}, weight, config)

    one = Fp8Dequantize(None)._dequantize_one
    codes = torch.randint(-128, 128, (16, 48), generator=GENERATOR).to(torch.int8)
    powers = torch.randint(115, 125, (16, 3), generator=GENERATOR).to(torch.uint8)
    out.add(
        "fp4_in_fp8",
        {"p.weight": codes, "p.weight_scale_inv": powers},
        one(codes, powers, torch.float32),
        {"quant_method": "fp8", "weight_block_size": [128, 128]},
    )
    codes = (weights(16, 64) * 1000).to(torch.float8_e4m3fn)
    powers = torch.randint(115, 125, (16, 2), generator=GENERATOR).to(torch.uint8)
    out.add(
        "mxfp8",
        {"p.weight": codes, "p.weight_scale_inv": powers},
        one(codes, powers, torch.float32),
    )
    blocks = torch.randint(0, 256, (2, 8, 2, 16), generator=GENERATOR).to(torch.uint8)
    powers = torch.randint(115, 125, (2, 8, 2), generator=GENERATOR).to(torch.uint8)
    weight = _convert_moe_packed_tensors(blocks, powers, dtype=torch.float32)
    out.add(
        "mxfp4_experts",
        {"p.experts.down_proj_blocks": blocks, "p.experts.down_proj_scales": powers},
        weight.transpose(1, 2),
        {"quant_method": "mxfp4"},
    )


def compressed_tensors_cases(out):
    from compressed_tensors.compressors.mxfp4.base import MXFP4PackedCompressor
    from compressed_tensors.compressors.naive_quantized.base import NaiveQuantizationCompressor
    from compressed_tensors.compressors.nvfp4.base import NVFP4PackedCompressor
    from compressed_tensors.compressors.pack_quantized.base import PackedQuantizationCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

    def add(case, compressor, parameters, form, **arguments):
        scheme = QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**arguments))
        stored = compressor.compress(parameters, scheme)
        group = {"weights": json.loads(scheme.weights.model_dump_json())}
        config = {
            "quant_method": "compressed-tensors",
            "format": form,
            "config_groups": {"group_0": group},
        }
        weight = compressor.decompress(stored, scheme)["weight"]
        named = {f"p.{name}": tensor for name, tensor in stored.items()}
        out.add(case, named, weight, config)

    def groups(bits, shape, size, symmetric):
        weight = weights(*shape)
        count = shape[1] // size
        scale = weight.reshape(shape[0], count, size).abs().amax(-1) / 2 ** (bits - 1)
        parameters = {"weight": weight, "weight_scale": scale}
        if not symmetric:
            low, high = -(2 ** (bits - 1)), 2 ** (bits - 1)
            zeros = torch.randint(low, high, (shape[0], count), generator=GENERATOR)
            parameters["weight_zero_point"] = zeros.to(torch.int8)
        return parameters

    for bits, size, symmetric in ((4, 32, True), (8, 64, True), (4, 32, False), (3, 32, False)):
        add(
            f"pack_quantized_{bits}_{'symmetric' if symmetric else 'asymmetric'}",
            PackedQuantizationCompressor,
            groups(bits, (12, 64), size, symmetric),
            "pack-quantized",
            num_bits=bits,
            type="int",
            strategy="group",
            group_size=size,
            symmetric=symmetric,
        )
    channel = groups(4, (8, 60), 60, True)
    add(
        "pack_quantized_channel",
        PackedQuantizationCompressor,
        channel,
        "pack-quantized",
        num_bits=4,
        type="int",
        strategy="channel",
        symmetric=True,
    )
    add(
        "int_quantized_channel",
        NaiveQuantizationCompressor,
        groups(8, (12, 40), 40, True),
        "int-quantized",
        num_bits=8,
        type="int",
        strategy="channel",
        symmetric=True,
    )
    weight = weights(12, 40)
    for strategy, scale in (
        ("tensor", weight.abs().max().reshape(1) / 448),
        ("channel", weight.abs().amax(1, keepdim=True) / 448),
    ):
        add(
            f"float_quantized_{strategy}",
            NaiveQuantizationCompressor,
            {"weight": weight, "weight_scale": scale},
            "float-quantized",
            num_bits=8,
            type="float",
            strategy=strategy,
            symmetric=True,
        )
    weight = weights(12, 64)
    largest = torch.tensor([448 * 6 / weight.abs().max()])
    scale = (weight.reshape(12, 4, 16).abs().amax(-1) / 6 * largest).to(torch.float8_e4m3fn).float()
    add(
        "nvfp4",
        NVFP4PackedCompressor,
        {"weight": weight, "weight_scale": scale, "weight_global_scale": largest},
        "nvfp4-pack-quantized",
        num_bits=4,
        type="float",
        strategy="tensor_group",
        group_size=16,
        symmetric=True,
        scale_dtype="torch.float8_e4m3fn",
    )
    scale = 2 ** torch.floor(torch.log2(weight.reshape(12, 2, 32).abs().amax(-1) / 6))
    add(
        "mxfp4",
        MXFP4PackedCompressor,
        {"weight": weight, "weight_scale": scale},
        "mxfp4-pack-quantized",
        num_bits=4,
        type="float",
        strategy="group",
        group_size=32,
        symmetric=True,
        scale_dtype="torch.uint8",
    )


def bitsandbytes_cases(out):
    import bitsandbytes.functional as bnb

    # The CPU kernel of 0.50.2 takes wrong scales where rows are even and no multiple of a block;
    # odd rows go through the reference code, which runs on across rows as quantizing does.
    for kind, nested, shape in (
        ("nf4", False, (8, 64)),
        ("nf4", True, (9, 35)),
        ("nf4", True, (20, 64)),
        ("fp4", False, (6, 65)),
    ):
        packed, state = bnb.quantize_4bit(
            weights(*shape), blocksize=64, quant_type=kind, compress_statistics=nested
        )
        tensors = {"p.weight": packed}
        tensors |= {f"p.weight.{name}": t for name, t in state.as_dict(packed=True).items()}
        name = f"bitsandbytes_{kind}{'_nested' if nested else ''}_{shape[1]}"
        config = {"quant_method": "bitsandbytes", "load_in_4bit": True}
        out.add(name, tensors, bnb.dequantize_4bit(packed, state), config)
    codes, scales, _ = bnb.int8_vectorwise_quant(weights(12, 40).half())
    weight = bnb.int8_vectorwise_dequant(codes, scales)
    config = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    out.add("bitsandbytes_int8", {"p.weight": codes, "p.SCB": scales}, weight, config)


def mlx_cases(out):
    import mlx.core as mx

    for bits, size in ((4, 32), (8, 64), (2, 32), (3, 64), (5, 64), (6, 64)):
        values = mx.array(weights(4, 64).numpy())
        words, scales, biases = mx.quantize(values, group_size=size, bits=bits)
        weight = mx.dequantize(words, scales, biases, group_size=size, bits=bits)
        stored = {"weight": words, "scales": scales, "biases": biases}
        arrays = {
            f"p.{name}": torch.from_numpy(np.array(a).view(np.int32 if name == "weight" else "f4"))
            for name, a in stored.items()
        }
        case = f"mlx_{bits}"
        out.add(
            case,
            arrays,
            torch.from_numpy(np.array(weight)),
            {"group_size": size, "bits": bits},
        )
        out.cases[case]["tensors"]["p.weight"][0] = "U32"
    words, scales = mx.quantize(
        mx.array(weights(8, 64).numpy()), mode="mxfp4", group_size=32, bits=4
    )
    weight = mx.dequantize(words, scales, mode="mxfp4", group_size=32, bits=4)
    arrays = {
        "p.weight": torch.from_numpy(np.array(words).view(np.int32)),
        "p.scales": torch.from_numpy(np.array(scales)),
    }
    config = {"group_size": 32, "bits": 4, "mode": "mxfp4"}
    weight = torch.from_numpy(np.array(weight.astype(mx.float32)))
    out.add("mlx_mxfp4", arrays, weight, config)
    out.cases["mlx_mxfp4"]["tensors"]["p.weight"][0] = "U32"


def _module(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def gptq_cases(out, sources):
    qlinear = _module(sources / "auto_gptq/nn_modules/qlinear/qlinear_cuda.py")
    for bits, ordered in ((2, False), (3, False), (4, False), (4, True), (8, False)):
        inputs, outputs, size = 64, 32, 32
        count = inputs // size
        layer = qlinear.QuantLinear(bits, size, inputs, outputs, False, weight_dtype=torch.float32)
        linear = torch.nn.Linear(inputs, outputs, bias=False)
        linear.weight.data = weights(outputs, inputs)
        scales = weights(outputs, count).abs() + 0.01
        zeros = torch.randint(1, 2**bits, (outputs, count), generator=GENERATOR).float()
        index = torch.arange(inputs) // size
        if ordered:
            index = index[torch.randperm(inputs, generator=GENERATOR)]
        layer.pack(linear, scales, zeros, index.to(torch.int32))
        layer.autogptq_cuda_available = False
        weight = layer(torch.eye(inputs)).T
        tensors = {
            f"p.{name}": getattr(layer, name) for name in ("qweight", "qzeros", "scales", "g_idx")
        }
        config = {"quant_method": "gptq", "bits": bits, "group_size": size, "desc_act": ordered}
        case = f"gptq_{bits}{'_act_order' if ordered else ''}"
        # It keeps its scales, and hence its weights, in float16.
        out.add(case, tensors, weight.detach(), config)


def awq_cases(out, sources):
    packing = _module(sources / "awq/utils/packing_utils.py")
    words = torch.randint(-(2**31), 2**31, (64, 4), generator=GENERATOR).to(torch.int32)
    zeros = torch.randint(-(2**31), 2**31, (2, 4), generator=GENERATOR).to(torch.int32)
    scales = weights(2, 32)
    weight = packing.dequantize_gemm(words, zeros, scales, 4, 32).T
    config = {"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm"}
    tensors = {"p.qweight": words, "p.qzeros": zeros, "p.scales": scales}
    out.add("awq", tensors, weight, config)


def torchao_cases(out):
    from torchao.prototype.safetensors.safetensors_support import flatten_tensor_state_dict
    from torchao.quantization import (
        Float8WeightOnlyConfig,
        Int8WeightOnlyConfig,
        IntxWeightOnlyConfig,
        PerGroup,
        quantize_,
    )

    groups = IntxWeightOnlyConfig(torch.int4, PerGroup(32), version=2)
    for case, how in {
        "torchao_int8": Int8WeightOnlyConfig(version=2),
        "torchao_int4_groups": groups,
        "torchao_float8": Float8WeightOnlyConfig(version=2),
    }.items():
        module = torch.nn.ModuleDict({"p": torch.nn.Linear(64, 48, bias=False)})
        random = torch.Generator().manual_seed(1)
        module["p"].weight.data = torch.randn(48, 64, generator=random) * 0.05
        quantize_(module, how)
        weight = module["p"].weight.data
        tensors, _ = flatten_tensor_state_dict({"p.weight": weight})
        out.add(case, tensors, weight.dequantize(), {"quant_method": "torchao"})


if __name__ == "__main__":
    collection = Collection()
    sources = Path(sys.argv[1])
    transformers_cases(collection)
    compressed_tensors_cases(collection)
    bitsandbytes_cases(collection)
    mlx_cases(collection)
    gptq_cases(collection, sources)
    awq_cases(collection, sources)
    torchao_cases(collection)
    collection.save(sys.argv[2])
