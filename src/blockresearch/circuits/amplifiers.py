"""Channels of the residual stream to which an MLP can add far more than to others, and by what.

A gated MLP adds Σ_c D[k,c] act(g_c · x) (u_c · x) to channel k: c counts neurons, g_c and u_c are
their rows of gate and up with the norm folded in, and D is down. If gates are open, act(z) is about
z, and this is the quadratic form xᵀ S_k x with S_k = Σ_c D[k,c] (u_c g_cᵀ + g_c u_cᵀ) / 2. Its
eigenvalue of the largest size states what an input of length 1 adds at most; inputs behind an RMS
norm have length √d. Without a gate the sum is linear in x if neurons are open, and its length
stands for the eigenvalue. Biases are left out. Source: Sun, Canziani, LeCun and Zhu 2026,
arXiv:2603.05498 (directional quadratic amplifiers).

Eigenvalues are found by Lanczos iterations for all channels of a layer at once, from the neuron
that adds most. If it dominates, they are exact to 1e-5; of noise they may be 5 % too small.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from blockresearch.arrays.arrays import ON_CPU, Array, Arrays
from blockresearch.circuits.mlps import MlpMatrix

# Channels listed of each layer, and Lanczos iterations.
LISTED, STEPS = 4, 20


def amplifier_rows(
    matrices: Sequence[MlpMatrix], arrays: Arrays = ON_CPU
) -> Iterator[dict[str, Any]]:
    """Rows of the table amplifiers for the MLP of a layer, the largest gain first; none if its
    `matrices` are not those of one MLP."""
    if len({matrix.block for matrix in matrices}) < len(matrices):
        return
    named = {matrix.block: matrix.vectors for matrix in matrices}
    up, down, gate = (named.get(f"{name}_proj") for name in ("up", "down", "gate"))
    if up is None or down is None or len(up) != len(down) or up.shape[1] < 2:
        return
    if gate is not None and gate.shape != up.shape:
        return
    sides = (up,) if gate is None else (up, gate)
    neurons = np.sqrt(np.prod([arrays.energy(side, 1) for side in sides], axis=0))
    energies = arrays.double(down * down).T @ arrays.put(np.square(neurons))
    gains = np.sqrt(arrays.get(energies))
    median = float(np.median(gains))
    if not (np.isfinite(gains).all() and median):
        return
    channels = np.argsort(-gains, kind="stable")[:LISTED]
    weights = arrays.get(down[:, channels.tolist()])
    added = np.abs(weights) * neurons[:, None]
    first = added.argmax(axis=0)
    if gate is None:
        largest = np.linalg.norm(arrays.get(up.T @ arrays.put(weights)), axis=0)
    else:
        start = arrays.get(up[first.tolist()]).T
        largest = largest_eigenvalues(_form(up, gate, weights, arrays), start)
    for at, (channel, neuron) in enumerate(zip(channels, first, strict=True)):
        yield {
            "has_gate": gate is not None,
            "channel": int(channel),
            "channel_gain": float(gains[channel]),
            "over_median": float(gains[channel]) / median,
            "amplification": float(largest[at]),
            "neuron": int(neuron),
            "neuron_gain": float(neurons[neuron]),
            "neuron_weight": float(weights[neuron, at]),
            "neuron_share": float(added[neuron, at] / gains[channel]) ** 2,
        }


def largest_eigenvalues(
    multiply: Callable[[np.ndarray], np.ndarray], start: np.ndarray
) -> np.ndarray:
    """The eigenvalue of the largest size, with its sign, of each of n symmetric matrices [d, d].

    `multiply` takes a vector of each, [d, n], to its products. Iterations begin at `start` [d, n].
    """
    size, count = start.shape
    basis: list[np.ndarray] = []
    ritz = np.zeros((count, STEPS, STEPS))
    vector = start
    for step in range(min(STEPS, size)):
        for other in basis * 2:
            vector = vector - other * np.sum(other * vector, axis=0)
        length = np.linalg.norm(vector, axis=0)
        # Nothing is left once the space that the start spans is known.
        vector = np.where(length > 1e-10, vector / np.maximum(length, 1e-300), 0.0)
        basis.append(vector)
        product = multiply(vector)
        for at, other in enumerate(basis):
            ritz[:, at, step] = ritz[:, step, at] = np.sum(other * product, axis=0)
        scale = np.linalg.norm(product, axis=0)
        vector = product / np.where(scale > 0, scale, 1.0)
    values = np.linalg.eigvalsh(ritz)
    low, high = values[:, 0], values[:, -1]
    return np.where(high >= -low, high, low)


def _form(up: Array, gate: Array, weights: np.ndarray, arrays: Arrays) -> Callable:
    """The products with S_k for some channels, whose weights of down are [n, channels]."""
    scale = arrays.put(weights)

    def multiply(vectors: np.ndarray) -> np.ndarray:
        some = arrays.put(vectors.astype(np.float32))
        found = up.T @ (scale * (gate @ some)) + gate.T @ (scale * (up @ some))
        return arrays.get(found).astype(np.float64) / 2

    return multiply
