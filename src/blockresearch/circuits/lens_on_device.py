"""The rows of a table of tokens on a device: what `lens.RowsOnCpu` does.

Scores are products in float32 without reduced precision, and their sums are float64. Of tokens with
equal scores any comes first.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch

# Directions whose scores with a panel are in memory at once.
AT_ONCE = 2048


class RowsOnDevice:
    """See `lens.Rows`; `read()` yields panels of consecutive rows, float32 [m, d] on a device."""

    def __init__(self, read: Callable[[], Iterator[torch.Tensor]], device: torch.device):
        self._read, self._device = read, device

    def finite(self) -> np.ndarray:
        """The finite rows, bool [rows]; see `lens.Rows`."""
        return np.concatenate([torch.isfinite(each).all(1).cpu().numpy() for each in self._read()])

    def total(self, kept: np.ndarray) -> np.ndarray:
        """The sum of rows, float64 [d]; see `lens.Rows`."""
        sums = [panel.sum(0, dtype=torch.float64) for _, panel in self._blocks(kept)]
        return torch.stack(sums).sum(0).cpu().numpy()

    def extremes(
        self, directions: np.ndarray, kept: np.ndarray, count: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Scores [n, 2, count], rows and sums; see `lens.Rows`."""
        there = torch.from_numpy(directions).to(self._device)
        groups = [_Extremes(some, count) for some in there.split(AT_ONCE)]
        for places, panel in self._blocks(kept):
            for group in groups:
                group.enter(places, panel)
        found = zip(*(group.found() for group in groups), strict=True)
        best, ids, sums = (np.concatenate(parts) for parts in found)
        return best, ids, sums

    def joined(self, ids: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """Squared lengths [m]; see `lens.Rows`."""
        shift, wanted = (torch.from_numpy(each).to(self._device) for each in (mean, ids))
        totals = shift.new_zeros((len(ids), len(mean)))
        start = 0
        for panel in self._read():
            for column in wanted.T:
                # One column at a time: no sum is then added to twice at once.
                here = ((column >= start) & (column < start + len(panel))).nonzero().squeeze(1)
                rows = panel[column[here] - start] - shift
                totals[here] += torch.nn.functional.normalize(rows, dim=1, eps=1e-30)
            start += len(panel)
        return totals.double().square().sum(1).cpu().numpy()

    def _blocks(self, kept: np.ndarray) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """The kept rows in order: their numbers [m], and values [m, d]."""
        start = 0
        for panel in self._read():
            places = np.flatnonzero(kept[start : start + len(panel)])
            if len(places):
                there = torch.from_numpy(places).to(self._device)
                yield start + there, panel if len(places) == len(panel) else panel[there]
            start += len(panel)


class _Extremes:
    """The highest scores so far of a group of directions [n, d] and of their opposites."""

    def __init__(self, directions: torch.Tensor, count: int):
        self._directions, self._count = directions, count
        shape = (len(directions), 2, 0)
        self._best = directions.new_empty(shape)
        self._ids = directions.new_empty(shape, dtype=torch.int64)
        self._sums = directions.new_zeros((len(directions), 2), dtype=torch.float64)

    def enter(self, places: torch.Tensor, panel: torch.Tensor) -> None:
        """Enter the scores of the rows `places` [m] of a `panel` [m, d]."""
        scores = self._directions @ panel.T
        self._sums[:, 0] += scores.sum(1, dtype=torch.float64)
        self._sums[:, 1] += scores.double().square().sum(1)
        count = min(self._count, len(places))
        ends = [(sign * scores).topk(count) for sign in (1, -1)]
        values = torch.stack([end.values for end in ends], dim=1)
        rows = torch.stack([places[end.indices] for end in ends], dim=1)
        best = torch.cat((self._best, values), dim=2)
        self._best, chosen = best.topk(min(self._count, best.shape[2]))
        self._ids = torch.cat((self._ids, rows), dim=2).gather(2, chosen)

    def found(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Best scores [n, 2, count], their rows and sums, as `lens.Rows.extremes`."""
        best, ids, sums = (each.cpu().numpy() for each in (self._best, self._ids, self._sums))
        return best, ids, sums
