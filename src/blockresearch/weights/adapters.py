"""The change by a low-rank adapter (PEFT LoRA): ΔW = B · A · scale, never built completely.

B [out, r] and A [r, in] are two stored tensors. The change is measured as a separate matrix
next to B. Its singular values are those of the r x r matrix R_B · R_Aᵀ of the two QR factors, and
zeros. scale is lora_alpha / r, or lora_alpha / √r with use_rslora (Kalajdzievski 2023); DoRA's
magnitudes are not included.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from blockresearch.safetensors import dtypes
from blockresearch.safetensors.reader import read_bytes
from blockresearch.weights.stored import Stored, place_of

FACTORS = (
    # the name of B, what A has in its place, and whether they make the transpose of the weight
    (re.compile(r"\.lora_B(\.[^.]+)?\.weight$"), ".lora_A", False),
    (re.compile(r"\.lora_embedding_B(\.[^.]+)?$"), ".lora_embedding_A", True),
)


@dataclass(frozen=True)
class Delta:
    """The change of one weight as its factors in float64: left [rows, r], right [r, cols]."""

    left: np.ndarray
    right: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        return self.left.shape[0], self.right.shape[1]

    def blocks(self, block_bytes: int) -> Iterator[np.ndarray]:
        """The product in blocks of whole rows, float32."""
        rows, cols = self.shape
        step = max(1, block_bytes // (8 * max(1, cols)))
        for first in range(0, rows, step):
            yield (self.left[first : first + step] @ self.right).astype(np.float32)

    def singular_values(self) -> np.ndarray:
        """All min(rows, cols) singular values, largest first."""
        _, left = np.linalg.qr(self.left)
        _, right = np.linalg.qr(self.right.T)
        found = np.linalg.svd(left @ right.T, compute_uv=False)
        values = np.zeros(min(self.shape))
        count = min(len(found), len(values))
        values[:count] = found[:count]
        return values


@dataclass(frozen=True, slots=True)
class LowRank:
    """How to make the change of which a tensor is the factor B.

    scale     factor of the product
    swapped   the product is the transpose of the weight's change
    other     the factor A
    """

    scale: float
    swapped: bool
    other: Stored


def planned_delta(
    tensor: Stored, by_name: Mapping[str, Stored], config: Mapping[str, Any]
) -> LowRank | None:
    """How to make the change of which `tensor` is the factor B.

    None if it is no such factor, A is missing or their shapes do not fit. `config` is
    adapter_config.json.
    """
    name = tensor.name
    for pattern, factor, swapped in FACTORS:
        match = pattern.search(name)
        if not match:
            continue
        module = name[: match.start()]
        other = by_name.get(module + factor + name[match.start() + len(factor) :])
        if other is None or len(tensor.shape) < 2 or len(other.shape) < 2:
            return None
        rank = other.shape[0]
        fits = tensor.shape[1] == rank and math.prod(tensor.shape[2:]) == 1
        real = all(dtypes.DTYPES[t.dtype].kind == "float" for t in (tensor, other))
        if not fits or not real or not rank or 0 in (*tensor.shape, *other.shape):
            return None
        return LowRank(scale(config, module, rank), swapped, place_of(other))
    return None


def scale(config: Mapping[str, Any], module: str, rank: int) -> float:
    """Factor of B · A for a module: lora_alpha (or its alpha_pattern) over r or √r; default 1."""
    alpha = config.get("lora_alpha")
    patterns = config.get("alpha_pattern")
    for end, value in patterns.items() if isinstance(patterns, Mapping) else ():
        if module == end or module.endswith(f".{end}"):
            alpha = value
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not math.isfinite(alpha):
        return 1.0
    return alpha / (math.sqrt(rank) if config.get("use_rslora") is True else rank)


def open_delta(tensor: Stored, planned: LowRank, path_of: Callable[[str], Path]) -> Delta:
    """Read the two factors of a change: `tensor`, and the one that `planned` names."""
    left = _read(tensor, path_of)
    right = _read(planned.other, path_of)
    left, right = left.reshape(len(left), -1), right.reshape(len(right), -1)
    left = left * planned.scale
    if planned.swapped:
        # An embedding's table is [tokens, width], its factors give the transpose.
        left, right = right.T, left.T
    return Delta(np.ascontiguousarray(left), np.ascontiguousarray(right))


def _read(tensor: Stored, path_of: Callable[[str], Path]) -> np.ndarray:
    raw = read_bytes(path_of(tensor.shard), tensor.begin, tensor.end)
    return dtypes.decode(raw, tensor.dtype, np.float64).reshape(tensor.shape)
