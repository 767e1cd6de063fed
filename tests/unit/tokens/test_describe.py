"""The table of tokens."""

import numpy as np

from blockresearch.report.tokens import neighbors_note
from blockresearch.tables.io import typed
from blockresearch.tokens.describe import describe_rows
from blockresearch.tokens.tokenizer import as_tokens
from blockresearch.tokens.traits import all_traits
from tests.unit.tokens.samples import token, untrained_sample


def test_some_tokens_are_searched_at_random():
    rows = np.random.default_rng(0).standard_normal((3000, 8)).astype(np.float32)
    tokens = as_tokens([token(f" w{i}") for i in range(3000)])
    about = all_traits(tokens)
    table, facts = describe_rows(rows, tokens, about, [7], 600, random_state=3)
    searched = np.flatnonzero(table["neighbours"].notna())
    assert 600 < facts["neighbours_searched"] == len(searched) <= 701
    assert 7 in searched and facts["near_duplicate_sample"] == 600
    again, _ = describe_rows(rows, tokens, about, [7], 600, random_state=3)
    assert again["neighbours"].equals(table["neighbours"])
    whole, _ = describe_rows(rows, tokens, about, [7], 3000)
    assert whole["neighbours"].notna().all()
    assert (whole["neighbours"][searched] == table["neighbours"][searched]).all()
    facts |= {"rows": 3000, "unknown_probes": ["Paris", 9999]}
    note = neighbors_note(facts)
    assert f"{len(searched)} of 3,000" in note
    assert "Not in the vocabulary of this model: Paris, 9999." in note
    assert "every token" in neighbors_note(facts | {"rows": len(searched)})
    assert neighbors_note({"reason": "no embedding"}) == ""


def test_near_duplicates_are_counted():
    rows = np.random.default_rng(0).standard_normal((300, 40)).astype(np.float32)
    rows[250:] = 3 * rows[:50] + 0.01 * rows[100:150]  # another length, nearly the same direction
    tokens = as_tokens([token(f" w{i}") for i in range(300)])
    table, facts = describe_rows(rows, tokens, all_traits(tokens))
    assert facts["near_duplicate_rows"] == 100 and facts["duplicate_rows"] == 0
    assert facts["near_duplicate_share"] == 1 / 3 and facts["near_duplicate_share_error"] == 0
    assert table["neighbours"][260][0] == 10 and table["nearest_cosine"][260] > 0.99


def test_a_share_is_that_of_the_random_sample_alone():
    rows, known = untrained_sample()
    rows[-60:] = rows[-1]  # the rows that look untrained are searched first, and are alike
    tokens = as_tokens(
        [token(f"[unused{i}]") if k else token(f" w{i}") for i, k in enumerate(known)]
    )
    _, facts = describe_rows(rows, tokens, all_traits(tokens), [], 300)
    assert facts["near_duplicate_sample"] == 300 and facts["neighbours_searched"] > 330
    share = facts["near_duplicate_share"]
    assert facts["near_duplicate_rows"] == 60 and 0.005 < share < 0.04
    error = (share * (1 - share) / 300 * 0.9) ** 0.5
    assert abs(facts["near_duplicate_share_error"] - error) < 1e-12


def test_equal_scores_share_a_rank():
    rows, known = untrained_sample()
    rows[[2, 5, 9]] = rows[-2]
    tokens = as_tokens(
        [token(f"[unused{i}]") if k else token(f" w{i}") for i, k in enumerate(known)]
    )
    table, facts = describe_rows(rows, tokens, all_traits(tokens))
    ranks = table["undertrained_rank"]
    assert ranks[2] == ranks[5] == ranks[9]
    assert (ranks == ranks[2] + 1).sum() == 0 and ranks.min() == 1
    lowest = table.loc[known, "undertrained_score"].min()
    above = (ranks.notna() & (table["undertrained_score"] >= lowest)).sum()
    assert facts["undertrained"]["above_lowest_reference"] == above >= 3


def test_the_table_of_tokens(monkeypatch):
    rows, known = untrained_sample()
    rows[5], rows[9], rows[11, 3] = rows[2], rows[2], np.nan
    tokens = as_tokens(
        [token(f"[unused{i}]") if k else token(f" w{i}") for i, k in enumerate(known)]
    )
    table, facts = describe_rows(rows, tokens, all_traits(tokens), [7, 11], 1)
    assert table.dtypes.equals(typed(table, "tokens").dtypes)
    assert table["duplicate_of"].dropna().to_dict() == {5: 2, 9: 2}
    assert facts["duplicate_rows"] == 2 and facts["left_out_rows"] == 1
    assert table.loc[11, ["norm", "undertrained_score", "nearest_cosine"]].isna().all()
    searched = table["neighbours"].notna()
    assert searched.sum() == facts["neighbours_searched"] == 102 and searched[7]
    assert not table.loc[known, "undertrained_rank"].notna().any()
    ranked = table.dropna(subset=["undertrained_rank"]).sort_values("undertrained_rank")
    assert (ranked["undertrained_score"].diff().dropna() <= 1e-5).all()
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = unit @ unit[7]
    cosines[7] = -1
    assert table["neighbours"][7] == np.argsort(-np.nan_to_num(cosines, nan=-1))[:5].tolist()
