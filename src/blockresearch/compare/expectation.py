"""Whether a comparison is what a converter should give: equal values, or equal up to rounding."""

from collections.abc import Iterator

import pandas as pd

from blockresearch.compare.folder import Comparison

# Names in a sentence.
NAMED = 3


def unmet(expected: str, found: Comparison, max_ulp: int) -> list[str]:
    """Sentences on what differs by more than `expected`: equal, or rounding (of `max_ulp` ulp)."""
    return list(_reasons(expected, found, max_ulp))


def _reasons(expected: str, found: Comparison, max_ulp: int) -> Iterator[str]:
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
    unequal = table["changed"] > 0
    if expected == "equal":
        changed = table[unequal | (table["dtype"] != table["other_dtype"])]
        if len(changed):
            yield f"{_listed(changed['param_name'])} changed"
        return
    # Without codes to compare (dequantized values) any change exceeds rounding.
    beyond = table[unequal & ~(table["ulp_max"] <= max_ulp)]
    if len(beyond):
        yield f"{_listed(beyond['param_name'])} changed by more than {max_ulp} ulp"


def _listed(names: pd.Series) -> str:
    first = ", ".join(map(str, names.head(NAMED)))
    return first + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
