"""A training run from step to step, against plain NumPy."""

from itertools import pairwise

import numpy as np
import pytest

from blockresearch.compare.checkpoint import Checkpoint, local_checkpoint
from blockresearch.compare.dynamics import heads_of_run, joined, measured_step, number_in
from tests.cases import comparisons, variants
from tests.cases.checkpoints import Raw

NOW = "2026-01-01T00:00:00Z"

# Of 4 query heads, two share a key-value head.
GROUPS = 2

MOVED = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The tensors of four steps, the table of the run, the tensors opened for each step, and the
    manifests of the steps."""
    tensors, config = comparisons.base()
    tensors |= {
        name: Raw(tensor.dtype, tensor.codes[: len(tensor.codes) // 2])
        for name, tensor in tensors.items()
        if "k_proj" in name or "v_proj" in name
    }
    config = config | {"num_key_value_heads": GROUPS}
    found = variants.steps(tensors, count=4)
    folders = variants.write_steps(tmp_path_factory.mktemp("run"), found, config)
    steps = [local_checkpoint(str(folder), NOW, hashed=True) for folder in folders]
    opened, tables, original = [], [], Checkpoint.open

    def noted(side, name):
        opened[-1].add(name)
        return original(side, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "open", noted)
        for place, step in enumerate(steps):
            opened.append(set())
            before = list(dict.fromkeys((steps[0], steps[place - 1]))) if place else []
            tables.append(measured_step(step, before, 2))
    manifests = [step.manifest for step in steps]
    return found, joined(manifests, tables), opened, manifests


def of(table, name):
    return table[table["param_name"] == name].reset_index(drop=True)


def test_numbers_agree_with_numpy(run):
    found, table, _, _ = run
    weights = [variants.values(step[MOVED]).astype(np.float64) for step in found]
    rows = of(table, MOVED)
    assert list(rows["position"]) == [0, 1, 2, 3]
    for place, (w, row) in enumerate(zip(weights, rows.to_dict("records"), strict=True)):
        sigma = np.linalg.svd(w, compute_uv=False)
        assert row["frobenius_norm"] == pytest.approx(np.linalg.norm(w), rel=1e-9)
        assert row["spectral_norm"] == pytest.approx(sigma[0], rel=1e-6)
        assert row["stable_rank"] == pytest.approx((sigma**2).sum() / sigma[0] ** 2, rel=1e-6)
        assert row["alpha"] > 1
        for column, other in (("first", 0), ("previous", place - 1)):
            if place == 0:
                continue
            change = np.linalg.norm(w - weights[other]) / np.linalg.norm(weights[other])
            name = f"change_from_{column}"
            assert row[name] == pytest.approx(change, rel=1e-9)
        product = np.vdot(w, weights[0]) / np.linalg.norm(w) / np.linalg.norm(weights[0])
        assert row["cosine_to_first"] == pytest.approx(product, rel=1e-9)


def test_the_planted_rank_and_growth_are_found(run):
    _, table, _, _ = run
    rows = of(table, MOVED)
    assert list(rows["delta_storage_rank"][1:]) == [4, 4, 4]
    assert rows["change_from_previous"][1:].astype(float).tolist() == pytest.approx(
        [0.02] * 3, rel=0.05
    )
    # Independent directions: the distance grows with the root of the steps.
    growth = rows["change_from_first"][1:].astype(float)
    assert growth.tolist() == pytest.approx([0.02, 0.02 * 2**0.5, 0.02 * 3**0.5], rel=0.1)
    assert rows.loc[0, "change_from_first"] == 0 and rows["change_from_previous"].isna()[0]


def test_equal_shards_are_not_read_again(run):
    found, table, opened, _ = run
    same = {name for name, tensor in found[0].items() if tensor is found[-1][name]}
    assert opened[0] == set(found[0])
    assert all(names == set(found[0]) - same for names in opened[1:])
    later = table[table["position"] > 0]
    assert set(later.loc[~later["is_read"].astype(bool), "param_name"]) == same
    rows = of(table, "model.layers.0.self_attn.q_proj.weight")
    assert rows["stable_rank"].nunique() == 1 and rows["stable_rank"].notna().all()
    for column in ("change_from_first", "change_from_previous", "changed", "delta_storage_rank"):
        assert (rows[column][1:] == 0).all(), column


def test_every_step_has_every_tensor_in_order(run):
    found, table, _, _ = run
    names = [list(table.loc[table["position"] == place, "param_name"]) for place in range(4)]
    assert set(names[0]) == set(found[0])
    assert all(own == names[0] for own in names)
    assert list(dict.fromkeys(table["step"])) == ["step-0", "step-100", "step-200", "step-300"]
    assert list(dict.fromkeys(table["step_number"])) == [0, 100, 200, 300]


def test_heads_agree_with_slices_of_their_matrices(run):
    found, table, _, manifests = run
    query, groups = comparisons.base()[1]["num_attention_heads"], GROUPS
    heads = heads_of_run(manifests, table)
    assert len(heads) == len(found) * 2 * query
    rows = heads[(heads["layer_index"] == 1) & (heads["head"] == query - 1)]
    assert list(rows["kv_head"]) == [groups - 1] * len(found)
    for letter, count in zip("qkvo", (query, groups, groups, query), strict=True):
        name = f"model.layers.1.self_attn.{letter}_proj.weight"
        whole = [variants.values(step[name]).astype(np.float64) for step in found]
        sides = [np.split(w, count, axis=letter == "o")[-1] for w in whole]
        norms = np.array([np.linalg.norm(w) for w in sides])
        first = [np.linalg.norm(w - sides[0]) / norms[0] for w in sides]
        steps = [np.linalg.norm(w - v) / np.linalg.norm(v) for v, w in pairwise(sides)]
        assert rows[f"{letter}_norm"].tolist() == pytest.approx(list(norms), rel=1e-9)
        assert rows[f"{letter}_change_from_first"].tolist() == pytest.approx(first, rel=1e-9)
        assert rows[f"{letter}_change_from_previous"].tolist()[1:] == pytest.approx(steps, rel=1e-9)
    still = heads[(heads["layer_index"] == 0) & (heads["position"] > 0)]
    assert len(still) and (still["q_change_from_previous"] == 0).all()


def test_a_number_ends_the_name_of_a_step():
    assert [number_in(label) for label in ("step1000", "checkpoint-5", "main", "v2-rc")] == [
        *(1000, 5, None),
        None,
    ]
