"""Single tokens: traits, neighbors, likeness to untrained rows, the table tokens."""

import json

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from blockresearch.report.tokens import neighbors_note
from blockresearch.tables.io import typed
from blockresearch.text import readable
from blockresearch.tokens.analysis import analyze_embedding, find_probes, with_output
from blockresearch.tokens.describe import describe_rows, paired_cosines, row_norms
from blockresearch.tokens.neighbors import Neighbors, nearest, operations
from blockresearch.tokens.tokenizer import Token, read_tokens
from blockresearch.tokens.traits import is_impossible, traits
from blockresearch.tokens.undertrained import leading_direction, untrained_scores


def token(raw, kind="normal"):
    return Token(readable(raw), kind, raw)


@pytest.mark.parametrize(
    ("raw", "kind", "category", "script", "spaced", "length"),
    [
        (" the", "normal", "letters", "Latin", True, 3),
        ("привет", "normal", "letters", "Cyrillic", False, 6),
        ("日本x", "normal", "letters", "Han", False, 3),
        ("नमस्ते", "normal", "letters", "Devanagari", False, 6),
        ("123", "normal", "digits", None, False, 3),
        (" ...", "normal", "punctuation", None, True, 3),
        ("€", "normal", "punctuation", None, False, 1),
        (" \n", "normal", "whitespace", None, True, 1),
        ("\x00\u200b", "normal", "control", None, False, 2),
        ("getValue", "normal", "code", "Latin", False, 8),
        ("();", "normal", "code", None, False, 3),
        ("snake_case", "normal", "code", "Latin", False, 10),
        ("don't", "normal", "mixed", "Latin", False, 5),
        ("\udce2\udc82", "byte", "byte", None, False, 2),
        ("<|end|>", "special", "special", None, False, 7),
        ("<tool_call>", "added", "special", None, False, 11),
        (" [unused7]", "normal", "unused", None, True, 9),
        ("<|reserved_special_token_3|>", "special", "unused", None, False, 28),
        ("", "padding", "unused", None, None, None),
        ("", "normal", None, None, None, None),
    ],
)
def test_traits(raw, kind, category, script, spaced, length):
    found = traits(token(raw, kind))
    assert (found.category, found.script) == (category, script)
    assert (found.leading_space, found.length) == (spaced, length)


def test_impossible_tokens():
    assert is_impossible(token("\udcc0", "byte")) and is_impossible(token("\udcff", "byte"))
    assert is_impossible(token("<unused12>")) and is_impossible(token("[unused1]", "special"))
    for other in (token("\udcc3", "byte"), token("unused"), token("", "padding"), token("<s>")):
        assert not is_impossible(other)


def test_word_pieces_and_bytes_keep_what_they_are(tmp_path):
    path = tmp_path / "tokenizer.json"
    pieces = {"play": 0, "##ing": 1, "[unused3]": 2}
    path.write_text(json.dumps({"model": {"type": "WordPiece", "vocab": pieces}}))
    assert [token.raw for token in read_tokens(path, 4)] == [" play", "ing", " [unused3]", ""]
    model = {"type": "BPE", "byte_fallback": True, "vocab": {"<0xC0>": 0, "▁a": 1}}
    path.write_text(json.dumps({"model": model}))
    assert [token.raw for token in read_tokens(path, 2)] == ["\udcc0", " a"]


@pytest.mark.parametrize("device", ["cpu", "cpu:0"])
@pytest.mark.parametrize("step", [1, 3])
def test_neighbors_are_those_of_scikit_learn(monkeypatch, device, step):
    monkeypatch.setattr("blockresearch.tokens.neighbors.BLOCK_ROWS", 64)
    rows = np.random.default_rng(0).standard_normal((500, 20)).astype(np.float32) + 0.5
    rows[40] = 0
    queries = np.setdiff1d(np.arange(0, 500, step), [] if step == 1 else [40])
    found = nearest(rows, row_norms(rows), queries, device)
    if step == 1:
        assert (found.places[40] == -1).all()
        found = Neighbors(np.delete(found.places, 40, 0), np.delete(found.cosines, 40, 0))
        queries = np.delete(queries, 40)
    others = np.delete(np.arange(500), 40)
    model = NearestNeighbors(n_neighbors=6, metric="cosine", algorithm="brute")
    distances, places = model.fit(rows[others].astype(float)).kneighbors(rows[queries])
    np.testing.assert_array_equal(found.places, others[places[:, 1:]])
    np.testing.assert_allclose(found.cosines, 1 - distances[:, 1:], atol=1e-6)


