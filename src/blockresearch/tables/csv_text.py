"""The lines of a CSV file, made column by column by Arrow.

Arrow's own writer (26.0) is not used: it quotes every text or none, and writes 1 for 1.0 and
0.00005 for 5e-05, where Python writes the same digits in another form.
"""

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

# A spreadsheet runs a cell with such a start as a formula; such text gets a leading apostrophe.
# Text that starts with one gets another, so that removing one always restores it.
GUARDED = "=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'"

GUARDED_START = f"^[{re.escape(''.join(GUARDED))}]"

# By RFC 4180. Python's csv leaves a carriage return bare, which ends the row.
NEEDS_QUOTES = '[,"\r\n]'

# Numbers from and below which Python and Arrow write no exponent.
LEAST_PLAIN, MOST_PLAIN = 1e-4, 1e9

# Rows whose cells are held in memory as text at once.
TEXT_ROWS = 65_536

ListText = Callable[[Any], str | None]


def csv_lines(data: pd.DataFrame, list_text: ListText) -> Iterator[pa.Buffer]:
    """Yield the rows of a table with typed columns as UTF-8, some thousand rows at a time.

    `list_text` gives the text of a cell that holds a list. A missing value is an empty field. Texts
    are guarded against spreadsheets that run formulas.
    """
    for start in range(0, len(data), TEXT_ROWS):
        piece = data.iloc[start : start + TEXT_ROWS]
        cells = [_cells(piece[name], list_text) for name in piece]
        cells[-1] = pc.binary_join_element_wise(cells[-1], "\n", "")
        _, offsets, text = pc.binary_join_element_wise(*cells, ",").buffers()
        yield text.slice(0, np.frombuffer(offsets, np.int32)[len(piece)])


def number_texts(numbers: np.ndarray) -> pa.Array:
    """The texts that Python writes for `numbers` [n], most of them by Arrow, which is faster.

    Both write the fewest digits that give the number back; only without an exponent and with a
    fraction do they write them alike.
    """
    sizes = np.abs(numbers)
    with np.errstate(invalid="ignore"):
        alike = (sizes >= LEAST_PLAIN) & (sizes < MOST_PLAIN) & (numbers != np.floor(numbers))
    others = pa.array(map(repr, numbers[~alike].tolist()), pa.string())
    return pc.replace_with_mask(pc.cast(pa.array(numbers), pa.string()), pa.array(~alike), others)


def _cells(column: pd.Series, list_text: ListText) -> pa.Array:
    """The fields of a typed column."""
    if isinstance(column.dtype, pd.Float64Dtype):
        numbers = column.to_numpy(float, na_value=math.nan)
        known = ~np.isnan(numbers)
        texts = pa.array([""] * len(numbers), pa.string())
        return pc.replace_with_mask(texts, pa.array(known), number_texts(numbers[known]))
    if column.dtype == object:
        # Most lists are missing where few rows have one.
        texts = [None if cell is None else list_text(cell) for cell in column.array]
        return pc.fill_null(_quoted(pa.array(texts, pa.string())), "")
    texts = pc.cast(pa.array(column.array), pa.string())
    # As after a concatenation.
    texts = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    if isinstance(column.dtype, pd.StringDtype):
        texts = _quoted(_guarded(texts))
    return pc.fill_null(texts, "")


def _guarded(texts: pa.Array) -> pa.Array:
    starts = pc.match_substring_regex(texts, GUARDED_START)
    return pc.if_else(starts, pc.binary_join_element_wise("'", texts, ""), texts)


def _quoted(texts: pa.Array) -> pa.Array:
    some = pc.match_substring_regex(texts, NEEDS_QUOTES)
    doubled = pc.replace_substring(texts.filter(some), '"', '""')
    return pc.replace_with_mask(texts, some, pc.binary_join_element_wise('"', doubled, '"', ""))
