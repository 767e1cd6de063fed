"""Whether a comparison is what a converter should give: equal, up to rounding, or quantized."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from blockresearch.compare.folder import Comparison
from blockresearch.tables.schemas import LOW_BIT_FORMATS

# Names in a sentence.
NAMED = 3

QUANTIZED = "quantized:"

# Decibels that a quantized copy may be worse than plain rounding: methods that minimize the error
# of outputs lose one or two.
WORSE_DB = 3.0


@dataclass(frozen=True)
class Expectation:
    """What a converter should give: equal, rounding (up to `max_ulp` units in the last place of the
    coarser type) or quantized to `format` (a low-bit format, or a scheme as tables name it)."""

    kind: str
    max_ulp: int = 1
    format: str = ""


def parse_expectation(text: str, max_ulp: int = 1) -> Expectation:
    """The expectation of a command line. Raises ValueError if there is none of that name."""
    if text in ("equal", "rounding"):
        return Expectation(text, max_ulp)
    if text.startswith(QUANTIZED) and text != QUANTIZED:
        return Expectation("quantized", max_ulp, text.removeprefix(QUANTIZED))
    raise ValueError(
        f"--expect {text}: expected equal, rounding or quantized:FORMAT, with FORMAT one of "
        f"{', '.join(LOW_BIT_FORMATS)} or a scheme such as gptq."
    )


def checked(expected: Expectation, found: Comparison) -> dict[str, Any]:
    """The result for programs: expected, met, and the sentences on what differs by more."""
    reasons = unmet(expected, found)
    name = f"{QUANTIZED}{expected.format}" if expected.format else expected.kind
    return {"expected": name, "max_ulp": expected.max_ulp, "met": not reasons, "reasons": reasons}


def unmet(expected: Expectation, found: Comparison) -> list[str]:
    """Sentences on what differs by more than expected."""
    return [*_incomplete(found), *CHECKS[expected.kind](expected, found.differences)]


def _incomplete(found: Comparison) -> Iterator[str]:
    pairs, table = found.pairs, found.differences
    for status, names, side in (
        ("only_base", "param_name", "in the base"),
        ("only_other", "other_name", "on the other side"),
    ):
        alone = pairs.loc[pairs["status"] == status, names]
        if len(alone):
            yield f"{_listed(alone)} only {side}"
    if len(broken := table[table["not_finite"] > 0]):
        yield f"NaN or infinity in {_listed(broken['param_name'])}"


def _equal(expected: Expectation, table: pd.DataFrame) -> Iterator[str]:
    changed = table[(table["changed"] > 0) | (table["dtype"] != table["other_dtype"])]
    if len(changed):
        yield f"{_listed(changed['param_name'])} changed"


def _rounding(expected: Expectation, table: pd.DataFrame) -> Iterator[str]:
    # Without codes to compare (dequantized values) any change exceeds rounding.
    beyond = table[(table["changed"] > 0) & ~(table["ulp_max"] <= expected.max_ulp)]
    if len(beyond):
        yield f"{_listed(beyond['param_name'])} changed by more than {expected.max_ulp} ulp"


def _quantized(expected: Expectation, table: pd.DataFrame) -> Iterator[str]:
    """Matrices are in the format and hardly worse than plain rounding, or equal up to rounding."""
    is_quantized = (table["grid_format"] == expected.format) | (
        table["other_scheme"] == expected.format
    )
    if not is_quantized.any():
        yield f"no matrix is quantized to {expected.format}"
    yield from _rounding(expected, table[~is_quantized])
    worse = table[is_quantized & (table["sqnr_db"] < table["grid_sqnr_db"] - WORSE_DB)]
    if len(worse):
        yield f"{_listed(worse['param_name'])} lost {WORSE_DB:g} dB more than plain rounding"
    unrelated = table[is_quantized & table["relation"].notna()]
    if len(unrelated):
        yield f"{_listed(unrelated['param_name'])} do not agree with the base"


CHECKS = {"equal": _equal, "rounding": _rounding, "quantized": _quantized}


def _listed(names: pd.Series) -> str:
    first = ", ".join(map(str, names.head(NAMED)))
    return first + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