def test_a_small_budget_is_spent_on_an_even_sample():
    rows = np.random.default_rng(0).standard_normal((3000, 8)).astype(np.float32)
    tokens = [token(f" w{i}") for i in range(3000)]
    about = list(map(traits, tokens))
    budget = operations(3000, 8, 700)
    table, facts = describe_rows(rows, tokens, about, [7], budget)
    searched = np.flatnonzero(table["neighbours"].notna())
    assert facts["neighbours_searched"] == len(searched) <= 700
    assert 7 in searched and np.diff(searched).max() < 8 and searched[-1] == 2999
    whole, _ = describe_rows(rows, tokens, about, [7])
    assert whole["neighbours"].notna().all()
    assert (whole["neighbours"][searched] == table["neighbours"][searched]).all()
    facts |= {"rows": 3000, "unknown_probes": ["Paris", 9999]}
    note = neighbors_note(facts)
    assert f"{len(searched)} of 3,000" in note
    assert "Not in the vocabulary of this model: Paris, 9999." in note
    assert "every token" in neighbors_note(facts | {"rows": len(searched)})
    assert neighbors_note({"reason": "no embedding"}) == ""


def test_neighbors_of_equal_zero_and_few_rows():
    rows = np.float32([[1, 0], [1, 0], [0, 0], [1, 0], [0, 1]])
    found = nearest(rows, row_norms(rows), np.arange(5))
    assert found.places.tolist()[0] == [1, 3, 4, -1, -1]
    assert found.places[2].tolist() == [-1] * 5 and np.isnan(found.cosines[2]).all()
    assert (found.places[1:2, :3] == [0, 3, 4]).all()


def test_near_duplicates_are_counted():
    rows = np.random.default_rng(0).standard_normal((300, 40)).astype(np.float32)
    rows[250:] = 3 * rows[:50] + 0.01 * rows[100:150]  # another length, nearly the same direction
    tokens = [token(f" w{i}") for i in range(300)]
    table, facts = describe_rows(rows, tokens, list(map(traits, tokens)))
    assert facts["near_duplicate_rows"] == 100 and facts["duplicate_rows"] == 0
    assert table["neighbours"][260][0] == 10 and table["nearest_cosine"][260] > 0.99


def untrained_sample(tied_like=True, n=3000, d=48):
    """Rows with a common direction; of the last 60, 30 named unused, none was ever trained."""
    rng = np.random.default_rng(1)
    common, pull = rng.standard_normal((2, d))
    rows = 3 * common + rng.standard_normal((n, d)) * 1.5
    start = 3 * common + 4 * pull if tied_like else 0
    rows[-60:] = start + 0.2 * rng.standard_normal((60, d))
    known = np.zeros(n, bool)
    known[-60::2] = True
    return rows.astype(np.float32), known


@pytest.mark.parametrize("tied_like", [True, False])
@pytest.mark.parametrize("group", range(3))
def test_any_kind_of_reference_finds_untrained_rows(tied_like, group):
    rows, known = untrained_sample(tied_like)
    masks = [np.zeros(len(rows), bool) for _ in range(3)]
    masks[group] = known
    found = untrained_scores(rows, *masks)
    assert (found.reference == known).all() and found.held_out > 0.95
    others = np.flatnonzero(~known)
    top = others[np.argsort(-found.scores[others])[:30]]
    assert (np.sort(top) == np.arange(len(rows) - 59, len(rows), 2)).all()


def test_padding_rows_of_zeros_are_no_reference():
    rows, control = untrained_sample()
    rows[:20] = 0
    padding = np.arange(len(rows)) < 20
    nobody = np.zeros(len(rows), bool)
    found = untrained_scores(rows, nobody, padding, control)
    assert (found.reference == control).all() and found.held_out > 0.95
    # Some rows that were left untrained are better examples than filled ones, and than none these.
    both = untrained_scores(rows, nobody, padding | control, nobody)
    assert (both.reference == control).all()
    alone = untrained_scores(rows, nobody, padding, nobody)
    assert (alone.reference == padding).all() and alone.held_out is None
    assert "rows of zeros" in alone.method


def test_control_tokens_that_differ_are_no_reference():
    rows, _ = untrained_sample()
    nobody = np.zeros(len(rows), bool)
    control = nobody.copy()
    control[:8] = True
    found = untrained_scores(rows, nobody, nobody, control)
    assert not found.reference.any() and found.held_out is None and "weak" in found.method


def test_the_leading_direction_is_a_singular_vector():
    rows = np.random.default_rng(2).standard_normal((300, 12)).astype(np.float32) + 1
    first = np.linalg.svd(rows.astype(float), full_matrices=False)[2][0]
    assert abs(leading_direction(rows) @ first) == pytest.approx(1, abs=1e-9)


