"""What changed in each head, against slices by hand."""

import numpy as np
import pytest

from blockresearch.compare.checkpoint import local_checkpoint
from blockresearch.compare.folder import compare_checkpoints
from blockresearch.compare.heads import head_changes
from blockresearch.compare.sides import Side, Sides
from tests.cases import comparisons
from tests.cases.checkpoints import brain


def sides(a, b):
    def side(w):
        return Side(lambda: (w[i : i + 13] for i in range(0, len(w), 13)), "F32")

    return Sides(side(a), side(b), *a.shape)


@pytest.mark.parametrize("by_columns", [False, True])
def test_only_the_head_that_changed(by_columns):
    random = np.random.default_rng(0)
    base = random.standard_normal((64, 48)).astype(np.float32)
    other = base.copy()
    other[16:32] = random.standard_normal((16, 48))
    if by_columns:
        base, other = base.T.copy(), other.T.copy()
    found = head_changes(sides(base, other), 16, by_columns)
    changes = [head["relative_change"] for head in found]
    own = (base[:, 16:32], other[:, 16:32]) if by_columns else (base[16:32], other[16:32])
    exact = np.linalg.norm(own[1] - own[0]) / np.linalg.norm(own[0])
    np.testing.assert_allclose(changes, [0, exact, 0, 0], rtol=1e-6)
    overlaps = [head["overlap"] for head in found]
    np.testing.assert_allclose([overlaps[0], *overlaps[2:]], 1, atol=1e-6)
    assert overlaps[1] == pytest.approx(16 / 48, abs=0.15)


def test_query_heads_share_the_keys_of_their_group(tmp_path):
    tensors, config = comparisons.base()
    start, random = "model.layers.0.self_attn.", np.random.default_rng(1)
    for word in "kv":
        name = f"{start}{word}_proj.weight"
        tensors[name] = brain(comparisons.values(tensors[name])[:16])
    config |= {"num_key_value_heads": 2}
    other = dict(tensors)
    changed = comparisons.values(tensors[f"{start}k_proj.weight"]).copy()
    changed[8:] += 0.002 * random.standard_normal((8, 32)).astype(np.float32)
    other[f"{start}k_proj.weight"] = brain(changed)
    found = compare_checkpoints(
        *(
            local_checkpoint(
                str(comparisons.write(tmp_path / name, own, config)), "2026-01-01T00:00:00Z"
            )
            for name, own in (("base", tensors), ("other", other))
        ),
        1,
    ).heads
    assert list(found["head"]) == [0, 1, 2, 3]
    assert list(found["kv_head"]) == [0, 0, 1, 1]
    assert (found["k_relative_change"] > 0).tolist() == [False, False, True, True]
    assert found["q_relative_change"].isna().all()
