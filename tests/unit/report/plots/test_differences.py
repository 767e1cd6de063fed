"""Figures of a comparison."""

from blockresearch.report.plots.differences import change_maps, change_over_depth, delta_spectra
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


def test_what_did_not_change_has_no_color():
    rows = [
        difference(f"{part} {n}", n, component=part, relative_change=n / 10, delta_storage_rank=n)
        for n in range(3)
        for part in ("encoder", "decoder")
    ]
    subspaces = frame([], "subspaces")
    figure = change_maps(frame(rows, "differences"), subspaces)
    values = [panel.collections[0].get_array() for panel in figure.axes[:4]]
    assert [each.mask.tolist() for each in values] == [[[True], [False], [False]]] * 4
    assert values[0].max() == 0.2 and values[1].max() == 2
    assert change_maps(frame(rows[:2], "differences"), subspaces) is None
