"""Make tests/data/formats.npz: random quantized weights as each library writes and reads them.

    python tests/golden/libraries.py tests/data/formats.npz mlx bitsandbytes …

replaces the cases of the named libraries, each in the version that is installed; the tests need
none of them. LIBRARIES lists the names. `compressed-tensors-old` needs compressed-tensors 0.13.0 in
a separate environment, because its packing differs. `gptqmodel` needs its sources in a folder that
the variable GPTQMODEL_SOURCES names.

The file holds what `quantized.py` documents, and of each case the library and its version. Shapes,
bits, groups and types are drawn at random, by the name of the case, so a case stays what it is.
"""

import ast
import contextlib
import json
import math
import os
import re
import sys
import types
import zlib
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

CODES = {
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.int32: "I32",
    torch.int64: "I64",
}


class Collection:
    """Cases by name: `tensors` and the library's `weight`, and what it was made with."""

    def __init__(self, path):
        self.path = Path(path)
        self.arrays, self.cases = {}, {}
        if self.path.exists():
            with np.load(self.path) as data:
                self.cases = json.loads(data["cases"].tobytes())
                self.arrays = {name: data[name] for name in data.files if name != "cases"}

    def add(self, case, library, tensors, weight, config=None, types=None):
        described = {}
        for name, tensor in tensors.items():
            # Of one column a copy may keep its odd strides.
            plain = torch.empty(tensor.numel(), dtype=tensor.dtype).copy_(tensor.reshape(-1))
            self.arrays[f"{case}/{name}"] = plain.view(torch.uint8).numpy()
            dtype = (types or {}).get(name) or CODES[tensor.dtype]
            described[name] = [dtype, list(tensor.shape)]
        self.arrays[case] = weight.detach().float().numpy()
        rounded = None if weight.dtype == torch.float32 else CODES[weight.dtype]
        self.cases[case] = {
            **{"tensors": described, "config": config or {}, "rounded": rounded},
            "library": library,
        }

    def drop(self, library):
        gone = {case for case, about in self.cases.items() if about["library"][0] == library}
        self.cases = {case: about for case, about in self.cases.items() if case not in gone}
        self.arrays = {n: a for n, a in self.arrays.items() if n.partition("/")[0] not in gone}

    def save(self):
        described = np.frombuffer(json.dumps(self.cases).encode(), np.uint8)
        np.savez_compressed(self.path, cases=described, **self.arrays)


class Draw:
    """Random choices of one case."""

    def __init__(self, case):
        seed = zlib.crc32(case.encode())
        self.random = np.random.default_rng(seed)
        self.generator = torch.Generator().manual_seed(seed)

    def one(self, *choices):
        return choices[self.random.integers(len(choices))]

    def size(self, low, high, step=1):
        return int(self.random.integers(low, high + 1)) * step

    def normal(self, *shape):
        return torch.randn(*shape, generator=self.generator) * 0.05

    def integers(self, low, high, *shape):
        return torch.randint(low, high, shape, generator=self.generator)


