"""Random weights as AutoRound and GPTQModel pack them; see `libraries`."""

import ast
import contextlib
import math
import os
import re
import types
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from collection import Draw


def auto_round(out):
    from auto_round_extension.torch import qlinear_torch, qlinear_torch_zp

    library = ["auto-round", version("auto-round")]
    layers = {"auto_round": qlinear_torch, "auto_round:auto_gptq": qlinear_torch_zp}
    for packing, module in layers.items():
        for bits in range(2, 9):
            for symmetric in (True, False):
                case = f"{packing.replace(':', '_')}_{bits}_{'sym' if symmetric else 'asym'}"
                draw = Draw(case)
                size, groups = 32, draw.size(1, 3)
                outputs, inputs = 32 * draw.size(1, 2), size * groups
                layer = module.QuantLinear(bits, size, inputs, outputs, False)
                linear = torch.nn.Linear(inputs, outputs, bias=False)
                linear.weight.data = draw.normal(outputs, inputs)
                scales = draw.normal(outputs, groups).abs() + 0.01
                zeros = draw.integers(1, 2**bits, outputs, groups).float()
                if symmetric:
                    zeros = torch.full_like(zeros, 2 ** (bits - 1))
                # Codes beyond the range would run into their neighbors.
                steps = linear.weight.data / scales.repeat_interleave(size, 1)
                shifted = steps.round() + zeros.repeat_interleave(size, 1)
                steps = shifted.clamp(0, 2**bits - 1) - zeros.repeat_interleave(size, 1)
                linear.weight.data = steps * scales.repeat_interleave(size, 1)
                layer.device = "cpu"
                layer.pack(linear, scales, zeros, None, device="cpu")
                weight = layer(torch.eye(inputs)).T
                stored = {k: t for k, t in layer.state_dict().items() if t is not None}
                tensors = {
                    f"p.{k}": t
                    for k, t in stored.items()
                    if k in ("qweight", "qzeros", "scales", "g_idx")
                }
                settings = {
                    **{"quant_method": "auto-round", "packing_format": packing, "bits": bits},
                    **{"group_size": size, "sym": symmetric},
                }
                out.add(case, tensors, weight, settings, library=library)
    auto_round_awq(out, library)


def auto_round_awq(out, library):
    from auto_round.export.export_to_awq.utils import WQLinear_GEMM, dequantize_gemm

    for number in range(3):
        case = f"auto_round_auto_awq_{number}"
        draw = Draw(case)
        size, groups, outputs = draw.one(16, 32), draw.size(1, 3), draw.size(1, 6, 8)
        linear = torch.nn.Linear(size * groups, outputs, bias=False)
        linear.weight.data = draw.normal(outputs, size * groups)
        scales = draw.normal(groups, outputs).abs() + 0.01
        zeros = draw.integers(0, 16, groups, outputs)
        layer = WQLinear_GEMM.from_linear(linear, 4, size, False, scales, zeros, "cpu")
        weight = dequantize_gemm(layer.qweight, layer.qzeros, layer.scales, 4, size).T
        tensors = {f"p.{key}": getattr(layer, key) for key in ("qweight", "qzeros", "scales")}
        settings = {
            **{"quant_method": "auto-round", "packing_format": "auto_round:auto_awq"},
            **{"bits": 4, "group_size": size, "sym": False},
        }
        out.add(case, tensors, weight, settings, library=library)


# Where the sources of GPTQModel lie; the library does not install everywhere.
GPTQMODEL = os.environ.get("GPTQMODEL_SOURCES", "")


def gptqmodel(out):
    """Pack and dequantize with the methods of its PackableQuantLinear, without its kernels."""
    path = Path(GPTQMODEL, "gptqmodel/nn_modules/qlinear/__init__.py")
    text = path.read_text(encoding="utf-8")
    release = re.search(
        r'__version__ = "(.*)"', Path(GPTQMODEL, "gptqmodel/version.py").read_text()
    )
    library = ["gptqmodel", release[1]]
    wanted = {"dequantize_weight", "_dequantize_from_codes", "pack_original"}
    wanted |= {"_init_wf_unsqueeze_buffers", "_torch_right_shift", "_torch_left_shift"}
    found = [n for n in ast.walk(ast.parse(text)) if getattr(n, "name", "") in wanted]
    conv1d = types.SimpleNamespace(pytorch_utils=types.SimpleNamespace(Conv1D=type(None)))
    pool = types.SimpleNamespace(threadpool_limits=lambda _: contextlib.nullcontext())
    scope = {"t": torch, "nn": torch.nn, "np": np, "math": math, "_ConvNd": type(None)}
    scope |= {"transformers": conv1d, "THREADPOOLCTL": pool}
    for function in found:
        function.decorator_list = []
        exec(compile(ast.Module([function], []), str(path), "exec"), scope)
    methods = {n.name: scope[n.name] for n in found if n.args.args[0].arg == "self"}
    layer_type = type("Layer", (torch.nn.Module,), methods | {"_wf_device": lambda self: "cpu"})
    for bits in (2, 3, 4, 8):
        for symmetric in (True, False):
            case = f"gptqmodel_v2_{bits}_{'sym' if symmetric else 'asym'}"
            draw = Draw(case)
            size, groups, outputs = 32, draw.size(1, 3), draw.size(1, 2, 32)
            inputs = size * groups
            layer = layer_type()
            layer.bits, layer.maxq, layer.planar = bits, 2**bits - 1, False
            layer.pack_dtype_bits, layer.pack_factor = 32, 32 // bits
            layer.pack_np_math_dtype, layer.pack_np_dtype = np.uint32, np.int32
            layer.enable_wf_unsqueeze, layer.dequant_dtype = True, torch.int16
            index = torch.arange(inputs) // size
            if not symmetric:
                index = index[torch.randperm(inputs, generator=draw.generator)]
            linear = torch.nn.Linear(inputs, outputs, bias=False)
            linear.weight.data = draw.normal(outputs, inputs)
            scales = (draw.normal(outputs, groups).abs() + 0.01).half().float()
            zeros = draw.integers(1, 2**bits, outputs, groups)
            if symmetric:
                zeros = torch.full_like(zeros, 2 ** (bits - 1))
            layer.pack_original(linear, scales, zeros, index.to(torch.int32))
            layer.register_buffer("scales", layer.scales.float())
            right = layer.dequantize_weight().T
            tensors = {
                f"p.{k}": getattr(layer, k) for k in ("qweight", "qzeros", "scales", "g_idx")
            }
            settings = {"quant_method": "gptq", "checkpoint_format": "gptq_v2", "bits": bits}
            settings |= {"group_size": size, "sym": symmetric, "desc_act": not symmetric}
            out.add(case, tensors, right, settings, library=library)
