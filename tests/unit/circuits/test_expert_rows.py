"""The tables of experts of a small mixture: planted duplicates and dead experts, in any layout."""

import numpy as np
import pandas as pd
import pytest

from blockresearch.checkpoint.describe import describe_folder
from blockresearch.circuits.expert_places import expert_places
from blockresearch.circuits.expert_rows import expert_rows
from tests.cases import comparisons
from tests.cases import experts as cases

NOW = "2026-01-01T00:00:00Z"


def tables(folder, tensors):
    model = comparisons.write(folder, tensors, cases.CONFIG)
    manifest = describe_folder(str(model), NOW, hashed=False)
    files = {file.path: manifest.path_of(file.path, "") for file in manifest.shards}
    layers = [(place.component, place.layer) for place in expert_places(manifest)]
    found = list(expert_rows(manifest, files, layers))
    rows = [row for each in found for row in each.experts]
    pairs = [row for each in found for row in each.pairs]
    return pd.DataFrame(rows).set_index("expert_index"), pd.DataFrame(pairs)


def test_independent_experts_are_silent(tmp_path):
    found, pairs = tables(tmp_path / "model", cases.independent())
    assert len(found) == cases.EXPERTS and found["candidate"].isna().all()
    assert not pairs["is_duplicate"].any() and len(pairs) == 4
    assert (found["nearest_z"] < 6).all() and (found["nearest_similarity"] < 0.05).all()
    assert (found["router_gain"] - 1).abs().max() < 0.5
    assert found["shared_similarity"].abs().max() < 0.05


def test_planted_experts_are_found(tmp_path):
    tensors = cases.independent()
    order = cases.duplicate(tensors, 2, 7)
    tensors[f"{cases.START}.gate.weight"][5] *= 0.001
    for projection in cases.SHAPES:
        tensors[cases.name_of(9, projection)] *= 0
    found, pairs = tables(tmp_path / "model", tensors)
    assert found.loc[[2, 7], "nearest_expert"].tolist() == [7, 2]
    first = pairs.iloc[0]
    assert (first["expert_index"], first["other_index"]) == (2, 7) and first["is_duplicate"]
    assert first["aligned_cosine"] == pytest.approx(1)
    assert first["aligned_cosine"] > 2 * first["typical_aligned_cosine"]
    assert first["moved_neurons"] == pytest.approx(np.mean(order != np.arange(len(order))))
    assert first["similarity_z"] > 20 and not pairs["is_duplicate"][1:].any()
    assert found["candidate"].dropna().to_dict() == {
        5: "router row far shorter than the others",
        9: "all weights are zero",
    }
    assert np.isnan(found.loc[9, "nearest_similarity"])


def test_numbers_agree_with_plain_numpy(tmp_path):
    tensors = cases.independent()
    tensors[f"{cases.START}.gate.e_score_correction_bias"] = np.linspace(
        -1, 1, cases.EXPERTS, dtype=np.float32
    )
    found, _ = tables(tmp_path / "model", tensors)
    router = tensors[f"{cases.START}.gate.weight"].astype(np.float64)
    own = [tensors[cases.name_of(4, name)].astype(np.float64) for name in cases.SHAPES]
    assert found.loc[4, "expert_norm"] == pytest.approx(np.sqrt(sum((w**2).sum() for w in own)))
    assert found.loc[4, "router_norm"] == pytest.approx(np.linalg.norm(router[4]))
    units = router / np.linalg.norm(router, axis=1, keepdims=True)
    assert found.loc[4, "router_cosine"] == pytest.approx(np.delete(units @ units[4], 4).max())
    gain = np.sum((own[0] @ units[4]) ** 2) / np.sum(own[0] ** 2) * cases.WIDTH
    assert found.loc[4, "router_gain"] == pytest.approx(gain, rel=1e-5)
    assert found["router_bias"].tolist() == pytest.approx(np.linspace(-1, 1, cases.EXPERTS))


@pytest.mark.parametrize("transposed", [False, True])
def test_stacks_have_the_same_tables(tmp_path, transposed):
    tensors = cases.independent()
    cases.duplicate(tensors, 2, 7)
    plain = tables(tmp_path / "plain", tensors)
    found = tables(tmp_path / "stacked", cases.stacked(tensors, transposed))
    for one, other in zip(plain, found, strict=True):
        pd.testing.assert_frame_equal(one, other, rtol=1e-5, atol=1e-6)


def test_a_value_that_is_no_number_spoils_one_expert(tmp_path):
    tensors = cases.independent()
    tensors[cases.name_of(3, "up_proj")][0, 0] = np.nan
    found, _ = tables(tmp_path / "model", tensors)
    assert found["nearest_similarity"].isna().tolist() == [n == 3 for n in range(cases.EXPERTS)]
    assert found["router_gain"].notna().all()


def test_a_dense_model_has_no_rows(tmp_path):
    tensors, config = comparisons.base()
    model = comparisons.write(tmp_path / "model", tensors, config)
    manifest = describe_folder(str(model), NOW, hashed=False)
    assert list(expert_rows(manifest, {}, [("text", 0)])) == []
