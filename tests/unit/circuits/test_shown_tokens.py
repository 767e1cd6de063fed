"""Tokens that name directions have a text and do not look untrained."""

import pandas as pd

from blockresearch.circuits.shown_tokens import shown_tokens
from blockresearch.tables.io import frame


def test_untrained_and_unnamed_rows_are_left_out():
    rows = [
        {"token": "a", "kind": "normal", "category": "letters", "undertrained_score": 0.1},
        {"token": None, "kind": "unnamed", "category": "letters", "undertrained_score": 0.1},
        {"token": "<u>", "kind": "added", "category": "unused", "undertrained_score": 0.1},
        {"token": "<s>", "kind": "special", "category": "special", "undertrained_score": 0.8},
        {"token": "b", "kind": "normal", "category": "letters", "undertrained_score": 0.9},
        {"token": "c", "kind": "normal", "category": "letters", "undertrained_score": None},
    ]
    table = frame([row | {"reference": row["token"] == "<s>"} for row in rows], "tokens")
    found = shown_tokens(table)
    assert found.kept.tolist() == [True, False, False, False, False, True]
    assert found.texts == ["a", "", "<u>", "<s>", "b", "c"]


def test_without_a_tokenizer_no_row_is_kept():
    assert not shown_tokens(frame([{"token_id": 0}, {"token_id": 1}], "tokens")).kept.any()


def test_no_row_is_untrained_without_references():
    table = frame([{"token": "a", "kind": "normal", "category": "letters"}], "tokens")
    assert shown_tokens(pd.concat([table] * 3, ignore_index=True)).kept.all()
