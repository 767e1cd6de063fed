"""Rules about values: each has a planted case and one that stays silent."""

import pandas as pd
import pytest

from blockresearch.report.findings import values
from tests.unit.report.findings.samples import layers, matrices, params


def outliers(ratios, projection="down_proj", **more):
    rows = layers(ratios, "max_over_rms", projection, top_rows=[62], top_cols=[490], **more)
    return matrices([row | {"top_values": [-1.5]} for row in rows])


def test_super_weights_are_early_down_projections():
    (found,) = values.super_weights(outliers([481, 5, 5, 5, 5, 5, 5, 5]))
    assert "layers.0.up_proj.weight[62, 490] is 481 × rms" in found.text
    assert found.tensors[0].row == 62
    assert not list(values.super_weights(outliers([5, 5, 5, 5, 5, 5, 5, 481])))
    assert not list(values.super_weights(outliers([481, 5, 5, 5], "q_proj")))
    assert not list(values.super_weights(outliers([40, 5, 5, 5])))


def test_channels_that_recur_are_named():
    same = outliers([60] * 12).assign(rms=0.025, rows=576, cols=1536)
    (found,) = values.recurring_channels(same)
    assert "in many layers: 62 in 12 of 12 layers." in found.text
    (found,) = values.recurring_channels(
        pd.concat([same.assign(component=name) for name in ("encoder", "decoder")])
    )
    assert "62 in 12 of 12 layers of the decoder and 62 in 12 of 12" in found.text
    elsewhere = same.assign(top_rows=[[layer] for layer in range(12)])
    assert not list(values.recurring_channels(elsewhere))


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        ([18.2, 18, 18], "as well as the typical"),
        ([13, 18, 18], "worse than the typical"),
        ([19, 18, 18], "better than the typical"),
    ],
)
def test_the_measured_error_decides_about_an_outlier(errors, words):
    table = outliers([481, 5, 5]).assign(int4_g128_sym_sqnr_db=errors)
    (found,) = values.largest_outlier(table)
    assert "[62, 490] = −1.50, 481 × rms" in found.text and words in found.text


def test_tables_and_changes_do_not_count_as_low_ranks():
    row = {"rows": 64, "cols": 64, "resolved_rank": 4, "resolved_rank_ratio": 4 / 64}
    plain = {"param_name": "a", "block_type": "q_proj"} | row
    (found,) = values.ranks(matrices([plain]))
    assert "a with rank 4 of 64" in found.text and found.severity == "notable"
    for other in ({"block_type": "position_embedding"}, {"slice": "[3].delta"}):
        assert not list(values.ranks(matrices([plain | other])))


@pytest.mark.parametrize(
    ("passes", "text"),
    [
        ([True], "The power law passes its checks in the one matrix. The median"),
        (
            [True, False],
            "The power law passes its checks in 1 of 2 matrices. Fits with fewer than 50 "
            "eigenvalues in the tail: 1. The median",
        ),
    ],
)
def test_fits_of_power_laws_are_counted(passes, text):
    rows = layers([3.0] * len(passes), "alpha", alpha_short_tail=False)
    for row, passed in zip(rows, passes, strict=True):
        row |= {"alpha_passes": passed, "alpha_short_tail": not passed}
    (found,) = values.power_law(matrices(rows))
    assert found.text.startswith(text)


def test_matrices_with_many_zeros_are_named():
    row = {"finite_count": 100, "sparsity": 0.0, "rank": 3}
    rows = [row | {"param_name": name, "zero_fraction": z} for name, z in (("a", 0.2), ("b", 0))]
    (found,) = values.zeros(params(rows))
    assert "10.0 % of all values are exactly zero" in found.text
    assert "1 matrix has 5 % or more exact zeros, most a (20.0 %)." in found.text
    (silent,) = values.zeros(params(rows[1:]))
    assert silent.severity == "note" and not silent.tensors


def test_values_that_are_not_finite_are_a_warning():
    row = {"param_name": "a", "nan_count": 1, "posinf_count": 0, "neginf_count": 0}
    (found,) = values.not_finite(params([row, row | {"param_name": "b", "nan_count": 0}]))
    assert found.severity == "warning" and "1 of 2 tensors contain NaN" in found.text
    assert not list(values.not_finite(params([row | {"nan_count": 0}])))
