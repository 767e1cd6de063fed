"""Directions are named by the tokens that were planted along them, whatever norms are folded in."""

import numpy as np
import pandas as pd
import pytest

from blockresearch.checkpoint.describe import describe_folder
from blockresearch.circuits.direction_rows import Tokens, direction_rows
from blockresearch.circuits.directions import read_directions
from blockresearch.circuits.part import measure_layers
from tests.cases import comparisons

NOW = "2026-01-01T00:00:00Z"
WIDTH, INNER, TOKENS, HEADS = 32, 48, 200, 2
GROUP = np.arange(20, 30)
TEXTS = [f"t{number}" for number in range(TOKENS)]
LAYER = "model.layers.0"


def tensors():
    """A layer whose down_proj writes and whose first head reads the axis of a group of tokens."""
    random = np.random.default_rng(0)
    axis = random.standard_normal(WIDTH)
    axis /= np.linalg.norm(axis)
    table = random.standard_normal((TOKENS, WIDTH))
    table[GROUP] += 6 * axis
    gamma = random.uniform(0.5, 2, WIDTH)
    down = 0.05 * random.standard_normal((WIDTH, INNER))
    down += np.outer(axis / gamma, random.standard_normal(INNER))
    found = {
        "model.embed_tokens.weight": table,
        "model.norm.weight": gamma,
        f"{LAYER}.input_layernorm.weight": random.uniform(0.5, 2, WIDTH),
        f"{LAYER}.post_attention_layernorm.weight": random.uniform(0.5, 2, WIDTH),
        f"{LAYER}.mlp.gate_proj.weight": random.standard_normal((INNER, WIDTH)),
        f"{LAYER}.mlp.up_proj.weight": random.standard_normal((INNER, WIDTH)),
        f"{LAYER}.mlp.down_proj.weight": down,
    }
    for name in "qkvo":
        weight = 0.05 * random.standard_normal((WIDTH, WIDTH))
        if name == "v":
            weight[0] += 3 * axis / found[f"{LAYER}.input_layernorm.weight"]
        found[f"{LAYER}.self_attn.{name}_proj.weight"] = weight
    return {name: values.astype(np.float32) for name, values in found.items()}


CONFIG = {
    "model_type": "llama",
    "hidden_size": WIDTH,
    "num_attention_heads": HEADS,
    "num_key_value_heads": HEADS,
    "num_hidden_layers": 1,
    "vocab_size": TOKENS,
    "tie_word_embeddings": True,
}


def rows_of(folder, stored, kept=None, output=None):
    model = comparisons.write(folder, stored, CONFIG)
    manifest = describe_folder(str(model), NOW, hashed=False)
    files = {file.path: manifest.path_of(file.path, "") for file in manifest.shards}
    tokens = Tokens(TEXTS, np.ones(TOKENS, bool) if kept is None else kept)
    measure_layers(manifest, files, [("text", 0)], folder / "all", ["key"])
    directions = read_directions(folder / "all.directions.npz")
    return pd.DataFrame(direction_rows(manifest, files, directions, tokens, output))


@pytest.fixture
def stored():
    return tensors()


def pick(rows, circuit, side, head=None, number=0):
    found = rows[
        (rows["circuit"] == circuit) & (rows["side"] == side) & (rows["direction"] == number)
    ]
    if head is not None:
        found = found[found["head"] == head]
    (row,) = found.to_dict("records")
    return row


def ends_of(row):
    return [set(row["top_ids"]), set(row["bottom_ids"])]


def test_planted_tokens_are_named(tmp_path, stored):
    rows = rows_of(tmp_path / "model", stored)
    for row in (pick(rows, "down_proj", "write"), pick(rows, "OV", "read", head=0)):
        assert set(GROUP) in ends_of(row)
        assert max(row["top_coherence_z"], row["bottom_coherence_z"]) > 3
        end = "top" if set(row["top_ids"]) == set(GROUP) else "bottom"
        assert set(row[f"{end}_tokens"].split("  ")) == {TEXTS[number] for number in GROUP}
    assert len(rows) == 2 * 2 * HEADS * 2 + 3 * 8


def test_tokens_that_are_not_kept_name_nothing(tmp_path, stored):
    kept = np.ones(TOKENS, bool)
    kept[GROUP[:3]] = False
    rows = rows_of(tmp_path / "model", stored, kept)
    for ends in (*rows["top_ids"], *rows["bottom_ids"]):
        assert not set(GROUP[:3]) & set(ends)


def test_scores_agree_with_plain_numpy(tmp_path, stored):
    rows = rows_of(tmp_path / "model", stored)
    table = stored["model.embed_tokens.weight"].astype(np.float64)
    u, values, _ = np.linalg.svd(stored[f"{LAYER}.mlp.down_proj.weight"].astype(np.float64))
    for number in (0, 1):
        row = pick(rows, "down_proj", "write", number=number)
        scores = (table - table.mean(axis=0)) @ (stored["model.norm.weight"] * u[:, number])
        scores /= scores.std()
        ends = [np.sort(scores)[::-1][:10], np.sort(scores)[:10]]
        found = [row["top_scores"], row["bottom_scores"]]
        flipped = [-np.array(each) for each in reversed(found)]
        assert np.allclose(found, ends, atol=1e-3) or np.allclose(flipped, ends, atol=1e-3)
        assert row["energy_share"] == pytest.approx(
            values[number] ** 2 / np.sum(values**2), rel=1e-4
        )
    gamma = stored[f"{LAYER}.post_attention_layernorm.weight"].astype(np.float64)
    v = np.linalg.svd(stored[f"{LAYER}.mlp.up_proj.weight"] * gamma)[2][0]
    scores = (table - table.mean(axis=0)) @ v
    row = pick(rows, "up_proj", "read")
    largest = np.argsort(-np.abs(scores))[0]
    assert largest in (row["top_ids"][0], row["bottom_ids"][0])


def test_a_separate_output_layer_names_what_is_written(tmp_path, stored):
    turned = np.roll(stored["model.embed_tokens.weight"], 50, axis=0)
    stored["lm_head.weight"] = np.ascontiguousarray(turned)
    names = Tokens([f"o{number}" for number in range(TOKENS)], np.ones(TOKENS, bool))
    rows = rows_of(tmp_path / "model", stored, output=names)
    row = pick(rows, "down_proj", "write")
    assert set(GROUP + 50) in ends_of(row) and row["top_tokens"].startswith("o")
    assert pick(rows, "OV", "read", head=0)["top_tokens"].startswith("t")


def test_a_model_without_tokens_has_no_rows(tmp_path, stored):
    del stored["model.embed_tokens.weight"]
    assert rows_of(tmp_path / "model", stored).empty
