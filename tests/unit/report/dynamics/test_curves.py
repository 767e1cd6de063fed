"""Curves over the steps of a training run."""

from blockresearch.report.dynamics.curves import MOST_LAYERS, axis_of, kinds_chart, layers_charts
from blockresearch.report.dynamics.run import TrainingResults
from tests.unit.report.dynamics.samples import write_run


def test_each_kind_has_a_curve_over_the_steps(tmp_path):
    matrices = TrainingResults(write_run(tmp_path / "run")).matrices
    chart = kinds_chart(matrices)
    titles = [str(panel.title) for panel in chart.panels]
    # No exponent was fitted.
    assert "power-law exponent α" not in titles and len(titles) == 5
    first = next(
        panel for panel in chart.panels if str(panel.title) == "change from the first step"
    )
    assert [series.label for series in first.series] == ["q_proj", "up_proj"]
    assert list(first.series[1].x) == [0, 10, 20] and list(first.series[1].y) == [0, 0.01, 0.02]


def test_of_many_layers_some_are_drawn(tmp_path):
    matrices = TrainingResults(write_run(tmp_path / "run", layers=30)).matrices
    _, chart = layers_charts(matrices)[0]
    assert [str(panel.title) for panel in chart.panels] == ["q_proj", "up_proj"]
    labels = [str(series.label) for series in chart.panels[0].series]
    assert len(labels) == MOST_LAYERS and labels[0] == "layer 0" and labels[-1] == "layer 29"


def test_steps_without_growing_numbers_are_counted(tmp_path):
    for number, names in enumerate((("step2", "step1"), ("main", "step5"))):
        matrices = TrainingResults(write_run(tmp_path / str(number), names=names)).matrices
        assert axis_of(matrices)[0] == "position"
    matrices = TrainingResults(write_run(tmp_path / "run")).matrices
    assert axis_of(matrices)[0] == "step_number"