def compressed_tensors(out, old=False):
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

    if old:
        from compressed_tensors.compressors.quantized_compressors import pack_quantized as packed

        compress = None
    else:
        from compressed_tensors.compressors.mxfp6.base import MXFP6PackedCompressor
        from compressed_tensors.compressors.mxfp8.base import MXFP8QuantizationCompressor
        from compressed_tensors.compressors.pack_quantized.base import PackedQuantizationCompressor

        compress = PackedQuantizationCompressor
    name = "compressed-tensors-old" if old else "compressed-tensors"
    library = [name, version("compressed-tensors")]

    def config(scheme, form):
        weights = json.loads(scheme.weights.model_dump_json())
        group = {"targets": ["Linear"], "weights": weights}
        return {
            **{"quant_method": "compressed-tensors", "format": form},
            "config_groups": {"group_0": group},
        }

    for bits in range(2, 9):
        for strategy, symmetric in (("group", True), ("group", False), ("channel", True)):
            case = f"{name}_{bits}_{strategy}_{'sym' if symmetric else 'asym'}"
            draw = Draw(case)
            size = draw.one(16, 32, 64)
            groups = draw.size(1, 3) if strategy == "group" else 1
            # Its own unpacking fails on zero points of 4 bits in a single word.
            rows = draw.size(9, 40)
            cols = groups * size if strategy == "group" else draw.size(5, 90)
            weight, top = draw.normal(rows, cols), 2 ** (bits - 1)
            scale = weight.reshape(rows, groups, -1).abs().amax(-1) / top
            arguments = {"num_bits": bits, "type": "int", "strategy": strategy}
            if strategy == "group":
                arguments["group_size"] = size
            scheme = QuantizationScheme(
                targets=["Linear"], weights=QuantizationArgs(**arguments, symmetric=symmetric)
            )
            parameters = {"weight": weight, "weight_scale": scale}
            if not symmetric:
                zeros = draw.integers(-top, top, rows, groups).to(torch.int8)
                parameters["weight_zero_point"] = zeros
            if old:
                codes = draw.integers(-top, top, rows, cols).to(torch.int8)
                stored = {
                    "weight_packed": packed.pack_to_int32(codes, bits),
                    "weight_scale": scale,
                    "weight_shape": torch.tensor([rows, cols]),
                }
                zero = 0
                if not symmetric:
                    stored["weight_zero_point"] = packed.pack_to_int32(zeros, bits, packed_dim=0)
                    zero = zeros.repeat_interleave(cols // groups, 1)
                unpacked = packed.unpack_from_int32(
                    stored["weight_packed"], bits, torch.Size((rows, cols))
                )
                right = (unpacked.float() - zero) * scale.repeat_interleave(cols // groups, 1)
            else:
                stored = compress.compress(parameters, scheme)
                right = compress.decompress(stored, scheme)["weight"]
            named = {f"p.{key}": tensor for key, tensor in stored.items()}
            out.add(case, library, named, right, config(scheme, "pack-quantized"))
    if old:
        sparse(out, library)
        sparse_floats(out, library)
        return
    stacks(out, library, compress, config)
    for case, compressor, arguments in (
        ("mxfp6", MXFP6PackedCompressor, {"num_bits": 6, "type": "float", "group_size": 32}),
        ("mxfp8", MXFP8QuantizationCompressor, {"num_bits": 8, "type": "float", "group_size": 32}),
    ):
        draw = Draw(case)
        scheme = QuantizationScheme(
            targets=["Linear"],
            weights=QuantizationArgs(
                **arguments, strategy="group", symmetric=True, scale_dtype=torch.uint8
            ),
        )
        rows, groups = draw.size(2, 12), draw.size(1, 4)
        scale = 2.0 ** draw.integers(-9, -5, rows, groups).float()
        parameters = {"weight": draw.normal(rows, 32 * groups), "weight_scale": scale}
        stored = compressor.compress(parameters, scheme)
        right = compressor.decompress(stored, scheme)["weight"]
        named = {f"p.{key}": tensor for key, tensor in stored.items()}
        out.add(f"compressed-tensors_{case}", library, named, right, config(scheme, case))


def stacks(out, library, compress, config):
    """Experts as bare parameters, `experts.down_proj_packed`."""
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

    for bits in (3, 4, 8):
        for strategy, symmetric in (("group", True), ("group", False), ("channel", True)):
            case = f"compressed-tensors_stack_{bits}_{strategy}_{'sym' if symmetric else 'asym'}"
            draw = Draw(case)
            size, groups = draw.one(32, 64), draw.size(1, 3) if strategy == "group" else 1
            shape = (draw.size(2, 4), draw.size(9, 24), size * groups)
            weight, top = draw.normal(*shape), 2 ** (bits - 1)
            scale = weight.reshape(*shape[:2], groups, -1).abs().amax(-1) / top
            parameters = {"weight": weight, "weight_scale": scale}
            if not symmetric:
                zeros = draw.integers(-top, top, *shape[:2], groups)
                parameters["weight_zero_point"] = zeros.to(torch.int8)
            arguments = {"num_bits": bits, "type": "int", "strategy": strategy}
            if strategy == "group":
                arguments["group_size"] = size
            scheme = QuantizationScheme(
                targets=["Linear"], weights=QuantizationArgs(**arguments, symmetric=symmetric)
            )
            stored = compress.compress(parameters, scheme)
            right = compress.decompress(stored, scheme)["weight"]
            named = {
                f"p.experts.down_proj_{key.removeprefix('weight_')}": tensor
                for key, tensor in stored.items()
            }
            out.add(case, library, named, right, config(scheme, "pack-quantized"))


def sparse(out, library):
    from compressed_tensors.compressors.sparse_compressors.sparse_24_bitmask import (
        Sparse24BitMaskTensor,
    )
    from compressed_tensors.compressors.sparse_compressors.sparse_bitmask import BitmaskTensor

    for kind, made in (("sparse_24", Sparse24BitMaskTensor), ("sparse", BitmaskTensor)):
        for dtype in (torch.bfloat16, torch.float16, torch.float32):
            case = f"{kind}_{CODES[dtype].lower()}"
            draw = Draw(case)
            rows, cols = draw.size(2, 20), draw.size(1, 12, 4)
            weight = draw.normal(rows, cols).to(dtype)
            weight[draw.integers(0, 3, rows, cols) == 0] = 0
            tensor = made.from_dense(weight)
            settings = {
                **{"quant_method": "compressed-tensors", "format": "dense"},
                "sparsity_config": {"format": kind.replace("_", "-") + "-bitmask"},
            }
            named = tensor.dict(name_prefix="p", device="cpu")
            out.add(case, library, named, tensor.decompress().float(), settings)


def sparse_floats(out, library):
    """FP8 values with scales per tensor and row, sparse in both ways."""
    from compressed_tensors.compressors.sparse_compressors.sparse_24_bitmask import (
        Sparse24BitMaskTensor,
    )
    from compressed_tensors.compressors.sparse_compressors.sparse_bitmask import BitmaskTensor
    from compressed_tensors.quantization.lifecycle.forward import dequantize

    for kind, made in (("sparse_24", Sparse24BitMaskTensor), ("sparse", BitmaskTensor)):
        for strategy in ("tensor", "channel"):
            case = f"{kind}_fp8_{strategy}"
            draw = Draw(case)
            rows, cols = draw.size(2, 20), draw.size(1, 12, 4)
            values = draw.normal(rows, cols) * 2000
            # Two of four are kept in both.
            smallest = values.abs().reshape(rows, -1, 4).argsort(-1)[..., :2]
            values = values.reshape(rows, -1, 4).scatter(-1, smallest, 0).reshape(rows, cols)
            codes = values.to(torch.float8_e4m3fn)
            scale = draw.normal(*((rows, 1) if strategy == "channel" else (1,))).abs() / 1000
            tensor = made.from_dense(codes)
            named = tensor.dict(name_prefix="p", device="cpu") | {"p.weight_scale": scale}
            settings = {
                **{"quant_method": "compressed-tensors", "format": "float-quantized"},
                "sparsity_config": {"format": kind.replace("_", "-") + "-bitmask"},
            }
            right = dequantize(tensor.decompress(), scale, dtype=torch.float32)
            out.add(case, library, named, right, settings)


def bitsandbytes(out):
    import bitsandbytes.functional as bnb

    library = ["bitsandbytes", version("bitsandbytes")]
    storages = (torch.uint8, torch.bfloat16, torch.float16, torch.float32, torch.int8)
    for number, storage in enumerate(storages):
        for stack in (False, True):
            case = f"bitsandbytes_{CODES[storage].lower()}{'_stack' if stack else ''}"
            draw = Draw(case)
            kind, nested = draw.one("nf4", "fp4"), bool(number % 2)
            shape = (draw.size(2, 4), draw.size(1, 6), 64) if stack else (draw.size(1, 12), 64)
            packed, state = bnb.quantize_4bit(
                draw.normal(*shape),
                **{"blocksize": 64, "quant_type": kind, "compress_statistics": nested},
                quant_storage=storage,
            )
            owner = "p.experts.down_proj" if stack else "p.weight"
            tensors = {owner: packed}
            for key, tensor in state.as_dict(packed=True).items():
                tensors[f"{owner}.{key}"] = tensor
            weight = bnb.dequantize_4bit(packed, state).reshape(shape)
            settings = {"quant_method": "bitsandbytes", "load_in_4bit": True}
            out.add(case, library, tensors, weight, settings)


def mlx(out):
    import mlx.core as mx

    library = ["mlx", version("mlx")]
    modes = [("affine", bits, size) for bits in (2, 3, 4, 5, 6, 8) for size in (32, 128)]
    modes += [("mxfp4", 4, 32), ("mxfp8", 8, 32), ("nvfp4", 4, 16)]
    for mode, bits, size in modes:
        case = f"mlx_{mode}_{bits}_{size}"
        draw = Draw(case)
        shape = (draw.size(1, 3), draw.size(2, 5), draw.size(1, 2, 128))
        values = mx.array(draw.normal(*shape[1 if draw.one(True, False) else 0 :]).numpy())
        how = {"group_size": size, "bits": bits, "mode": mode}
        stored = mx.quantize(values, **how)
        weight = mx.dequantize(*stored, **how, dtype=mx.float32)
        tensors = {}
        for key, array in zip(("weight", "scales", "biases"), stored, strict=False):
            plain = np.array(array)
            kind = {"uint32": np.int32, "uint8": np.uint8}.get(plain.dtype.name, np.float32)
            tensors[f"p.{key}"] = torch.from_numpy(plain.view(kind).copy())
        out.add(
            case, library, tensors, torch.from_numpy(np.array(weight)), how, {"p.weight": "U32"}
        )


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
                out.add(case, library, tensors, weight, settings)
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
        out.add(case, library, tensors, weight, settings)


def modelopt(out):
    from modelopt.torch.quantization.qtensor import NVFP4QTensor

    library = ["nvidia-modelopt", version("nvidia-modelopt")]
    for case in ("nvfp4_rows", "nvfp4_middle"):
        draw = Draw(case)
        shape = (draw.size(2, 4), draw.size(2, 12), draw.size(1, 4, 16))
        weight = draw.normal(*shape)
        overall = weight.abs().amax((1, 2), keepdim=True) / (6 * 448)
        packed, scale, _ = NVFP4QTensor.quantize(
            weight,
            16,
            NVFP4QTensor.get_weights_scaling_factor(weight, 16, overall)[0],
            overall,
        )
        right = packed.dequantize(
            dtype=torch.float32, scale=scale, double_scale=overall, block_sizes={-1: 16}
        )
        codes = packed._quantized_data
        if case == "nvfp4_middle":
            codes, scale, right = (t.transpose(-2, -1) for t in (codes, scale, right))
        tensors = {
            "p.experts.down_proj": codes,
            "p.experts.down_proj_weight_scale": scale,
            "p.experts.down_proj_weight_scale_2": overall.reshape(-1),
        }
        settings = {"quant_method": "modelopt", "quant_algo": "NVFP4"}
        out.add(f"modelopt_{case}", library, tensors, right, settings)


def quark(out):
    from quark.torch.export.nn.modules.realquantizer import get_real_quantizer
    from quark.torch.quantization.config import config as specs
    from quark.torch.quantization.tensor_quantize import FakeQuantizeBase

    library, cpu = ["amd-quark", version("amd-quark")], torch.device("cpu")
    static = {"is_dynamic": False}
    powers = {"group_size": 32, "scale_format": "e8m0", "scale_calculation_mode": "even"}
    whole = {"scale_type": "float", "round_method": "half_even", "ch_axis": 0}
    for case, spec in {
        "mxfp4": specs.FP4PerGroupSpec(ch_axis=-1, **powers, **static),
        "fp8_tensor": specs.FP8E4M3PerTensorSpec(observer_method="min_max", **static),
        "fp8_channel": specs.FP8E4M3PerChannelSpec(ch_axis=0, **static),
        "int8_sym": specs.Int8PerChannelSpec(symmetric=True, **whole, **static),
        "int8_asym": specs.Int8PerChannelSpec(symmetric=False, **whole, **static),
    }.items():
        draw = Draw(f"quark_{case}")
        weight = draw.normal(draw.size(2, 12), draw.size(1, 4, 32)) + draw.one(0, 0.02)
        settings = spec.to_quantization_spec()
        plain = FakeQuantizeBase.get_fake_quantize(settings, cpu)
        plain.enable_observer()
        plain.enable_fake_quant()
        right = plain(weight)
        how = {"reorder": True, "real_quantized": False, "float_dtype": torch.float32}
        real = get_real_quantizer(settings, plain, **how, device=cpu)
        tensors = {"p.weight": real.to_real_quantize_params(weight)}
        real.maybe_convert_and_transpose_scale()
        real.pack_zero_point()
        tensors |= {f"p.weight_{name}": tensor for name, tensor in real.named_buffers()}
        out.add(f"quark_{case}", library, tensors, right, {"quant_method": "quark"})


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
            out.add(case, library, tensors, right, settings)


LIBRARIES = {
    "compressed-tensors": compressed_tensors,
    "compressed-tensors-old": lambda out: compressed_tensors(out, old=True),
    "bitsandbytes": bitsandbytes,
    "mlx": mlx,
    "auto-round": auto_round,
    "nvidia-modelopt": modelopt,
    "amd-quark": quark,
    "gptqmodel": gptqmodel,
}


if __name__ == "__main__":
    collection = Collection(sys.argv[1])
    for wanted in sys.argv[2:] or LIBRARIES:
        collection.drop(wanted)
        LIBRARIES[wanted](collection)
        collection.save()
        print(wanted, len(collection.cases), "cases")
