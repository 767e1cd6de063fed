"""A finding: one sentence, the tensors it is about, its numbers, and what follows from it.

`findings.json` of a model has a list of them, and where its numbers come from; docs/findings.md
explains the rules and thresholds.
The audit's findings (audit.json) are about damage, these are about what the weights are like.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from blockresearch.language.sentence import Sentence, as_json, declared, from_json, joined
from blockresearch.text import short

# warning: something to do before the model is used; notable: unusual; note: a description.
SEVERITIES = ("warning", "notable", "note")

# What of a finding is text for people.
TEXTS = ("text", "why", "action")

# Topic -> the heading of its findings on pages.
TOPICS = {
    "training": "Training traces",
    "formats": "Low-bit formats",
    "depth": "Layers",
    "values": "Values and ranks",
    "tokens": "Token embedding",
}


@dataclass(frozen=True)
class Place:
    """A tensor, a matrix in it (`slice`, None for all of it), and one weight of that matrix."""

    name: str
    slice: str | None = None
    row: int | None = None
    col: int | None = None

    @property
    def matrix(self) -> str:
        """The name of the tensor and the slice, in a sentence."""
        return short(self.name if self.slice is None else f"{self.name} {self.slice}")

    @property
    def weight(self) -> str:
        """The same with row and column, if they are known."""
        return self.matrix if self.row is None else f"{self.matrix}[{self.row}, {self.col}]"


@dataclass(frozen=True)
class Finding:
    """One finding.

    id         the rule that made it; a model has at most one finding of a rule
    topic      one of TOPICS
    severity   one of SEVERITIES
    text       one to three sentences in plain text
    tensors    what the text is about, most important first
    metric     table.column of `value`; None if it is derived from several
    value, reference    the number and what it is compared with
    why        why it matters
    action     what to do
    """

    id: str
    topic: str
    severity: str
    text: str
    tensors: tuple[Place, ...] = ()
    metric: str | None = None
    value: float | None = None
    reference: float | None = None
    why: str = ""
    action: str = ""

    @property
    def about(self) -> Sentence:
        """Why it matters and what to do."""
        return joined(declared(self.why), declared(self.action))


def as_records(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Findings as the list in findings.json: texts in English, and as messages with values."""
    return [
        {**asdict(one), "messages": {name: as_json(getattr(one, name)) for name in TEXTS}}
        for one in findings
    ]


def from_records(records: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """The findings of the list that `as_records` made."""
    return [_from_record(dict(record)) for record in records]


def _from_record(record: dict[str, Any]) -> Finding:
    texts = {name: from_json(text) for name, text in record.pop("messages", {}).items()}
    tensors = tuple(Place(**place) for place in record["tensors"])
    return Finding(**{**record, **texts, "tensors": tensors})


def ranked(findings: Sequence[Finding]) -> list[Finding]:
    """The findings, most severe first, otherwise in their order."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def leading(findings: Sequence[Finding], count: int) -> list[Finding]:
    """The first `count` of ranked findings: all warnings, then one finding of each topic."""
    topics: set[str] = set()
    first: list[Finding] = []
    rest: list[Finding] = []
    for finding in findings:
        is_first = finding.severity == "warning" or finding.topic not in topics
        (first if is_first else rest).append(finding)
        topics.add(finding.topic)
    return [*first, *rest][:count]


def place_of(row: Mapping[str, Any] | pd.Series, with_weight: bool = False) -> Place:
    """The place of a row of the table params or matrices; `with_weight`: of its largest weight."""
    part = row.get("slice")
    place = Place(str(row["param_name"]), None if _is_missing(part) or not part else str(part))
    at = (_first(row.get("top_rows")), _first(row.get("top_cols")))
    if not with_weight or None in at:
        return place
    return Place(place.name, place.slice, *at)


def _first(values: Any) -> int | None:
    return int(values[0]) if isinstance(values, list | np.ndarray) and len(values) else None


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and value != value)
