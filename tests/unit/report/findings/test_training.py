"""Tokens that look untrained and tables that are copies; each rule has a case that stays silent."""

import numpy as np
import pytest

from blockresearch.report.findings import training
from blockresearch.report.findings.record import Place
from blockresearch.report.tokens import undertrained_finding
from blockresearch.tables.io import frame

FACTS = {"held_out_auc": 0.99}
TABLE = Place("embed")


def vocabulary(special=(), thai=0.0):
    """400 Latin and 200 Thai tokens, a share of these untrained; reserved rows; `special` tokens
    with their scores."""
    rows = [{"token": f"w{n}", "script": "Latin", "undertrained_score": 0.1} for n in range(400)]
    rows += [
        {"token": f"t{n}", "script": "Thai", "undertrained_score": 0.99 if n < 200 * thai else 0.1}
        for n in range(200)
    ]
    rows = [row | {"kind": "normal", "reference": False, "undertrained_rank": 1} for row in rows]
    rows += [
        {"token": f"<unused{n}>", "kind": "added", "category": "unused", "reference": True}
        | {"undertrained_score": 0.98}
        for n in range(8)
    ]
    rows[-1] |= {"kind": "byte"}
    rows += [
        {"token": text, "kind": "special", "category": "special", "reference": False}
        | {"undertrained_score": score}
        for text, score in special
    ]
    return frame([row | {"token_id": n} for n, row in enumerate(rows)], "tokens")


def found_in(table, rule, facts=FACTS):
    untrained = training.looks_untrained(table, facts)
    return list(rule(table, untrained, TABLE))


def test_chat_and_tool_tokens_are_told_apart():
    scores = {"<tool_call>": 0.99, "<end_of_turn>": 0.99, "<|fim_prefix|>": 0.04, "<bos>": 0.1}
    (found,) = found_in(vocabulary(scores.items()), training.special_tokens)
    assert found.severity == "warning" and (found.value, found.reference) == (2, 4)
    assert "tool calls (1 of 1): <tool_call>; chat (1 of 1): <end_of_turn>." in found.text
    assert "Tokens for fill-in-the-middle look trained." in found.text
    assert found.tensors[0] == Place("embed", None, 608, None)
    trained = [(text, 0.1) for text in scores]
    assert not found_in(vocabulary(trained), training.special_tokens)


def test_scripts_that_look_untrained_are_named():
    (found,) = found_in(vocabulary(thai=0.62), training.scripts)
    assert "62.0 % of Thai (124 of 200 tokens), against 0 % of Latin" in found.text
    assert found.severity == "warning"
    assert not found_in(vocabulary(thai=0.02), training.scripts)


def test_a_score_that_separates_nothing_is_not_used():
    assert training.looks_untrained(vocabulary(), {"held_out_auc": 0.6}) is None
    assert training.looks_untrained(vocabulary(), {"held_out_auc": None}) is None
    everything = vocabulary().assign(undertrained_score=0.98)
    assert training.looks_untrained(everything, FACTS) is None


@pytest.mark.parametrize(("spread", "is_used"), [(0.0, True), (0.2, False)])
def test_control_tokens_count_if_most_are_alike(spread, is_used):
    control = [(f"<|c{n}|>", 0.9 - spread * (n % 7) / 7) for n in range(20)]
    table = vocabulary(control)
    is_control = table["kind"] == "special"
    table = table[is_control | (table["kind"] == "normal")].reset_index(drop=True)
    table = table.assign(reference=table["kind"] == "special")
    assert (training.looks_untrained(table, FACTS) is not None) == is_used
    facts = FACTS | {"method": "m", "above_lowest_reference": 0}
    told = undertrained_finding(table, facts)
    assert ("from a score of 0.8950 on: 0.005 below that median" in told) == is_used


def twins(cosine, content=("a", "b")):
    manifest = {"embedding": "embed", "output": "head"}
    params = frame(
        [
            {"param_name": name, "numel": 100, "content": text}
            for name, text in zip(("embed", "head"), content, strict=True)
        ],
        "params",
    )
    cosines = np.full(200, cosine)
    tokens = frame([{"output_cosine": c, "norm": 1.0} for c in cosines], "tokens")
    output = frame([{"norm": 2.0}] * 200, "tokens")
    return list(training.twin_tables(manifest, params, tokens, output))


def test_an_output_layer_that_copies_the_embedding():
    (found,) = twins(0.9985)
    assert "The rows of head and embed are nearly parallel: cosine 0.9985 to 0.9985" in found.text
    assert "2 times as long. It has 50.0 % of the parameters." in found.text
    (same,) = twins(1.0, ("a", "a"))
    assert same.text.startswith("head has the same bytes as embed.")
    assert not twins(0.7)
