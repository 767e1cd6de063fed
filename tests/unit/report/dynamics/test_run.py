"""Sentences about a training run."""

from blockresearch.report.dynamics.run import TrainingResults
from tests.unit.report.dynamics.samples import write_run


def sentences(folder):
    return " ".join(map(str, TrainingResults(folder).sentences()))


def test_sentences_name_steps_and_kinds(tmp_path):
    folder = write_run(tmp_path / "run")
    headline = str(TrainingResults(folder).headline())
    assert headline.startswith("3 steps, from step0 to step20: half of the matrices")
    found = sentences(folder)
    assert "up_proj moved most (2 % in the median of its layers), q_proj least (1 %)" in found
    assert (
        "step is that to step20 (median change 1 %), the smallest that to step10 (0.5 %)" in found
    )
    assert "stable rank went from 4 to 6, so energy spread over more directions" in found
    assert "median rank of 3" in found
    assert "50.0 % of the weights after the first step" in found


def test_equal_changes_are_not_ranked(tmp_path):
    found = sentences(write_run(tmp_path / "run", blocks=("q_proj",)))
    assert "least (" not in found
