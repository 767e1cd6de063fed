"""Which tensors belong together, and that none is lost."""

from collections import Counter

import numpy as np
import pytest

from blockresearch.checkpoint.describe import describe_folder
from blockresearch.compare.items import items_of
from blockresearch.compare.matching import compared_shares, copies, match
from tests.cases import comparisons, variants
from tests.cases.checkpoints import Raw, brain

NOW = "2026-01-01T00:00:00Z"


def manifest(folder, tensors, config, **options):
    return describe_folder(comparisons.write(folder, tensors, config, **options), NOW)


def ledger(tmp_path, other, config=None, **contents):
    """The pairs of the base and other tensors; every item is in exactly one."""
    tensors, base_config = comparisons.base()
    sides = (
        manifest(tmp_path / "base", tensors, base_config),
        manifest(tmp_path / "other", other(tensors), config or base_config, shards=3),
    )
    pairs = match(*sides, **contents)
    for side, name in zip(sides, ("base", "other"), strict=True):
        seen = {getattr(pair, name).name for pair in pairs if getattr(pair, name)}
        assert seen == {item.name for item in items_of(side)}
    return pairs


def counts(pairs):
    return Counter((pair.status, pair.rule) for pair in pairs)


def test_the_same_names_in_other_shards(tmp_path):
    pairs = ledger(tmp_path, lambda tensors: dict(reversed(tensors.items())))
    assert set(counts(pairs)) == {("matched", "name")}
    assert compared_shares(pairs) == (1, 1)


def test_a_prefix_that_a_library_added(tmp_path):
    pairs = ledger(tmp_path, variants.renamed)
    assert counts(pairs)["matched", "name"] == 1  # lm_head
    assert set(counts(pairs)) == {("matched", "name"), ("renamed", "prefix")}


def test_fused_projections_are_matched_by_role(tmp_path):
    config = comparisons.base()[1] | {"model_type": "phi3", "architectures": ["Phi3ForCausalLM"]}
    pairs = ledger(tmp_path, comparisons.fused, config)
    assert counts(pairs)["renamed", "role"] == 10
    assert not [pair for pair in pairs if not pair.is_compared]
    slices = {pair.other.matrix.slice for pair in pairs if pair.rule == "role"}
    assert slices == {"q_proj", "k_proj", "v_proj", "gate_proj", "up_proj"}


def test_a_larger_vocabulary_and_another_shape(tmp_path):
    def other(tensors):
        table = comparisons.values(tensors["model.embed_tokens.weight"])
        norm = tensors["model.norm.weight"]
        return tensors | {
            "model.embed_tokens.weight": brain(np.concatenate([table, table[:8]])),
            "model.norm.weight": Raw("BF16", norm.codes.reshape(-1, 1)),
        }

    pairs = {pair.base.tensor.name: pair for pair in ledger(tmp_path, other)}
    assert pairs["model.embed_tokens.weight"].status == "resized"
    assert pairs["model.norm.weight"].status == "reshaped"


def test_no_partner_is_invented(tmp_path):
    def other(tensors):
        kept = {n: t for n, t in tensors.items() if "layers.1.mlp" not in n}
        return kept | {"model.layers.1.mlp.up_proj.weight": brain(np.ones((7, 5)))}

    pairs = ledger(tmp_path, other)
    alone = [pair for pair in pairs if not pair.is_compared]
    assert Counter(pair.status for pair in alone) == {"only_base": 3, "only_other": 1}
    up = next(p for p in alone if "up_proj" in p.either.name and p.status == "only_base")
    assert up.note.endswith("7 x 5")
    base_share, other_share = compared_shares(pairs)
    assert 0 < base_share < 1 and other_share < 1


@pytest.mark.parametrize("side", ["untied", "tied"])
def test_an_output_layer_that_one_side_ties(tmp_path, side):
    own, config = comparisons.base()
    tensors = {name: tensor for name, tensor in own.items() if name != "lm_head.weight"}
    tied = manifest(tmp_path / "tied", tensors, config | {"tie_word_embeddings": True})
    free = manifest(tmp_path / "free", own, config | {"tie_word_embeddings": False})
    pairs = match(tied, free) if side == "untied" else match(free, tied)
    found = next(pair for pair in pairs if pair.status == side)
    names = {found.base.tensor.name, found.other.tensor.name}
    assert names == {"model.embed_tokens.weight", "lm_head.weight"}
    assert compared_shares(pairs) == (1, 1)


def test_layers_that_moved_and_that_were_copied(tmp_path):
    def other(tensors):
        moved = {n: t for n, t in tensors.items() if "layers.1." not in n}
        return moved | {
            n.replace("layers.1.", "layers.5."): t for n, t in tensors.items() if "layers.1." in n
        }

    def content(tensors):
        return {n: t.codes.tobytes().hex() for n, t in tensors.items()}

    tensors = comparisons.base()[0]
    contents = content(tensors), content(other(tensors))
    names = ("base_content", "other_content")
    pairs = ledger(tmp_path, other, **dict(zip(names, contents, strict=True)))
    moved = [pair for pair in pairs if pair.status == "moved"]
    assert {pair.either.tensor.role.layer_index for pair in moved} == {1}
    assert len(moved) == 9
    assert {pair.rule for pair in pairs} == {"name", "content"}
    assert not copies(pairs, *contents)
    twice = contents[1] | {
        "model.layers.5.mlp.up_proj.weight": contents[0]["model.layers.0.mlp.up_proj.weight"]
    }
    assert copies(pairs, contents[0], twice) == {
        "model.layers.5.mlp.up_proj.weight": "model.layers.0.mlp.up_proj.weight"
    }
