"""The workflow as a module of another one."""

import pytest

from tests.conftest import ROOT, small_model
from tests.workflow.conftest import Project

pytestmark = pytest.mark.workflow

SNAKEFILE = f"""
configfile: "config/config.yaml"

module blockresearch:
    snakefile: "{ROOT}/Snakefile"
    config: config["blockresearch"]

use rule * from blockresearch as blockresearch_*

rule rows:
    default_target: True
    input:
        "out/local--model/params.csv",
        "out/local--model/reports/00_setup.html",
    output:
        "rows.txt"
    shell:
        "wc -l < {{input[0]}} > {{output}}"

onstart:
    blockresearch.begin()

onsuccess:
    blockresearch.end()

onerror:
    blockresearch.end_after_failure()
"""


@pytest.mark.slow
def test_another_workflow_imports_this_one(tmp_path):
    # Laid out as workflows usually are: its own folder `workflow` beside its own configuration.
    project = Project(tmp_path / "other")
    small_model(project.folder / "data/model")
    (project.folder / "workflow").mkdir()
    (project.folder / "workflow/Snakefile").write_text(SNAKEFILE)
    (project.folder / "config").mkdir()
    settings = "blockresearch: {model: data/model, results: out, spectra: none}"
    (project.folder / "config/config.yaml").write_text(settings)

    ours = {"PYTHONPATH": str(ROOT / "src")}
    run = project.snakemake("--show-failed-logs", "--max-checksum-file-size", 2**26, **ours)
    assert run.code == 0, run.text
    assert run.jobs["blockresearch_analyze"] == 2
    assert (project.folder / "rows.txt").read_text().strip() == "19"
    assert (project.folder / "out/local--model/checksums.json").exists(), "handlers are called"
    assert project.snakemake("blockresearch_verify", **ours).code == 0
    again = project.snakemake("--max-checksum-file-size", 2**26, **ours)
    assert again.code == 0 and again.jobs == {}, again.text

    (project.folder / "config/config.yaml").write_text(settings.replace("spectra", "spectrum"))
    run = project.snakemake(**ours)
    assert run.code != 0 and "unknown key spectrum: did you mean spectra?" in run.text
