"""Pictures of values: every value counted, every measure in its strip."""

import numpy as np
import pandas as pd

from blockresearch.report.plots import style
from blockresearch.report.plots.layers import by_block
from blockresearch.report.plots.values import (
    Measure,
    distributions,
    parameters_by_block,
    pooled_values,
    rounding,
    strips,
)
from blockresearch.safetensors.dtypes import code_values
from blockresearch.tables.io import frame
from tests.unit.report.plots.samples import layer_rows


def test_distribution_counts_every_value():
    values = code_values("BF16")
    codes = np.flatnonzero(np.isfinite(values) & (np.abs(values) < 4) & (np.abs(values) > 0.1))
    counts = np.arange(1, len(codes) + 1)
    params = frame(
        [{"param_name": "w", "block_type": "q_proj", "rows": 8, "cols": 8, "dtype": "BF16"}],
        "params",
    )
    histograms = pd.DataFrame(
        [{"param_name": "w", "dtype": "BF16", "codes": codes, "counts": counts}]
    )
    figure = distributions(pooled_values(params, [histograms.iloc[:0], histograms]))
    outline = figure.axes[0].patches[0].get_data()
    assert np.isclose((outline.values * np.diff(outline.edges)).sum(), 1.0)
    assert outline.edges[0] <= values[codes].min() and outline.edges[-1] >= values[codes].max()


def matrix(**values):
    row = {"param_name": "w", "block_type": "q_proj", "layer_index": 0, "component": "text"}
    return row | {"rows": 8, "cols": 4, "std": 1.0, "mean": 0.0} | values


def test_one_strip_per_measure_that_some_matrix_has():
    rows = [matrix(max_over_rms=3.0, kurtosis_excess=-0.5), matrix(block_type=None, alpha=0.0)]
    measures = [
        Measure("max_over_rms", "Largest", "ratio", "log"),
        Measure("kurtosis_excess", "Tails", "excess", "symlog"),
        Measure("alpha", "Exponent", "α", "log"),
    ]
    figure = strips(frame(rows, "matrices"), measures)
    style.png(figure)
    assert [axes.get_title("left") for axes in figure.axes] == ["Largest", "Tails"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["q_proj"]
    assert strips(frame([], "matrices"), measures) is None


def test_rounding_errors_by_format():
    ratios = [(30.0, 20.0), (32.0, None), (34.0, 14.0)]
    rows = [
        matrix(
            param_name=f"w{n}",
            slice="[1]",
            int8_channel_sqnr_db=a,
            nvfp4_sqnr_db=b,
            rms=0.5,
            finite_count=(100, 100, 700)[n],
        )
        for n, (a, b) in enumerate(ratios)
    ]
    matrices = frame(rows, "matrices")
    figure = rounding(matrices)
    # By energy: the third matrix has seven of nine parts, and of two, seven of eight.
    errors = [(1e-3 + 10**-3.2 + 7 * 10**-3.4) / 9, (1e-2 + 7 * 10**-1.4) / 8]
    shown = figure.axes[0].collections[0].get_array().ravel()
    np.testing.assert_allclose(shown, -10 * np.log10(errors))
    assert rounding(frame([], "matrices")) is None
    assert parameters_by_block(frame([], "params")) is None
    blocks = by_block(frame(layer_rows(1), "layers"), matrices)
    assert blocks.set_index("block_type").loc["q_proj", "nvfp4_sqnr_db"] == 17
