"""How the change of a weight is made from stored factors: decided from headers, read when measured.

    lora            b [out, r] · a [r, in, …]
    lora kernel     a [s, in] and b [out, r] around a core [r, s, …]
    lora table      the transpose of it: an embedding's table is [tokens, width]
    lora experts    a [E · r, in], the expert slowest; b [out, r · E], the expert fastest
    mlx             a [in, r], b [r, out]: bᵀ · aᵀ
    mlx table       a [tokens, r] · b [r, width]
    mlx experts     a [E · r, in] or [E, r, in], b [E, out, r]
    loha            (w1_a · w1_b) ∘ (w2_a · w2_b), of a kernel with t1 and t2
    lokr            w1 ⊗ w2, each maybe a product w_a · w_b, of a kernel with t2
    lokr line       of a kernel w2 [c, d, k] PEFT multiplies w1 [a, b] with each [d, k] and cuts the
                    result [c, a · d, b · k] into a · c rows

Source: `get_delta_weight` in peft 0.21.2 tuners/{lora,loha,lokr}/layer.py; mlx_lm 0.32.2
tuner/lora.py; `lora_mid` by lycoris 4.1.3 modules/locon.py.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from blockresearch.safetensors import dtypes
from blockresearch.safetensors.reader import read_bytes
from blockresearch.weights.adapters.delta import Delta, Kronecker, Product, Whole, hadamard
from blockresearch.weights.stored import Stored, stored_from_json, stored_json

Factors = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Change:
    """How to make the change of a weight.

    formula   see above
    scale     factor of the product; `alpha`, if it is among the factors, is one more
    factors   stored tensors by their part in the formula
    experts   how many, if the weight is a stack of them
    """

    formula: str
    scale: float
    factors: Mapping[str, Stored]
    experts: int | None = None


def change_json(change: Change) -> dict[str, Any]:
    """The change as manifest and plan keep it."""
    entry: dict[str, Any] = {
        "formula": change.formula,
        "scale": change.scale,
        "factors": {part: stored_json(factor) for part, factor in change.factors.items()},
    }
    return entry | ({"experts": change.experts} if change.experts else {})


def change_from_json(entry: Mapping[str, Any]) -> Change:
    """The change of an entry of a manifest or plan."""
    factors = {part: stored_from_json(factor) for part, factor in entry["factors"].items()}
    return Change(entry["formula"], entry["scale"], factors, entry.get("experts"))


def read_change(change: Change, path_of: Callable[[str], Path]) -> list[tuple[int | None, Delta]]:
    """The change of a weight, of a stack that of each expert with its number."""
    factors = {part: _read(factor, path_of) for part, factor in change.factors.items()}
    scale = change.scale * float(factors.pop("alpha", np.ones(1)).reshape(-1)[0])
    if change.experts:
        found = _EXPERTS[change.formula](factors, change.experts, scale)
        return list(enumerate(found))
    return [(None, _FORMULAS[change.formula](factors, scale))]


def _read(tensor: Stored, path_of: Callable[[str], Path]) -> np.ndarray:
    raw = read_bytes(path_of(tensor.shard), tensor.begin, tensor.end)
    return dtypes.decode(raw, tensor.dtype, np.float64).reshape(tensor.shape)


def _flat(factor: np.ndarray) -> np.ndarray:
    """[n, m] of a factor with a kernel behind it."""
    return np.ascontiguousarray(factor.reshape(len(factor), -1))


def _lora(f: Factors, scale: float) -> Delta:
    return Product(_flat(f["b"]) * scale, _flat(f["a"]))


def _lora_kernel(f: Factors, scale: float) -> Delta:
    inner = np.einsum("rs...,si->ri...", f["core"], _flat(f["a"]))
    return Product(_flat(f["b"]) * scale, _flat(inner))


def _lora_table(f: Factors, scale: float) -> Delta:
    return Product(np.ascontiguousarray(f["a"].T) * scale, np.ascontiguousarray(f["b"].T))


def _mlx(f: Factors, scale: float) -> Delta:
    return Product(np.ascontiguousarray(f["b"].T) * scale, np.ascontiguousarray(f["a"].T))


def _mlx_table(f: Factors, scale: float) -> Delta:
    return Product(f["a"] * scale, f["b"])


def _loha(f: Factors, scale: float) -> Delta:
    if "t1" not in f:
        first = Product(f["w1_a"] * scale, _flat(f["w1_b"]))
        return hadamard(first, Product(f["w2_a"], _flat(f["w2_b"])))
    one, two = (_kernel(f[f"t{n}"], f[f"w{n}_a"], f[f"w{n}_b"]) for n in (1, 2))
    return Whole(_flat(one * two) * scale)


def _lokr(f: Factors, scale: float) -> Delta:
    first = f["w1"] if "w1" in f else f["w1_a"] @ f["w1_b"]
    if "w2" in f:
        second = f["w2"]
    elif "t2" in f:
        second = _kernel(f["t2"], f["w2_a"], f["w2_b"])
    else:
        second = f["w2_a"] @ _flat(f["w2_b"])
    return Kronecker(first * scale, _flat(second))


def _lokr_line(f: Factors, scale: float) -> Delta:
    first = f["w1"] if "w1" in f else f["w1_a"] @ f["w1_b"]
    whole = np.kron(first[None] * scale, f["w2"])
    return Whole(whole.reshape(len(first) * len(f["w2"]), -1))


def _kernel(core: np.ndarray, out: np.ndarray, into: np.ndarray) -> np.ndarray:
    """[out, in, …] of a Tucker core [r, s, …] with factors [r, out] and [s, in]."""
    return np.einsum("ij...,io,jp->op...", core, out, into)


def _lora_experts(f: Factors, experts: int, scale: float) -> list[Delta]:
    a, b = f["a"], f["b"]
    downs = a.reshape(experts, -1, a.shape[1])
    ups = b.reshape(len(b), -1, experts)
    return [Product(ups[:, :, e] * scale, downs[e]) for e in range(experts)]


def _mlx_experts(f: Factors, experts: int, scale: float) -> list[Delta]:
    downs = f["a"].reshape(experts, -1, f["a"].shape[-1])
    return [Product(up * scale, down) for up, down in zip(f["b"], downs, strict=True)]


_FORMULAS: dict[str, Callable[[Factors, float], Delta]] = {
    "lora": _lora,
    "lora kernel": _lora_kernel,
    "lora table": _lora_table,
    "mlx": _mlx,
    "mlx table": _mlx_table,
    "loha": _loha,
    "lokr": _lokr,
    "lokr line": _lokr_line,
}

_EXPERTS: dict[str, Callable[[Factors, int, float], list[Delta]]] = {
    "lora experts": _lora_experts,
    "mlx experts": _mlx_experts,
}
