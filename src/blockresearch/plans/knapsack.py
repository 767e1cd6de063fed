"""The choice of one option for each group that has the least error within a budget of bytes.

This is the multiple-choice knapsack problem. Of the options of a group, those on the lower convex
hull of (bytes, error) give a bound: taking their steps in the order of error per byte is the best
of all choices that may mix options. After each whole step the choice is optimal for its bytes;
these choices are the Pareto curve. For a budget between two of them the groups are decided one
after the other. Of all partial choices those remain that no other one beats in bytes and error, and
whose error with the bound of the groups behind them can still beat the best choice known.

`scipy.optimize.milp` (1.17) solves the same, but compares sizes with a tolerance of 1e-6 and takes
minutes when many layers are nearly equal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

# The chosen error is at most this much above the optimum, as a share.
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Option:
    """One way to store a group: its bytes, and the error that it adds."""

    bytes: int
    error: float


@dataclass(frozen=True)
class Choice:
    """An option of each group, by its number, and the sums over all groups."""

    options: tuple[int, ...]
    bytes: int
    error: float


Groups = Sequence[Sequence[Option]]


def pareto_curve(groups: Groups) -> list[Choice]:
    """Choices with the least error of all that take at most their bytes, from the smallest on.

    Between two neighbors there may be further optima, above the line that joins them.
    """
    hulls = [_hull(options) for options in groups]
    chosen = [hull[0] for hull in hulls]
    curve = [_sum(groups, chosen)]
    for _, group, option in _steps(groups, hulls):
        before, after = groups[group][chosen[group]], groups[group][option]
        chosen[group] = option
        size, error = after.bytes - before.bytes, after.error - before.error
        curve.append(Choice(tuple(chosen), curve[-1].bytes + size, curve[-1].error + error))
    return curve


def best_choice(groups: Groups, budget: int) -> Choice | None:
    """The choice with the least error of at most `budget` bytes; None if there is none.

    Its error is at most a share of TOLERANCE above the optimum.
    """
    curve = pareto_curve(groups)
    if curve[0].bytes > budget:
        return None
    best = _filled(groups, [c for c in curve if c.bytes <= budget][-1], budget)
    # Groups with the largest differences first, so that hopeless choices end early.
    order = sorted(range(len(groups)), key=lambda g: -_span(groups[g]))
    tails = _tails([groups[g] for g in order])
    sizes, errors = np.zeros(1, np.int64), np.zeros(1)
    taken: list[tuple[np.ndarray, np.ndarray]] = []
    for position, group in enumerate(order):
        options = groups[group]
        sizes = np.concatenate([sizes + option.bytes for option in options])
        errors = np.concatenate([errors + option.error for option in options])
        count = len(sizes) // len(options)
        parent, option = np.arange(len(sizes)) % count, np.arange(len(sizes)) // count
        bound = errors + _least(*tails[position + 1], budget - sizes)
        alive = np.flatnonzero(bound < best.error * (1 - TOLERANCE))
        alive = alive[np.lexsort((errors[alive], sizes[alive]))]
        lowest = np.minimum.accumulate(errors[alive]) if len(alive) else errors[alive]
        alive = alive[np.r_[True, errors[alive][1:] < lowest[:-1]]] if len(alive) else alive
        sizes, errors = sizes[alive], errors[alive]
        taken.append((parent[alive], option[alive]))
        if not len(alive):
            return best
    state, chosen = int(np.argmin(errors)), [0] * len(groups)
    for group, (parent, option) in zip(reversed(order), reversed(taken), strict=True):
        chosen[group], state = int(option[state]), int(parent[state])
    return _sum(groups, chosen)


def _sum(groups: Groups, chosen: Sequence[int]) -> Choice:
    options = [group[number] for group, number in zip(groups, chosen, strict=True)]
    return Choice(
        tuple(chosen),
        sum(option.bytes for option in options),
        float(sum(option.error for option in options)),
    )


def _hull(options: Sequence[Option]) -> list[int]:
    """The options on the lower convex hull of (bytes, error), from the smallest to the best."""
    order = sorted(range(len(options)), key=lambda n: (options[n].bytes, options[n].error, n))
    hull: list[int] = []
    for number in order:
        if hull and options[number].error >= options[hull[-1]].error:
            continue
        while len(hull) > 1 and _slope(options, hull[-2], hull[-1]) <= _slope(
            options, hull[-1], number
        ):
            hull.pop()
        hull.append(number)
    return hull


def _slope(options: Sequence[Option], first: int, second: int) -> float:
    """Error that is saved for each byte between two options."""
    one, two = options[first], options[second]
    size = two.bytes - one.bytes
    return (one.error - two.error) / size if size > 0 else np.inf


def _steps(groups: Groups, hulls: Sequence[Sequence[int]]) -> list[tuple[float, int, int]]:
    """(error saved per byte, group, option) of all steps along the hulls, the best first."""
    steps = [
        (_slope(options, one, two), group, two)
        for group, (options, hull) in enumerate(zip(groups, hulls, strict=True))
        for one, two in pairwise(hull)
    ]
    # The steps of one group stay in their order: their slopes fall, and the sort is stable.
    return sorted(steps, key=lambda step: -step[0])


def _filled(groups: Groups, choice: Choice, budget: int) -> Choice:
    """`choice` with what is left of the budget spent where it saves most."""
    chosen, left = list(choice.options), budget - choice.bytes
    while True:
        moves = [
            (now.error - option.error, group, number, option.bytes - now.bytes)
            for group, options in enumerate(groups)
            for now in (options[chosen[group]],)
            for number, option in enumerate(options)
            if option.error < now.error and option.bytes - now.bytes <= left
        ]
        if not moves:
            return _sum(groups, chosen)
        _, group, number, size = max(moves, key=lambda move: (move[0], -move[1]))
        chosen[group], left = number, left - size


def _span(options: Sequence[Option]) -> float:
    errors = [option.error for option in options]
    return max(errors) - min(errors)


def _tails(groups: Groups) -> list[tuple[np.ndarray, np.ndarray]]:
    """For the groups from each one on: bytes and error along their hull, rising in bytes."""
    hulls = [_hull(options) for options in groups]
    steps = _steps(groups, hulls)
    previous = {
        (group, two): one for group, hull in enumerate(hulls) for one, two in pairwise(hull)
    }
    owner = np.array([group for _, group, _ in steps], np.int64)
    moved = [(groups[g][two], groups[g][previous[g, two]]) for _, g, two in steps]
    size = np.array([two.bytes - one.bytes for two, one in moved], np.int64)
    error = np.array([two.error - one.error for two, one in moved])
    tails = []
    for first in range(len(groups) + 1):
        start = [groups[g][hulls[g][0]] for g in range(first, len(groups))]
        mine = owner >= first
        tails.append(
            (
                np.cumsum(np.r_[sum(option.bytes for option in start), size[mine]]),
                np.cumsum(np.r_[sum(option.error for option in start), error[mine]]),
            )
        )
    return tails


def _least(sizes: np.ndarray, errors: np.ndarray, left: np.ndarray) -> np.ndarray:
    """A bound of the error that `left` bytes allow; infinite if they are too few."""
    return np.where(left < sizes[0], np.inf, np.interp(left, sizes, errors))
