"""Are the tables of a GPU those of the CPU, to the bounds that docs/metrics.md states?"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

RELATIVE = 1e-9

# Differences of nearly equal numbers, and singular values in units of the largest.
ABSOLUTE = {"singular_values": 1e-12, "delta_singular_values": 1e-12}
RATIO, OF_RATIO = 1e-11, 1e-6


def differences(found: pd.DataFrame, expected: pd.DataFrame) -> list[str]:
    """The columns of a table that differ by more than the bounds, in words."""
    if list(found["param_name"]) != list(expected["param_name"]):
        return ["param_name: other rows"]
    return [
        f"{name}: {apart:.1e} of its bound at {expected['param_name'].iloc[row]}"
        for name in expected
        for row, apart in [worst(found, expected, name)]
        if apart > 1
    ]


def largest_difference(found: pd.DataFrame, expected: pd.DataFrame) -> float:
    """The largest difference of real numbers, in units of the bound."""
    return max(worst(found, expected, name)[1] for name in expected)


def worst(found: pd.DataFrame, expected: pd.DataFrame, name: str) -> tuple[int, float]:
    """The row in which a column differs most, and by how much, in units of the bound."""
    if name == "created_at":
        return 0, 0.0
    cells = [apart(a, b, name) for a, b in zip(found[name], expected[name], strict=True)]
    row = int(np.argmax(cells)) if cells else 0
    return row, cells[row] if cells else 0.0


def apart(found: object, expected: object, name: str) -> float:
    """The difference of two cells in units of the bound; infinite if they should be equal."""
    if isinstance(expected, str) and name == "method":
        return 0.0 if str(found).partition("@")[0] == expected.partition("@")[0] else np.inf
    if isinstance(expected, Iterable) and not isinstance(expected, str):
        one, other = (np.asarray(cell, dtype=float) for cell in (found, expected))
        return _apart(one, other, name) if one.shape == other.shape else np.inf
    if isinstance(expected, float) and not pd.isna(expected):
        return _apart(np.array([found], dtype=float), np.array([expected]), name)
    return (
        0.0
        if found is expected or found == expected or (pd.isna(found) and pd.isna(expected))
        else np.inf
    )


def _apart(found: np.ndarray, expected: np.ndarray, name: str) -> float:
    if not len(expected) or np.array_equal(found, expected):
        return 0.0
    if name.startswith("alpha_vs_"):
        least = OF_RATIO if name.endswith("_p") else RATIO
    else:
        least = ABSOLUTE.get(name, 0.0) * float(np.abs(expected).max())
    return float(np.max(np.abs(found - expected) / (RELATIVE * np.abs(expected) + least)))
