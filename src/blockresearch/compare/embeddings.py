"""Whether token embeddings of different widths arrange the same tokens alike.

Hidden units of models with different widths cannot be matched, but rows of the same tokens can.
Linear CKA compares the inner products of all rows, centered, of both sides: 1 for a rotated and
scaled copy, 0 on average for rows that have nothing to do with each other, for any widths, because
the estimator is unbiased. The null is what shuffled tokens give. All language models arrange tokens
by frequency, script and meaning, so unrelated ones are far from it: of five pairs of unrelated
models (SmolLM2-135M, whisper-tiny.en, all-MiniLM-L6-v2, a WordLlama), the first two reach
`UNRELATED`. Copies of SmolLM2-135M with a quarter to three quarters of its columns, or projected to
as many, reach 0.77 to 0.98.

Source: Kornblith and others 2019, arXiv:1905.00414; the unbiased estimator of the products is
HSIC₁ of Song and others 2012, Feature selection via dependence maximization.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from blockresearch.checkpoint.manifest import Manifest
from blockresearch.compare.checkpoint import Checkpoint, Source
from blockresearch.compare.items import Item, items_of
from blockresearch.compare.vocabulary import SharedRows
from blockresearch.measurement.elements import PANEL_BYTES
from blockresearch.weights.quantized.source import Contradiction
from blockresearch.weights.reading import panels

# Tokens that are compared, evenly spaced among the shared ones, and the fewest.
MAX_TOKENS, LEAST_TOKENS = 8192, 32

# Shuffles of the tokens, of which the null is the largest.
SHUFFLES = 8

# The largest CKA of unrelated models, and the least that is called alike.
UNRELATED, ALIKE = 0.42, 0.6


@dataclass(frozen=True)
class Agreement:
    """How alike two embeddings arrange shared tokens.

    component   part of the model that the base's embedding belongs to
    tokens      number of shared tokens that were compared
    widths      numbers of columns: of the base and of the other side
    cka         unbiased linear CKA, at most 1
    null        the largest one with shuffled tokens
    """

    component: str
    tokens: int
    widths: tuple[int, int]
    cka: float
    null: float

    @property
    def row(self) -> dict[str, Any]:
        """The row of the table lineage."""
        return {
            "component": self.component,
            "tokens": self.tokens,
            "embedding_cka": self.cka,
            "embedding_cka_null": self.null,
        }


def have_other_widths(base: Manifest, other: Manifest) -> bool:
    """Whether both checkpoints have an embedding, of different widths."""
    tables = embedding_of(base), embedding_of(other)
    widths = {table.shape[1] for table in tables if table is not None}
    return len(widths) == 2


def agreement(base: Source, other: Source, shared: SharedRows | None) -> Agreement | None:
    """The agreement of the embeddings of both sides; None without an embedding, if too few tokens
    have the same text, or if a row is not finite."""
    first, second = (embedding_of(side.manifest) for side in (base, other))
    if shared is None or not shared.by_text or first is None or second is None:
        return None
    kept = (shared.base < first.shape[0]) & (shared.other < second.shape[0])
    rows = shared.base[kept], shared.other[kept]
    if len(rows[0]) < LEAST_TOKENS:
        return None
    chosen = np.unique(np.linspace(0, len(rows[0]) - 1, MAX_TOKENS).astype(np.int64))
    try:
        with base.reading([first.tensor.name]) as side:
            mine = _rows(side, first, rows[0][chosen])
        with other.reading([second.tensor.name]) as side:
            theirs = _rows(side, second, rows[1][chosen])
    except Contradiction:
        return None
    if not (np.isfinite(mine).all() and np.isfinite(theirs).all()):
        return None
    random = np.random.default_rng(0)
    orders = [np.arange(len(chosen)), *(random.permutation(len(chosen)) for _ in range(SHUFFLES))]
    found, *nulls = ckas(mine, theirs, orders)
    widths = first.shape[1], second.shape[1]
    return Agreement(first.tensor.role.component, len(chosen), widths, found, max(nulls))


def embedding_of(manifest: Manifest) -> Item | None:
    """The token embedding as a matrix; None if the checkpoint has none that is measured."""
    found = (item for item in items_of(manifest) if item.tensor.name == manifest.embedding)
    return next((item for item in found if item.is_whole and item.has_spectrum), None)


def ckas(base: np.ndarray, other: np.ndarray, orders: Iterable[np.ndarray]) -> list[float]:
    """Unbiased linear CKA of float64 rows [n, cols] of both sides, at least 4, with the rows of the
    other side in some orders [n]; 0 if all rows of a side are equal."""
    size = np.sqrt(max(_product(base, base), 0) * max(_product(other, other), 0))
    return [float(_product(base, other[order]) / size) if size else 0.0 for order in orders]


def _product(x: np.ndarray, y: np.ndarray) -> float:
    """HSIC₁ of the linear kernels xxᵀ and yyᵀ, times n (n - 3)."""
    n = len(x)
    own = np.square(x).sum(axis=1), np.square(y).sum(axis=1)
    # Sums of the rows of both kernels without their diagonals.
    rows = [side @ side.sum(axis=0) - sizes for side, sizes in zip((x, y), own, strict=True)]
    trace = np.square(x.T @ y).sum() - own[0] @ own[1]
    sums = rows[0].sum() * rows[1].sum() / ((n - 1) * (n - 2))
    return float(trace + sums - 2 / (n - 2) * (rows[0] @ rows[1]))


def _rows(side: Checkpoint, item: Item, wanted: np.ndarray) -> np.ndarray:
    """Some rows of a table, float64 [n, cols], in the order of `wanted`, centered and scaled to a
    norm of 1 on average."""
    found = np.empty((len(wanted), item.shape[1]))
    for first, panel in _numbered(side, item):
        inside = np.flatnonzero((wanted >= first) & (wanted < first + len(panel)))
        found[inside] = panel[wanted[inside] - first]
    found -= found.mean(axis=0)
    size = np.sqrt(np.square(found).sum(axis=1).mean())
    return found / size if size else found


def _numbered(side: Checkpoint, item: Item) -> Iterator[tuple[int, np.ndarray]]:
    """Panels of rows with the number of the first row of each."""
    first = 0
    for panel in panels(side.open(item.tensor.name), item.matrix, PANEL_BYTES):
        yield first, panel
        first += len(panel)
