"""Links to training runs."""

from blockresearch.report.dynamics.links import followed, runs_of, steps_of
from tests.unit.report.dynamics.samples import write_run


def test_a_run_is_linked_from_its_model_and_its_steps(tmp_path):
    folder = write_run(tmp_path / "dynamics/org--run")
    (folder / "steps").mkdir()
    (folder / "steps/org--run@step10.parquet").touch()
    assert runs_of("org--run", tmp_path, ["org--run"]) == ["org--run"]
    assert runs_of("org--run@step10", tmp_path, []) == []
    (folder / "index.html").touch()
    assert runs_of("org--run", tmp_path, []) == runs_of("org--run@step10", tmp_path, [])
    assert runs_of("org--other", tmp_path, []) == []
    assert steps_of(tmp_path) == {"org--run@step10"}
    assert [run.folder for run in followed(tmp_path)] == ["org--run"]
