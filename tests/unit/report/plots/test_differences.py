"""Figures of a comparison."""

from blockresearch.report.plots.differences import change_over_depth, delta_spectra
from blockresearch.tables.io import frame
from tests.unit.report.differences.samples import difference


def test_unchanged_matrices_are_left_out():
    rows = [
        difference(f"l{n}", n, relative_change=n / 10, delta_singular_values=[2.0, 1.0, 0.0])
        for n in range(4)
    ]
    table = frame(rows, "differences")
    (line,) = change_over_depth(table).axes[0].lines
    assert line.get_xdata().tolist() == [1, 2, 3]
    assert len(delta_spectra(table).axes[0].lines) == 4
    assert change_over_depth(table.head(1)) is None
    assert delta_spectra(table.assign(delta_spectral_norm=0.0)) is None
