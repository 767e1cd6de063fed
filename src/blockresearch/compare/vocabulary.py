"""Which rows of two token tables belong to the same token: matched by text, not by number.

Rows without a token, and texts that occur several times in one vocabulary, have no partner.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from blockresearch.tokens.tokenizer import Token, as_tokens


@dataclass(frozen=True)
class TokenChange:
    """A token that only one vocabulary has, or that has another row.

    `status` is added, removed or renumbered; ids are rows, None on the side without the token.
    """

    status: str
    token: str
    base_id: int | None
    other_id: int | None


@dataclass(frozen=True)
class SharedRows:
    """Rows of the same tokens on both sides, int64 [n] each, ascending in the base.

    `by_text` is False if a vocabulary is missing: then rows are matched by number.
    """

    base: np.ndarray
    other: np.ndarray
    by_text: bool


def shared_rows(base: Sequence[Token], other: Sequence[Token]) -> SharedRows:
    """The rows that belong to the same token in both vocabularies."""
    mine, theirs = _rows_by_text(base), _rows_by_text(other)
    if not mine or not theirs:
        rows = np.arange(min(len(base), len(other)))
        return SharedRows(rows, rows, by_text=False)
    pairs = [(row, theirs[text]) for text, row in mine.items() if text in theirs]
    both = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
    return SharedRows(both[:, 0], both[:, 1], by_text=True)


def token_changes(base: Sequence[Token], other: Sequence[Token]) -> list[TokenChange]:
    """Tokens that were removed or have another row, then those that were added; by row."""
    mine, theirs = _rows_by_text(base), _rows_by_text(other)
    found = []
    for text, row in mine.items():
        if text not in theirs:
            found.append(TokenChange("removed", text, row, None))
        elif theirs[text] != row:
            found.append(TokenChange("renumbered", text, row, theirs[text]))
    added = [text for text in theirs if text not in mine]
    return found + [TokenChange("added", text, None, theirs[text]) for text in added]


def _rows_by_text(tokens: Sequence[Token]) -> dict[str, int]:
    """Row of each text that occurs once; rows without text are left out."""
    texts = as_tokens(tokens).texts
    counts = Counter(texts)
    return {text: row for row, text in enumerate(texts) if text and counts[text] == 1}
