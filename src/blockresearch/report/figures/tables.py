"""Tables of reports as data: all rows, with the numbers to sort by and the texts to show."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from blockresearch.language.catalogue import spoken
from blockresearch.language.sentence import Sentence
from blockresearch.report.figures.charts import label
from blockresearch.report.figures.names import indexed
from blockresearch.text import visible

# Shorter tables are read at a glance, and longer ones are files.
FEWEST_ROWS, MOST_ROWS = 13, 20_000

# Distinct texts of a column that a list offers.
MOST_CHOICES = 12

Format = Callable[[Any], str] | None


def is_live(data: pd.DataFrame) -> bool:
    """Whether a page shows the table with a filter."""
    return FEWEST_ROWS <= len(data) <= MOST_ROWS


def table_data(
    data: pd.DataFrame, columns: Mapping[str, tuple[str, Format]], name: str
) -> dict[str, Any]:
    """A table as the page's script reads it; `columns`: column -> heading and format (None: text).

    `name` is that of the file a reader can download.
    """
    texts: dict[str, list[str]] = {}
    values: dict[str, list[Any]] = {}
    shown: dict[str, list[str]] = {}
    for key, (_, form) in columns.items():
        cells = data[key].tolist()
        if form is None:
            texts[key], values[key] = indexed([_text(cell) for cell in cells])
        else:
            values[key] = [None if _is_missing(cell) else _number(cell) for cell in cells]
            shown[key] = ["–" if _is_missing(cell) else visible(form(cell)) for cell in cells]
    return {
        "name": name,
        "rows": len(data),
        "columns": [
            {"key": key, "label": label(head), "text": form is None, "about": key}
            for key, (head, form) in columns.items()
        ],
        "values": values,
        "texts": texts,
        "shown": shown,
        "searched": list(texts),
        "choices": [
            key for key in texts if 1 < len(texts[key]) <= min(MOST_CHOICES, len(data) // 2)
        ],
    }


def _text(cell: Any) -> str:
    if _is_missing(cell):
        return ""
    return visible(spoken(cell) if isinstance(cell, Sentence) else cell)


def _number(cell: Any) -> Any:
    number = float(cell)
    return int(number) if number.is_integer() else number


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and value != value)
