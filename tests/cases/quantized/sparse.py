"""Cases of sparse weights: the values that are kept, and a mask."""

import numpy as np

from tests.cases.checkpoints import E4M3, Cases, Raw, brain, from_bf16, llama, mlp, to_bf16, to_e4m3

CASES = Cases()


def kept_2_of_4(weights):
    keep = np.zeros(weights.shape, bool)
    for start in range(0, weights.shape[1], 4):
        top = np.argsort(-abs(weights[:, start : start + 4]), axis=1)[:, :2]
        np.put_along_axis(keep[:, start : start + 4], top, True, axis=1)
    return keep


SPARSE = {"quant_method": "compressed-tensors", "format": "dense"}


@CASES.add
def sparse_2_of_4():
    """compressed-tensors pull request 250."""
    random = np.random.default_rng(2)
    tensors, config = llama()
    right = {}
    for word in ("gate_proj", "up_proj"):
        module = mlp(0, word)
        weights = from_bf16(to_bf16(random.normal(0, 0.02, (64, 32))))
        keep = kept_2_of_4(weights)
        tensors.pop(f"{module}.weight")
        tensors |= {
            f"{module}.compressed": brain(weights[keep].reshape(64, -1)),
            f"{module}.bitmask": np.packbits(keep, axis=1, bitorder="little"),
            f"{module}.shape": np.array([[64], [32]], "<i8"),
        }
        right[f"{module}.compressed"] = weights * keep
    config["quantization_config"] = SPARSE | {"sparsity_config": {"format": "sparse-24-bitmask"}}
    return tensors, config, right


@CASES.add
def sparse_fp8_with_scales_and_a_ragged_mask():
    random = np.random.default_rng(22)
    tensors, config = llama(hidden=36)
    module = mlp(1, "gate_proj")
    keep = random.random((64, 36)) < 0.3
    codes = to_e4m3(random.normal(0, 100, (64, 36)))
    scales = random.uniform(1e-4, 2e-4, (64, 1)).astype("<f4")
    tensors.pop(f"{module}.weight")
    counts = keep.sum(axis=1)
    tensors |= {
        f"{module}.compressed": Raw("F8_E4M3", codes[keep]),
        f"{module}.bitmask": np.packbits(keep, axis=1, bitorder="little"),
        f"{module}.shape": np.array([64, 36], "<i8"),
        f"{module}.row_offsets": (np.cumsum(counts) - counts).astype("<i8"),
        f"{module}.weight_scale": scales,
    }
    config["quantization_config"] = SPARSE | {"format": "float-quantized"}
    return tensors, config, {f"{module}.compressed": E4M3[codes] * keep * scales}
