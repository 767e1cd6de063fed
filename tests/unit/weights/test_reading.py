"""Quantized weights: each formula against its defining library's own numbers.

`tests/data/quantized.npz` was made by `tests/golden/quantized.py`; `tests/data/formats.npz`, random
shapes, bits and groups, by `tests/golden/libraries.py`.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from blockresearch.checkpoint import plan
from blockresearch.checkpoint.describe import describe_folder
from blockresearch.safetensors.reader import read_bytes
from blockresearch.weights.fused import Piece
from blockresearch.weights.layout import Layout, matrices
from blockresearch.weights.quantized.recognize import recognize
from blockresearch.weights.reading import open_tensor
from tests.conftest import write_safetensors

FOLDER = Path(__file__).parents[2] / "data"
DATA = np.load(FOLDER / "quantized.npz")
CASES = json.loads(DATA["cases"].tobytes())
LIBRARY_DATA = np.load(FOLDER / "formats.npz")
LIBRARY_CASES = json.loads(LIBRARY_DATA["cases"].tobytes())
# Half of the spacing of values in [1, 2).
EPS = {None: 1e-6, "F16": 2**-11, "BF16": 2**-8}


def checkpoint(folder, tensors, config=None):
    """The weights that are read, by name."""
    write_safetensors(folder / "model.safetensors", tensors)
    (folder / "config.json").write_text(json.dumps({"quantization_config": config or {}}))
    parts = plan.make_plan(describe_folder(folder, "now", hashed=False))
    return {weight.name: weight for part in parts for weight in part.weights}


def open_grid(folder, weight):
    shards = (weight.stored.shard, *weight.other_shards)
    return open_tensor({shard: folder / shard for shard in shards}, weight).grid


def dequantized(folder, weight):
    grid = open_grid(folder, weight)
    whole = grid.read(0, grid.rows)
    # Any cut into blocks gives the same.
    step = max(1, grid.rows // 3)
    pieces = [grid.read(i, min(i + step, grid.rows)) for i in range(0, grid.rows, step)]
    assert np.array_equal(np.concatenate(pieces), whole)
    assert whole.dtype == np.float32
    return whole.reshape(grid.shape)


@pytest.mark.parametrize("case", CASES)
def test_weights_are_those_of_the_library(case, tmp_path):
    stored = {
        name: (dtype, shape, DATA[f"{case}/{name}"].tobytes())
        for name, (dtype, shape) in CASES[case]["tensors"].items()
    }
    weights = checkpoint(tmp_path, stored, CASES[case]["config"])
    assert len(weights) == 1, "the others are companions"
    (weight,) = weights.values()
    found, wanted = dequantized(tmp_path, weight), DATA[case]
    assert found.shape == wanted.shape
    eps = EPS["F16" if case.startswith("gptq") else CASES[case]["rounded"]]
    assert np.abs(found - wanted).max() <= eps * np.abs(wanted).max()
    assert len(np.unique(wanted)) > 4
    companions = weight.companions
    if "quant_state" not in companions and "shape" not in companions:
        assert weight.shape == wanted.shape, "known from headers alone"


# Where a library itself computes in 16 bits, or with one rounding less.
ROUNDED = {"auto-round": 2**-11, "mlx": 2**-23}


def tolerance(about):
    """Largest relative error of a case: the library's own rounding."""
    return max(
        EPS[about["rounded"]] if about["rounded"] else 0, ROUNDED.get(about["library"][0], 0)
    )


@pytest.mark.parametrize("case", LIBRARY_CASES)
def test_random_weights_are_those_of_the_library(case, tmp_path):
    about = LIBRARY_CASES[case]
    stored = {
        name: (dtype, shape, LIBRARY_DATA[f"{case}/{name}"].tobytes())
        for name, (dtype, shape) in about["tensors"].items()
    }
    (weight,) = checkpoint(tmp_path, stored, about["config"]).values()
    found, wanted = dequantized(tmp_path, weight), LIBRARY_DATA[case]
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= tolerance(about) * np.abs(wanted).max()


