"""Rows with planted clusters or without any, and tokens with planted untrained rows."""

import numpy as np

from blockresearch.text import readable
from blockresearch.tokens.clustering import space, warm_path, with_silhouettes
from blockresearch.tokens.elbow import elbow, elbow_table
from blockresearch.tokens.tokenizer import Token
from blockresearch.tokens.vectors import usable


def fits_of(rows, k_min, k_max, random_state=0):
    """Fits of the usable `rows` [n, d], with silhouettes."""
    rows = rows[usable(rows)]
    fits = warm_path(space(rows, k_max), k_min, k_max, random_state)
    return with_silhouettes(rows, fits, random_state)


def elbow_curve(rows, k_min, k_max, random_state=0):
    """Table `elbow` for `rows` [n, d] with the elbow as the chosen k."""
    fits = fits_of(rows, k_min, k_max, random_state)
    return elbow_table(fits, elbow(fits) if fits else None)


def planted(clusters: int, size: int = 150, d: int = 100, seed: int = 0):
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(clusters), size)
    centers = 2 * rng.standard_normal((clusters, d))
    rows = centers[truth] + rng.standard_normal((len(truth), d))
    return rows.astype(np.float32), truth


def cloud(n: int = 3000, d: int = 100, seed: int = 0):
    """Rows without clusters, more spread in some directions than in others, far from the origin."""
    rng = np.random.default_rng(seed)
    scales = 1 / np.sqrt(1 + np.arange(d))
    return (5 + rng.standard_normal((n, d)) * scales).astype(np.float32)


def token(raw, kind="normal"):
    return Token(readable(raw), kind, raw)


def untrained_sample(tied_like=True, n=3000, d=48):
    """Rows with a common direction; of the last 60, 30 named unused, none was ever trained."""
    rng = np.random.default_rng(1)
    common, pull = rng.standard_normal((2, d))
    rows = 3 * common + rng.standard_normal((n, d)) * 1.5
    start = 3 * common + 4 * pull if tied_like else 0
    rows[-60:] = start + 0.2 * rng.standard_normal((60, d))
    known = np.zeros(n, bool)
    known[-60::2] = True
    return rows.astype(np.float32), known
