"""How a run goes if there is a GPU: a process for each shard measures, analyze takes the tables,
and circuits are given the device.

There is none here. The rules are made to expect one, and the jobs then find none and use the CPU.
"""

import os

import pytest

from tests.cases import comparisons
from tests.conftest import small_model
from tests.workflow.conftest import copy_of_the_project

pytestmark = pytest.mark.workflow

EXPECTED = "import blockresearch.device\nblockresearch.device.may_find_gpu = lambda device: True\n"

TABLES = ("coverage", "circuits/attention_heads")


def expecting_a_gpu(tmp_path, project):
    """Where Python looks for modules, so that rules expect a GPU."""
    (stub := tmp_path / "stub").mkdir()
    (stub / "sitecustomize.py").write_text(EXPECTED)
    return os.pathsep.join([str(stub), str(project.folder / "src")])


@pytest.mark.slow
def test_a_shard_is_measured_at_once_and_stays_so(tmp_path):
    project = copy_of_the_project(tmp_path / "project")
    small_model(project.folder / "model")
    search = expecting_a_gpu(tmp_path, project)

    def run(results, **environment):
        settings = ("--config", "model=model", f"results={results}")
        tables = [f"{results}/local--model/{name}.csv" for name in TABLES]
        done = project.snakemake(*settings, "--", *tables, **environment)
        assert done.code == 0, done.text
        return done.jobs

    jobs = {"resolve_model": 1, "measure_shard": 2, "analyze": 2, "merge": 1}
    jobs |= {"circuits_part": 1, "circuits": 1}
    assert run("gpu", PYTHONPATH=search) == run("cpu") == jobs
    gpu, cpu = (project.folder / name / "local--model" for name in ("gpu", "cpu"))
    logs = [path.read_text() for path in (gpu / "logs/analyze").iterdir()]
    assert all("measure_shard has measured" in log for log in logs) and len(logs) == 2
    tables = sorted((cpu / "parts").iterdir())
    assert len(tables) == 8 and not list((gpu / "staged").iterdir())
    assert all(path.read_bytes() == (gpu / "parts" / path.name).read_bytes() for path in tables)
    heads = [place / "circuits/attention_heads.parquet" for place in (gpu, cpu)]
    assert heads[0].read_bytes() == heads[1].read_bytes()
    assert run("gpu") == run("cpu", PYTHONPATH=search) == {}


@pytest.mark.slow
def test_a_shard_is_compared_at_once_and_stays_so(tmp_path):
    project = copy_of_the_project(tmp_path / "project")
    tensors, config = comparisons.base()
    comparisons.write(project.folder / "base", tensors, config, shards=2)
    comparisons.write(project.folder / "other", comparisons.perturbed(tensors, 2, 0.05), config)
    folder = "results/compare/local--other-vs-local--base"

    def run(*options, **environment):
        settings = ("--config", "model=other", "base=base", "device=auto")
        return project.snakemake(*options, f"{folder}/pairs.csv", *settings, **environment)

    search = expecting_a_gpu(tmp_path, project)
    done = run("--resources", "gpu=1", "--printshellcmds", PYTHONPATH=search)
    assert done.code == 0, done.text
    assert done.jobs["compare_part"] == 2 and "--device auto" in done.text
    parts = sorted(path.stem for path in (project.folder / folder / "parts").iterdir())
    assert parts == ["00001", "00002"]
    assert run().jobs == {}