def test_a_device_decodes_the_same_bits(tmp_path):
    torch = pytest.importorskip("torch")
    decoded = set()
    for case in (*CASES, *LIBRARY_CASES):
        cases, data = (CASES, DATA) if case in CASES else (LIBRARY_CASES, LIBRARY_DATA)
        stored = {
            name: (dtype, shape, data[f"{case}/{name}"].tobytes())
            for name, (dtype, shape) in cases[case]["tensors"].items()
        }
        (folder := tmp_path / case).mkdir()
        (weight,) = checkpoint(folder, stored, cases[case]["config"]).values()
        grid = open_grid(folder, weight)
        if grid.packed is None:
            continue
        decoded.add(weight.layout.scheme.formula)
        first, last = grid.rows // 3, grid.rows
        begin, end = (grid.packed.begin + row * grid.packed.row_bytes for row in (first, last))
        raw = torch.from_numpy(read_bytes(folder / weight.stored.shard, begin, end))
        found = grid.packed.decode(raw.reshape(last - first, -1), first)
        assert found.numpy().tobytes() == grid.read(first, last).tobytes(), case
    assert decoded == {
        *("bitsandbytes4", "bitsandbytes8", "float4", "mlx", "mlx mode", "packed", "scaled"),
    }


# One case of each scheme and packing.
ELSEWHERE = (
    *("gptqmodel_v2_3_asym", "auto_round_auto_gptq_5_asym", "auto_round_auto_awq_0"),
    *("compressed-tensors_3_group_asym", "compressed-tensors-old_5_channel_sym"),
    *("compressed-tensors_stack_4_group_asym", "sparse_fp8_channel", "sparse_24_bf16"),
    *("bitsandbytes_bf16", "bitsandbytes_f32_stack", "mlx_affine_6_128", "mlx_nvfp4_4_16"),
    *("modelopt_nvfp4_middle", "quark_mxfp4", "quark_int8_asym", "compressed-tensors_mxfp6"),
)


@pytest.mark.parametrize("case", ELSEWHERE)
def test_companions_may_lie_in_another_shard(case, tmp_path):
    about = LIBRARY_CASES[case]
    first, second = (f"model-{number:05d}-of-00002.safetensors" for number in (1, 2))
    codes = (".qweight", "_packed", ".compressed", ".weight", ".down_proj")
    shards = {first: {}, second: {}}
    for name, (dtype, shape) in about["tensors"].items():
        data = LIBRARY_DATA[f"{case}/{name}"].tobytes()
        shards[second if name.endswith(codes) else first][name] = (dtype, shape, data)
    for name, tensors in shards.items():
        write_safetensors(tmp_path / name, tensors)
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": about["config"]}))
    parts = plan.make_plan(describe_folder(tmp_path, "now", hashed=False))
    (weight,) = (weight for part in parts for weight in part.weights)
    found, wanted = dequantized(tmp_path, weight), LIBRARY_DATA[case]
    assert weight.stored.shard == second and set(weight.other_shards) == {first}
    assert np.abs(found - wanted).max() <= tolerance(about) * np.abs(wanted).max()


def stored_case(case):
    return {
        name: (dtype, shape, DATA[f"{case}/{name}"].tobytes())
        for name, (dtype, shape) in CASES[case]["tensors"].items()
    }


def test_modelopt_multiplies_by_the_scale(tmp_path):
    theirs = stored_case("nvfp4")
    largest = np.frombuffer(theirs["p.weight_global_scale"][2], "<f4")
    tensors = {
        "p.weight": theirs["p.weight_packed"],
        "p.weight_scale": theirs["p.weight_scale"],
        "p.weight_scale_2": ("F32", [], (1 / largest).astype("<f4").tobytes()),
        "p.input_scale": ("F32", [], bytes(4)),
    }
    (weight,) = checkpoint(tmp_path, tensors).values()
    assert weight.layout.scheme.method == "nvfp4"
    np.testing.assert_allclose(dequantized(tmp_path, weight), DATA["nvfp4"], rtol=2**-8)


def test_gptq_v2_stores_zero_points_unchanged(tmp_path):
    tensors = stored_case("gptq_4")
    words = np.frombuffer(tensors["p.qzeros"][2], "<u4")
    nibbles = (words[:, None] >> np.arange(0, 32, 4, dtype=np.uint32)) & 15
    plus_one = (((nibbles + 1) & 15) << np.arange(0, 32, 4, dtype=np.uint32)).sum(axis=1)
    tensors["p.qzeros"] = (*tensors["p.qzeros"][:2], plus_one.astype("<u4").tobytes())
    config = {**CASES["gptq_4"]["config"], "checkpoint_format": "gptq_v2"}
    (weight,) = checkpoint(tmp_path, tensors, config).values()
    found = dequantized(tmp_path, weight)
    assert np.abs(found - DATA["gptq_4"]).max() <= 2**-11 * np.abs(DATA["gptq_4"]).max()


