"""Groups of layers follow from predicted cost, contain every layer once, and stay in order."""

import pytest

from blockresearch.checkpoint import layer_groups
from blockresearch.checkpoint.layer_groups import ATTENTION_SECONDS, GROUP_SECONDS, PERMUTED_SECONDS


def manifest(costs, shard_of=lambda layer: "a"):
    """A model whose layers have these predicted seconds."""
    tensors = [
        {
            "name": f"layers.{layer}.q_proj",
            "shape": [1, int(seconds / (ATTENTION_SECONDS + PERMUTED_SECONDS))],
            "shard": shard_of(layer),
            "layout": {},
            "role": {"component": "text", "layer_index": layer, "block_type": "q_proj"},
        }
        for layer, seconds in enumerate(costs)
    ]
    return {"tensors": tensors, "files": [{"path": name} for name in "ab"]}


@pytest.mark.parametrize(
    ("costs", "sizes"),
    [
        ([1] * 10, [10]),
        ([GROUP_SECONDS / 3] * 10, [3, 3, 3, 1]),
        ([4 * GROUP_SECONDS] * 3, [1, 1, 1]),
        ([1, 5 * GROUP_SECONDS, 1], [1, 1, 1]),
    ],
)
def test_groups_have_about_the_same_cost(costs, sizes):
    groups = layer_groups.layer_groups(manifest(costs))
    assert [len(group.layers) for group in groups] == sizes
    found = [layer for group in groups for layer in group.layers]
    assert found == [("text", layer) for layer in range(len(costs))]
    assert [group.name for group in groups] == [f"{n:05d}" for n in range(1, len(sizes) + 1)]


def test_a_group_names_its_shards(monkeypatch):
    monkeypatch.setattr(layer_groups, "GROUP_SECONDS", 2.0)
    found = manifest([1] * 6, lambda layer: "ab"[layer > 2])
    groups = layer_groups.layer_groups(found)
    assert [group.shards for group in groups] == [("a",), ("a", "b"), ("b",)]


def test_a_model_without_layers_has_one_group():
    (group,) = layer_groups.layer_groups({"tensors": [], "files": []})
    assert group.layers == () and group.shards == () and group.memory == 0


@pytest.mark.parametrize("is_stacked", [False, True])
def test_experts_of_any_layout_take_the_same(is_stacked):
    def tensor(name, shape, number):
        role = {"component": "text", "layer_index": 0, "block_type": "moe", "role": "routed"}
        role["expert_index"] = number
        layout = {"kind": "matrix"}
        return {"name": name, "shape": shape, "role": role, "layout": layout, "shard": "a"}

    single = [tensor(f"{n}.{m}", (8, 32), n) for n in range(16) for m in ("up", "down")]
    stacks = [tensor(m, (16, 8, 32), None) for m in ("up", "down")]
    found = {"tensors": stacks if is_stacked else single, "files": [{"path": "a"}]}
    (group,) = layer_groups.layer_groups(found)
    assert group.memory == 16 * 2 * 8 * 32 + 16 * layer_groups.MOMENT_BYTES
    elements = 16 * 2 * 8 * 32
    assert group.seconds > elements * layer_groups.EXPERT_SECONDS
