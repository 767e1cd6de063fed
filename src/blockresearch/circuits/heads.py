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
from blockresearch.spectra.overlap import Factored, factored

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
    q, k, factors = attention.q[head], attention.k[group], attention.factors
    # Without positions in the keys their bias adds the same to all scores, and softmax removes it.
    key_bias = attention.k_bias[group] * (attention.rotary is not None)
    plain = factors.qk[head]
    has_bias = bool(attention.q_bias[head].any() or key_bias.any())
    if has_bias:
        query = _with_bias(factors.q[head], attention.q_bias[head])
        key = _with_bias(factors.k[group], key_bias)
        values = _values(query.triangle @ key.triangle.T)
    else:
        values = _values(plain)
    found = _spectrum("qk", values, attention.is_normalized)
    if not found:
        return {}
    energy = float(np.square(plain).sum())
    found["qk_bias_share"] = max(0.0, 1 - energy / float(np.square(values).sum())) * has_bias
    if attention.role == "self" and energy > 0:
        inner = k @ q.T
        found["qk_symmetry"] = float(np.sum(inner * inner.T)) / energy
    if attention.rotary is not None:
        energies = _rotary_energies(q, k, attention.rotary)
        found["rotary_energy"] = energies.tolist()
        found["slow_energy"] = float(energies[len(energies) // 2 :].sum())
    return found


def _output_value(attention: Attention, head: int, group: int) -> Row:
    """The numbers of N. Lengths mean nothing if the output is normalized before it is added."""
    factors = attention.factors
    read = _with_bias(factors.v[group], attention.v_bias[group])
    values = _values(factors.o[head].triangle @ read.triangle.T)
    return _spectrum("ov", values, attention.is_rescaled)


def _with_bias(factor: Factored, bias: np.ndarray) -> Factored:
    """The same factor of a matrix with one more column, unless it is zeros."""
    if not bias.any():
        return factor
    rows = factor.columns @ factor.triangle if factor.is_basis else factor.columns
    return factored(np.vstack([rows, bias]))


def _values(core: np.ndarray) -> np.ndarray:
    """Singular values; NaN without finite elements, for which LAPACK fails."""
    is_finite = np.isfinite(core).all()
    return np.linalg.svd(core, compute_uv=False) if is_finite else np.full(len(core), np.nan)


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
    sizes = [np.einsum("ij,ij->i", side, side) for side in (q, k)]
    turned = np.sqrt(np.prod([size[pairs].sum(axis=1) for size in sizes], axis=0))
    rest = np.ones(len(q), dtype=bool)
    rest[pairs] = False
    still = np.sqrt(np.prod([size[rest].sum() for size in sizes]))
    total = turned.sum() + still
    return turned / total if total else turned


def _copying(attention: Attention) -> list[Row]:
    """Score and z of each head; none if the block reads another stream than it writes to."""
    if attention.role != "self" or attention.v.shape[2] != attention.o.shape[1]:
        return []
    if not all(np.isfinite(part).all() for part in (attention.v, attention.o)):
        return []
    pairs = [(head, attention.kv_head(head)) for head in range(attention.heads)]
    strangers = (
        (head, (group + shift) % attention.groups)
        for shift in range(1, attention.groups)
        for head, group in pairs
    )
    chosen = [*pairs, *islice(strangers, MOST_PAIRS)]
    scores = _scores(np.stack([attention.v[group] @ attention.o[head] for head, group in chosen]))
    own, null = scores[: attention.heads], scores[attention.heads :]
    known = null[np.isfinite(null)]
    spread = float(known.std(ddof=1)) if len(known) >= FEWEST_PAIRS else 0.0
    mean = float(known.mean()) if spread else 0.0
    return [
        {
            "copying": score if np.isfinite(score) else None,
            "copying_z": (score - mean) / spread if spread and np.isfinite(score) else None,
        }
        for score in own.tolist()
    ]


def _scores(products: np.ndarray) -> np.ndarray:
    """Re Σλ / Σ|λ| of products W_V W_O [n, size, size]; NaN if all eigenvalues are 0."""
    values = np.linalg.eigvals(products)
    totals = np.abs(values).sum(axis=1)
    return np.divide(
        values.real.sum(axis=1), totals, out=np.full(len(totals), np.nan), where=totals > 0
    )
