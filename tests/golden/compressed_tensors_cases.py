"""Random weights as compressed-tensors packs, rounds and thins them out; see `libraries`."""

import json
from importlib.metadata import version

import torch
from collection import CODES, Draw


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
            out.add(case, named, right, config(scheme, "pack-quantized"), library=library)
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
        out.add(f"compressed-tensors_{case}", named, right, config(scheme, case), library=library)


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
            out.add(case, named, right, config(scheme, "pack-quantized"), library=library)


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
            out.add(case, named, tensor.decompress().float(), settings, library=library)


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
            out.add(case, named, right, settings, library=library)