def test_int8_has_zero_points_too(tmp_path):
    codes = np.array([[1, 2, 3], [-4, 5, 127]], np.int8)
    tensors = {
        "p.weight": ("I8", [2, 3], codes.tobytes()),
        "p.weight_scale": ("F32", [2, 1], np.array([0.5, 2], "<f4").tobytes()),
        "p.weight_zero_point": ("I8", [2, 1], np.array([1, -4], np.int8).tobytes()),
    }
    (weight,) = checkpoint(tmp_path, tensors).values()
    assert dequantized(tmp_path, weight).tolist() == [[0, 0.5, 1], [0, 18, 262]]


def test_scales_of_a_stack_of_experts(tmp_path):
    codes = np.arange(12, dtype=np.uint8).reshape(2, 2, 3) + 0x38  # 1.0 and a little more
    values = np.array([1, 1.125, 1.25, 1.375, 1.5, 1.625, 1.75, 1.875, 2, 2.25, 2.5, 2.75])
    for shape, scales in (([2], [[[2]], [[3]]]), ([2, 1, 3], [[[1, 2, 3]], [[4, 5, 6]]])):
        tensors = {
            "mlp.experts.down_proj": ("F8_E4M3", [2, 2, 3], codes.tobytes()),
            "mlp.experts.down_proj_scale": (
                "F32",
                shape,
                np.array(scales, "<f4").tobytes(),
            ),
        }
        (weight,) = checkpoint(tmp_path, tensors).values()
        found = dequantized(tmp_path, weight)
        np.testing.assert_allclose(found, values.reshape(2, 2, 3) * np.array(scales))


def test_contradictory_companions_are_an_error(tmp_path):
    tensors = stored_case("gptq_4")
    tensors["p.g_idx"] = (*tensors["p.g_idx"][:2], b"\x07" * len(tensors["p.g_idx"][2]))
    (weight,) = checkpoint(tmp_path, tensors, CASES["gptq_4"]["config"]).values()
    with pytest.raises(ValueError, match=r"p\.qweight.*g_idx"):
        open_grid(tmp_path, weight)
    tensors = stored_case("bitsandbytes_nf4_64")
    state = "p.weight.quant_state.bitsandbytes__nf4"
    for text in (b"[]", b'{"shape": [1e99, 2], "blocksize": 0}', b"\xff" * 9):
        tensors[state] = ("U8", [len(text)], text)
        (weight,) = checkpoint(tmp_path, tensors).values()
        with pytest.raises(ValueError, match="quant_state"):
            open_grid(tmp_path, weight)


def test_no_shapes_and_settings_break_the_recognition():
    random = np.random.default_rng(6)
    types = ["U8", "I8", "I32", "U32", "F8_E4M3", "F4", "F32", "F8_E8M0", "BOOL"]
    values = [None, True, 4, 0, -1, "x", [128, 128], [0, 0], {"g": {"weights": {"num_bits": 9}}}]
    keys = ["bits", "group_size", "weight_block_size", "config_groups", "quant_method", "p"]
    outcomes = {"scheme": 0, "unsupported": 0}
    for _ in range(3000):
        case = CASES[random.choice(list(CASES))]
        tensors = [(name, tuple(shape), dtype) for name, (dtype, shape) in case["tensors"].items()]
        changed = random.integers(len(tensors))
        name, shape, dtype = tensors[changed]
        if random.random() < 0.3:
            dtype = str(random.choice(types))
        elif random.random() < 0.8:
            sizes = random.choice([0, 1, 2, 3, 8, 16, 32, 64], random.integers(0, 4))
            shape = tuple(int(size) for size in sizes)
        tensors[changed] = (name, shape, dtype)
        config = dict(case["config"])
        if random.random() < 0.5:
            config[str(random.choice(keys))] = values[random.integers(len(values))]
        found = recognize(tensors, {"quantization_config": config})
        named = [*found.schemes, *found.owners, *found.unsupported]
        assert len(named) == len(set(named)) and set(named) <= {t[0] for t in tensors}
        outcomes["scheme"] += len(found.schemes)
        outcomes["unsupported"] += len(found.unsupported)
    assert min(outcomes.values()) > 300


def test_matrices_of_a_plan_do_not_need_the_data():
    pieces = (Piece("gate_proj", 0, ((2, 2),)), Piece("up_proj", 1, ((2, 2),)))
    found = matrices((2, 4, 3), Layout("experts", pieces=pieces))
    slices = [matrix.slice for matrix in found]
    assert slices == ["[0].gate_proj", "[0].up_proj", "[1].gate_proj", "[1].up_proj"]
