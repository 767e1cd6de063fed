"""What one matrix is of another if their elements do not agree: moved, turned, or unrelated.

A sample of rows and columns of the other side is searched in the base by cosine, in one pass over
each side:

    transposed          row i of the other side is column i of the base
    rows_interleaved    the rows of each head as rotary halves instead of pairs, or the reverse
    rows_permuted       the rows of the base in another order
    columns_permuted    its columns in another order
    negated             the base with the opposite sign
    rotated             no row or column occurs again, and the singular values are the same
    unrelated           nothing of these

`rotated` also covers an order that changed for rows and columns at once. Noise of one variance has
almost the same singular values in every draw, so they are evidence only if those of the base are
far from noise, or closer to each other than two draws are.
"""

import math
from collections.abc import Callable

import numpy as np

from blockresearch.compare.products import computed
from blockresearch.compare.sides import Panels, Sides
from blockresearch.spectra.noise import marchenko_pastur_cdf

# Rows and columns that are searched.
SAMPLE = 128

# Cosine of a row with the one it was made from; rounding to four bits leaves 0.99.
FOUND = 0.9

# Share of the sample that must be found.
MOST = 0.9

# Largest distance of singular values that are the same, beside that of noise from the base.
SAME_SPECTRUM = 0.1

# Distance of the base from noise above which its singular values are evidence.
FAR_FROM_NOISE = 0.02


# The same for any matrix, times √(rows · cols). Two draws of noise are about 1.7 apart, and of
# 1,000 pairs of 16 × 48 none was closer than 0.57; a rotated copy in BF16 is 0.02 apart.
CLOSER_THAN_DRAWS = 0.2


def relation(sides: Sides, head_rows: int | None = None) -> str:
    """What the other side is of the base, a name of the list above.

    `head_rows` is the number of rows of a head for matrices whose rows rotary embeddings turn.
    """
    found = _Search(sides)
    if found.is_transposed():
        return "transposed"
    for kind, places in (("rows", found.rows()), ("columns", found.columns())):
        if places is None:
            continue
        wanted, best, signs = places
        if np.array_equal(wanted, best) and (signs < 0).all():
            return "negated"
        if kind == "rows" and head_rows and _is_interleaved(wanted, best, head_rows):
            return "rows_interleaved"
        return f"{kind}_permuted"
    return "rotated" if has_same_spectrum(sides) else "unrelated"


def has_same_spectrum(sides: Sides) -> bool:
    """Whether the singular values agree as only those of the same matrix, turned, do."""
    base, other = computed(lambda products: products.values(), sides)
    size = float(np.linalg.norm(base))
    if size == 0:
        return False
    noise = noise_values(sides.rows, sides.cols) * size
    from_noise = float(np.linalg.norm(base - noise)) / size
    apart = float(np.linalg.norm(base - other)) / size
    if apart * math.sqrt(sides.rows * sides.cols) <= CLOSER_THAN_DRAWS:
        return True
    return from_noise >= FAR_FROM_NOISE and apart <= SAME_SPECTRUM * from_noise


def noise_values(rows: int, cols: int) -> np.ndarray:
    """Singular values [n] of noise of this shape, descending, scaled to a Frobenius norm of 1.

    Source: quantiles of the Marchenko-Pastur law.
    """
    q, p = sorted((rows, cols))
    beta = q / p
    low, high = (1 - math.sqrt(beta)) ** 2, (1 + math.sqrt(beta)) ** 2
    grid = np.linspace(low, high, 4096)
    wanted = (np.arange(q, 0, -1) - 0.5) / q
    values = np.sqrt(np.interp(wanted, marchenko_pastur_cdf(grid, beta), grid))
    return values / np.linalg.norm(values)


Places = tuple[np.ndarray, np.ndarray, np.ndarray]


class _Search:
    """Cosines of sampled rows and columns of the other side with all of the base."""

    def __init__(self, sides: Sides):
        rows, cols = sides.rows, sides.cols
        self._wanted = _sample(rows), _sample(cols)
        mine, theirs = self._wanted
        sampled = _rows_at(sides.other.panels, mine, cols)
        columns = np.empty((rows, len(theirs)), np.float32)
        first = 0
        for panel in sides.other.panels():
            columns[first : first + len(panel)] = panel[:, theirs]
            first += len(panel)
        sampled /= _lengths(sampled, 1)
        columns /= _lengths(columns, 0)
        by_row = np.empty((len(mine), rows), np.float32)
        by_column = np.zeros((len(theirs), cols))
        crossed = np.zeros((len(mine), cols)) if rows == cols else None
        squares, first = np.zeros(cols), 0
        for panel in sides.base.panels():
            last = first + len(panel)
            by_row[:, first:last] = sampled @ (panel / _lengths(panel, 1)).T
            by_column += columns[first:last].T @ panel
            squares += np.square(panel, dtype=np.float64).sum(axis=0)
            if crossed is not None:
                crossed += sampled[:, first:last] @ panel
            first = last
        sizes = np.sqrt(np.where(squares > 0, squares, 1))
        self._by_row, self._by_column = by_row, by_column / sizes
        self._crossed = None if crossed is None else crossed / sizes

    def is_transposed(self) -> bool:
        """Whether rows are found as the columns of the same number."""
        if self._crossed is None:
            return False
        places = _best(self._wanted[0], self._crossed)
        return places is not None and bool(np.mean(places[0] == places[1]) >= MOST)

    def rows(self) -> Places | None:
        """Sampled rows, those of the base that they are, and the signs; None if not found."""
        return _best(self._wanted[0], self._by_row)

    def columns(self) -> Places | None:
        """The same of columns."""
        return _best(self._wanted[1], self._by_column)


def _best(wanted: np.ndarray, cosines: np.ndarray) -> Places | None:
    best = np.abs(cosines).argmax(axis=1)
    values = cosines[np.arange(len(best)), best]
    # A permutation uses no row twice.
    is_found = np.mean(np.abs(values) >= FOUND) >= MOST and len(np.unique(best)) >= MOST * len(best)
    return (wanted, best, np.sign(values)) if is_found else None


def _is_interleaved(wanted: np.ndarray, best: np.ndarray, head_rows: int) -> bool:
    if head_rows % 2:
        return False
    head, place = np.divmod(wanted, head_rows)
    half = head_rows // 2
    orders: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
        # Pairs become halves, and back. Source: convert_llama_weights_to_hf.py of transformers.
        lambda i: (i % half) * 2 + i // half,
        lambda i: (i % 2) * half + i // 2,
    )
    return any(np.mean(head * head_rows + order(place) == best) >= MOST for order in orders)


def _sample(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, SAMPLE)).astype(np.int64))


def _rows_at(panels: Panels, wanted: np.ndarray, cols: int) -> np.ndarray:
    out, first = np.empty((len(wanted), cols), np.float32), 0
    for panel in panels():
        chosen = (wanted >= first) & (wanted < first + len(panel))
        out[chosen] = panel[wanted[chosen] - first]
        first += len(panel)
    return out


def _lengths(values: np.ndarray, axis: int) -> np.ndarray:
    sizes = np.sqrt(np.square(values, dtype=np.float64).sum(axis=axis, keepdims=True))
    return np.where(sizes > 0, sizes, 1).astype(np.float32)