def test_the_table_of_tokens(monkeypatch):
    rows, known = untrained_sample()
    rows[5], rows[9], rows[11, 3] = rows[2], rows[2], np.nan
    tokens = [token(f"[unused{i}]") if k else token(f" w{i}") for i, k in enumerate(known)]
    table, facts = describe_rows(rows, tokens, list(map(traits, tokens)), [7, 11], 0.0)
    assert table.dtypes.equals(typed(table, "tokens").dtypes)
    assert table["duplicate_of"].dropna().to_dict() == {5: 2, 9: 2}
    assert facts["duplicate_rows"] == 2 and facts["left_out_rows"] == 1
    assert table.loc[11, ["norm", "undertrained_score", "nearest_cosine"]].isna().all()
    searched = table["neighbours"].notna()
    assert searched.sum() == facts["neighbours_searched"] == 101 and searched[7]
    assert not table.loc[known, "undertrained_rank"].notna().any()
    ranked = table.dropna(subset=["undertrained_rank"]).sort_values("undertrained_rank")
    assert (ranked["undertrained_score"].diff().dropna() <= 0).all()
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = unit @ unit[7]
    cosines[7] = -1
    assert table["neighbours"][7] == np.argsort(-np.nan_to_num(cosines, nan=-1))[:5].tolist()


def test_an_output_layer_of_its_own():
    rows, _ = untrained_sample(n=400)
    tokens = [token(f" w{i}") for i in range(400)]
    head = np.vstack([2 * rows, rows[:3]]).astype(np.float32)
    head[0] = 0
    analysis = analyze_embedding(rows.copy(), tokens, k_max=4, probe_tokens=["w7", 399, "none"])
    cosines = paired_cosines(rows, iter([head[:150], head[150:]]))
    assert np.isnan(cosines[0]) and cosines[1:] == pytest.approx(np.ones(399))
    both = with_output(analysis, head, [*tokens, *tokens[:3]], cosines)
    assert len(both.output_tokens) == 403 and both.summary["output"]["zero_rows"] == 1
    assert both.tokens["output_cosine"].isna().sum() == 1
    assert [probe["token_id"] for probe in both.summary["probes"]] == [7, 399]
    assert isinstance(both.output_tokens["neighbours"][399], list)
    json.dumps(both.summary, allow_nan=False)
    broken = with_output(analysis, np.full((400, 48), np.nan, np.float32), tokens, cosines)
    assert broken.summary["output"] is None and "finite" in broken.summary["output_reason"]
    assert np.isnan(paired_cosines(rows, iter([np.ones((400, 3), np.float32)]))).all()


def test_an_output_layer_ranks_untrained_tokens_first():
    rows, known = untrained_sample(n=600)
    head, _ = untrained_sample(tied_like=False, n=600)
    head[:-60] += np.random.default_rng(7).standard_normal(48)  # trained rows move together
    tokens = [token(f"<unused{i}>") if k else token(f" w{i}") for i, k in enumerate(known)]
    cosines = paired_cosines(rows, iter([head]))
    analysis = with_output(analyze_embedding(rows, tokens, k_max=3), head, tokens, cosines)
    planted = set(range(541, 600, 2))
    for table in (analysis.tokens, analysis.output_tokens):
        first = table.dropna(subset=["undertrained_rank"]).nsmallest(30, "undertrained_rank")
        assert set(first["token_id"]) == planted
    expected = (rows * head).sum(1) / np.linalg.norm(rows, axis=1) / np.linalg.norm(head, axis=1)
    for table in (analysis.tokens, analysis.output_tokens):
        assert table["output_cosine"].to_numpy(float) == pytest.approx(expected, abs=1e-6)


def test_rows_beyond_the_tokenizer_are_not_ranked(tmp_path):
    rows, known = untrained_sample(n=400)
    order = np.argsort(known, kind="stable")  # the known ones last, as padding rows are
    rows = rows[order]
    vocabulary = {f"▁w{i}": i for i in range(len(rows) - known.sum())}
    path = tmp_path / "tokenizer.json"
    path.write_text(
        json.dumps({"model": {"type": "BPE", "byte_fallback": True, "vocab": vocabulary}})
    )
    analysis = analyze_embedding(rows, read_tokens(path, len(rows)), k_max=4)
    assert analysis.summary["padding_rows"] == 30
    assert "rows beyond the tokenizer" in analysis.summary["undertrained"]["method"]
    padding = analysis.tokens[analysis.tokens["kind"] == "padding"]
    assert len(padding) == 30 and padding["reference"].all()
    assert padding["undertrained_rank"].isna().all() and padding["category"].eq("unused").all()
    first = analysis.tokens.nsmallest(30, "undertrained_rank")["token_id"]
    assert set(first) == set(range(340, 370))
    assert analysis.clusters["cluster"].notna().all()


def test_probes_are_looked_for_with_a_space_first():
    tokens = [token("a"), token(" a"), token(" b"), Token("", "padding")]
    found, unknown = find_probes(tokens, ["a", "B", "c", 3, -1, 9])
    assert found == [
        {"token_id": 1, "token": "␣a"},
        {"token_id": 2, "token": "␣b"},
        {"token_id": 3, "token": ""},
    ]
    assert unknown == ["c", -1, 9]
