"""One sentence on what a comparison shows, with its rule, number and threshold."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from blockresearch.language.sentence import Sentence, as_json, enumerated, say

# Names in a sentence.
NAMED = 3


@dataclass(frozen=True)
class Verdict:
    """One sentence about a comparison.

    `rule` is its name, `value` what was counted, `threshold` what it had to reach.
    """

    rule: str
    text: Sentence
    value: float
    threshold: float


def as_records(verdicts: Iterable[Verdict]) -> list[dict[str, Any]]:
    """Verdicts as the list in autopsy.json: texts in English, and as messages with values."""
    return [{**asdict(one), "message": as_json(one.text)} for one in verdicts]


def listed_names(names: pd.Series) -> Sentence:
    """The first names and how many more there are; they are at least one."""
    return first_of([str(name) for name in names.head(NAMED)], len(names))


def first_of(parts: Sequence[str], count: int | None = None) -> Sentence:
    """The first of `count` things, and how many more there are."""
    count = len(parts) if count is None else count
    first = enumerated(parts[:NAMED])
    if count <= NAMED:
        return first
    return say("{first} and {count} more", first=first, count=count - NAMED)
