"""The numbers of pairs as JSON: what a job measures of a comparison, until all parts are joined.

    {"numbers": [{"place": 3, "difference": {…}, "heads": […], "units": […]}],
     "mixture": [{"other_name": "…", "weights": […]}]}

`place` is that of the pair in `Matched.pairs`; fields that a pair does not have are left out. NaN
is written as Python reads it, and every number is read as it was.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from blockresearch.compare.pair import Numbers
from blockresearch.files import read_json, write_text

# Fields that are arrays, or pairs of arrays.
ARRAYS = ("direction", "identities", "units")


def write_numbers(
    numbers: Mapping[int, Numbers], mixture: Iterable[Mapping[str, Any]], path: str | Path
) -> None:
    """Write the numbers of pairs, by their places, and rows of the table mixture."""
    record = {
        "numbers": [{"place": place, **_record(own)} for place, own in sorted(numbers.items())],
        "mixture": list(mixture),
    }
    write_text(json.dumps(record, ensure_ascii=False, default=_plain) + "\n", path)


def read_numbers(path: str | Path) -> tuple[dict[int, Numbers], list[dict[str, Any]]]:
    """The numbers of pairs by their places, and rows of the table mixture."""
    record = read_json(path)
    return {own["place"]: _numbers(own) for own in record["numbers"]}, record["mixture"]


def _record(numbers: Numbers) -> dict[str, Any]:
    found = {each.name: getattr(numbers, each.name) for each in fields(numbers)}
    return {name: value for name, value in found.items() if value is not None}


def _numbers(record: Mapping[str, Any]) -> Numbers:
    return Numbers(
        **{
            name: _array(value) if name in ARRAYS else value
            for name, value in record.items()
            if name != "place"
        }
    )


def _array(value: Any) -> Any:
    if isinstance(value[0], list):
        return tuple(map(np.asarray, value))
    return np.asarray(value)


def _plain(value: Any) -> Any:
    """A number or an array of NumPy as JSON has it."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no number.")
