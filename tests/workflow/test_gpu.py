"""How a run goes if there is a GPU: a process for each shard measures, analyze takes the tables,
and circuits are given the device.

There is none here. The rules are made to expect one, and the jobs then find none and use the CPU.
"""

import os

import pytest

from tests.conftest import small_model
from tests.workflow.conftest import copy_of_the_project

pytestmark = pytest.mark.workflow

EXPECTED = "import blockresearch.device\nblockresearch.device.may_find_gpu = lambda device: True\n"

TABLES = ("coverage", "circuits/attention_heads")


@pytest.mark.slow
def test_a_shard_is_measured_at_once_and_stays_so(tmp_path):
    project = copy_of_the_project(tmp_path / "project")
    small_model(project.folder / "model")
    (stub := tmp_path / "stub").mkdir()
    (stub / "sitecustomize.py").write_text(EXPECTED)
    search = os.pathsep.join([str(stub), str(project.folder / "src")])

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
