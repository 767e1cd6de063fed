"""What the experts of a layer have in common, whatever the order of their neurons.

A neuron of an expert is a row of gate, a row of up and a column of down. The order of neurons means
nothing, so experts are compared by second moments, which do not depend on it: with z the
concatenation of the three vectors of a neuron, each seen in `DIRECTIONS` random orthonormal
directions of the residual stream, M = Σ z zᵀ over the neurons, without the part that is the same in
all directions. Duplicates have a cosine of 1, permuted or not, and independent random experts 0.
"""

from collections.abc import Mapping

import numpy as np
from scipy.optimize import linear_sum_assignment

# Directions of the residual stream in which neurons are seen; narrower ones are seen in whole.
DIRECTIONS = 64

# Scales the median absolute deviation to the standard deviation of a normal law.
NORMAL_MAD = 1.4826

# Fewest values of which one can be called far from the others.
FEWEST = 8

PROJECTIONS = ("gate_proj", "up_proj", "down_proj")


def directions(width: int) -> np.ndarray:
    """Orthonormal directions [width, n], float32, always the same; n = width or DIRECTIONS."""
    if width <= DIRECTIONS:
        return np.eye(width, dtype=np.float32)
    random = np.random.default_rng(width).standard_normal((width, DIRECTIONS))
    return np.linalg.qr(random)[0].astype(np.float32)


def moments(seen: Mapping[str, np.ndarray]) -> np.ndarray:
    """The second moments [n, n] of neurons, float32, of norm 1, without their isotropic part.

    `seen` has the vectors [neurons, p] of the neurons by projection, in one order for all experts.
    NaN for an expert of zeros, or one with values that are not finite.
    """
    neurons = unit(seen)
    isotropic = [np.full(each.shape[1], 1 / each.shape[1]) for each in seen.values()]
    found = neurons.T @ neurons - np.diag(np.concatenate(isotropic))
    with np.errstate(invalid="ignore"):
        return (found / np.linalg.norm(found)).astype(np.float32)


def unit(seen: Mapping[str, np.ndarray]) -> np.ndarray:
    """The neurons [neurons, n] of an expert, float64, every projection of norm 1; NaN for zeros."""
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = [each.astype(np.float64) / np.linalg.norm(each) for each in seen.values()]
    return np.concatenate(scaled, axis=1)


def cosines(experts: np.ndarray) -> np.ndarray:
    """Cosines [experts, experts] of moments [experts, n, n], float64."""
    flat = experts.reshape(len(experts), -1).astype(np.float64)
    return flat @ flat.T


def robust_z(values: np.ndarray) -> np.ndarray:
    """How many standard deviations each value [n] is from the median, by the median absolute
    deviation; NaN for fewer than `FEWEST` values, and without any spread."""
    finite = values[np.isfinite(values)]
    if len(finite) < FEWEST:
        return np.full(len(values), np.nan)
    middle = np.median(finite)
    spread = NORMAL_MAD * np.median(np.abs(finite - middle))
    return (values - middle) / spread if spread > 0 else np.full(len(values), np.nan)


def best_order(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The order [neurons] of the neurons of `other` that fits those of `one` best, by the sum of
    their cosines; both [neurons, n].

    Source: the linear assignment problem, scipy.optimize.linear_sum_assignment.
    """
    units = [
        part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-30)
        for part in (one, other)
    ]
    return linear_sum_assignment(units[0] @ units[1].T, maximize=True)[1]


def aligned_cosine(
    one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray], order: np.ndarray
) -> float:
    """Mean cosine over the projections of two experts, vectors [neurons, width] by projection, with
    the neurons of `other` in this order.

    It is above 0 for independent experts too, because the order was chosen.
    """
    found = []
    for projection, vectors in one.items():
        first = vectors.astype(np.float64).reshape(-1)
        second = other[projection][order].astype(np.float64).reshape(-1)
        sizes = float(np.linalg.norm(first) * np.linalg.norm(second))
        found.append(float(first @ second) / sizes)
    return float(np.mean(found))


def router_gains(responses: np.ndarray, router: np.ndarray, energy: float) -> np.ndarray:
    """How strongly an expert reads each row of the router [experts]; 1 for a random direction.

    `responses` [experts] are ‖W r‖² of its gate (up, without a gate) for each row r of `router`
    [experts, width], `energy` is ‖W‖_F². NaN for rows of zeros.
    """
    sizes = np.square(router, dtype=np.float64).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return responses / sizes / (energy / router.shape[1])
