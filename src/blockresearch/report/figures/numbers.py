"""Numbers of figures, rounded for pages."""

import math
from typing import Any

import pandas as pd

DIGITS = 4


def rounded(value: Any, digits: int = DIGITS) -> Any:
    """A number for JSON with `digits` significant digits; None if it is missing or not finite."""
    if value is None or value is pd.NA:
        return None
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        short = float(f"{value:.{digits}g}")
        return int(short) if short.is_integer() and abs(short) < 1e15 else short
    return int(value)
