"""What each attention head reads, matches and writes: the numbers of its two circuits.

The QK circuit M = W_Qᵀ W_K scores a query against a key, the OV circuit N = W_O W_V is what is
written when a position is attended to (Elhage and others 2021). Both are d × d matrices of low
rank, so singular values and eigenvalues are computed from small matrices: triangles of the factors.
Biases are one more column of the factors, for an input that is always 1.

Copying c = Re Σλ / Σ|λ| over the eigenvalues of N is 1 if every direction that is read is written
with the same sign, and -1 with the opposite one. Trained models have common directions that any
factors share. So the null is empirical: W_V of one head with W_O of a head of another group of the
same layer, and z counts standard deviations of it.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from blockresearch.circuits.layer import Attention, Layer
from blockresearch.spectra.metrics import effective_rank
from blockresearch.spectra.overlap import triangle

Row = dict[str, Any]

# Pairs of factors of different heads for the null of a layer, and the fewest that give one.
MOST_PAIRS, FEWEST_PAIRS = 64, 6


def head_rows(layer: Layer) -> Iterator[Row]:
    """Rows of the table attention_heads, and one with the reason for a block without heads."""
    place = {"component": layer.component, "layer_index": layer.index}
    for attention in layer.attentions:
        for row in attention_rows(attention):
            yield {**place, **row}
    for missing in layer.missing:
        yield {**place, "role": missing.role, "missing": missing.reason}


def attention_rows(attention: Attention) -> list[Row]:
    """A row for each query head of an attention block."""
    copying = _copying(attention)
    rows = []
    for head in range(attention.heads):
        group = attention.kv_head(head)
        rows.append(
            {
                "role": attention.role,
                "head": head,
                "kv_head": group,
                "head_size": attention.q.shape[1],
                "norm_before": attention.norm,
                "is_normalized": attention.is_normalized,
                "is_rescaled": attention.is_rescaled,
                **_query_key(attention, head, group),
                **_output_value(attention, head, group),
                **(copying[head] if copying else {}),
            }
        )
    return rows


def _query_key(attention: Attention, head: int, group: int) -> Row:
    """The numbers of M. Lengths mean nothing if queries or keys are normalized."""
    q, k = attention.q[head], attention.k[group]
    # Without positions in the keys their bias adds the same to all scores, and softmax removes it.
    key_bias = attention.k_bias[group] * (attention.rotary is not None)
    sides = _with_bias(q, attention.q_bias[head]), _with_bias(k, key_bias)
    values = np.linalg.svd(triangle(sides[0].T) @ triangle(sides[1].T).T, compute_uv=False)
    found = _spectrum("qk", values, attention.is_normalized)
    if not found:
        return {}
    energy = float(np.square(values).sum())
    plain = float(np.sum((q @ q.T) * (k @ k.T)))
    has_bias = any(side.shape[1] > q.shape[1] for side in sides)
    found["qk_bias_share"] = max(0.0, 1 - plain / energy) if has_bias else 0.0
    if attention.role == "self" and plain > 0:
        inner = k @ q.T
        found["qk_symmetry"] = float(np.sum(inner * inner.T)) / plain
    if attention.rotary is not None:
        energies = _rotary_energies(q, k, attention.rotary)
        found["rotary_energy"] = energies.tolist()
        found["slow_energy"] = float(energies[len(energies) // 2 :].sum())
    return found


def _output_value(attention: Attention, head: int, group: int) -> Row:
    """The numbers of N. Lengths mean nothing if the output is normalized before it is added."""
    read = _with_bias(attention.v[group], attention.v_bias[group])
    product = triangle(attention.o[head]) @ triangle(read.T).T
    values = np.linalg.svd(product, compute_uv=False)
    return _spectrum("ov", values, attention.is_rescaled)


def _with_bias(matrix: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return np.column_stack([matrix, bias]) if bias.any() else matrix


def _spectrum(circuit: str, values: np.ndarray, is_scaleless: bool) -> Row:
    """Numbers of the singular values of a circuit; none if they are zeros or not finite."""
    if not np.isfinite(values).all() or not values[0]:
        return {}
    unit = values / values[0]
    sizes = {
        f"{circuit}_spectral_norm": float(values[0]),
        f"{circuit}_frobenius_norm": float(np.linalg.norm(values)),
    }
    return {
        **({} if is_scaleless else sizes),
        f"{circuit}_stable_rank": float(np.square(unit).sum()),
        f"{circuit}_effective_rank": effective_rank(unit),
        f"{circuit}_spectrum": unit.tolist(),
    }


def _rotary_energies(q: np.ndarray, k: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Share of each rotary frequency, fastest first, in the sizes of what it multiplies.

    Rows that no frequency turns are one more part, so shares add up to less than 1 with them.
    """
    sizes = [np.square(side).sum(axis=1) for side in (q, k)]
    turned = np.sqrt(np.prod([size[pairs].sum(axis=1) for size in sizes], axis=0))
    rest = np.setdiff1d(np.arange(len(q)), pairs)
    still = np.sqrt(np.prod([size[rest].sum() for size in sizes]))
    total = turned.sum() + still
    return turned / total if total else turned


def _copying(attention: Attention) -> list[Row]:
    """Score and z of each head; none if the block reads another stream than it writes to."""
    if attention.role != "self" or attention.v.shape[2] != attention.o.shape[1]:
        return []
    if not all(np.isfinite(part).all() for part in (attention.v, attention.o)):
        return []
    groups = attention.groups
    scores = [
        _score(attention.v[attention.kv_head(head)] @ attention.o[head])
        for head in range(attention.heads)
    ]
    strangers = (
        (head, (attention.kv_head(head) + shift) % groups)
        for shift in range(1, groups)
        for head in range(attention.heads)
    )
    null = [
        _score(attention.v[group] @ attention.o[head])
        for head, group in islice(strangers, MOST_PAIRS)
    ]
    known = np.array([score for score in null if score is not None])
    spread = float(known.std(ddof=1)) if len(known) >= FEWEST_PAIRS else 0.0
    mean = float(known.mean()) if spread else 0.0
    return [
        {
            "copying": score,
            "copying_z": (score - mean) / spread if spread and score is not None else None,
        }
        for score in scores
    ]


def _score(product: np.ndarray) -> float | None:
    """Re Σλ / Σ|λ| of a product W_V W_O [size, size]; None if all eigenvalues are 0."""
    values = np.linalg.eigvals(product)
    total = float(np.abs(values).sum())
    return float(values.real.sum()) / total if total else None
