"""Make tests/data/formats.npz: random quantized weights as each library writes and reads them.

    python tests/golden/libraries.py tests/data/formats.npz mlx bitsandbytes …

replaces the cases of the named libraries, each in the version that is installed; the tests need
none of them. LIBRARIES lists the names. `compressed-tensors-old` needs compressed-tensors 0.13.0 in
a separate environment, because its packing differs. `gptqmodel` needs its sources in a folder that
the variable GPTQMODEL_SOURCES names.

Shapes, bits, groups and types are drawn at random, by the name of the case, so a case stays what it
is. `collection` says what the file holds.
"""

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from collection import CODES, Collection, Draw
from compressed_tensors_cases import compressed_tensors
from gptq_cases import auto_round, gptqmodel


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
            out.add(case, tensors, weight, settings, library=library)


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
        right, types = torch.from_numpy(np.array(weight)), {"p.weight": "U32"}
        out.add(case, tensors, right, how, types=types, library=library)


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
        out.add(f"modelopt_{case}", tensors, right, settings, library=library)


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
        out.add(f"quark_{case}", tensors, right, {"quant_method": "quark"}, library=library)


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
    path, collection = Path(sys.argv[1]), Collection()
    if path.exists():
        collection.load(path)
    for wanted in sys.argv[2:] or LIBRARIES:
        collection.drop(wanted)
        LIBRARIES[wanted](collection)
        collection.save(path)
        print(wanted, len(collection.cases), "cases")
