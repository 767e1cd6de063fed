"""Jobs of several models fail once while other models are looked up: none is lost unnoticed."""

import json

import pytest

from tests.conftest import small_model
from tests.workflow.conftest import copy_of_the_project

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

MODELS = [f"m{number}" for number in range(5)]

# The first try of a part of each model fails.
FAIL_ONCE = """
import os, sys
from pathlib import Path
if "00001-001" in sys.argv:
    seen = Path(sys.argv[sys.argv.index("--out") + 1] + ".seen")
    if not seen.exists():
        seen.parent.mkdir(parents=True, exist_ok=True)
        seen.touch()
        sys.exit("error: the first try fails.")
"""

# Each look-up takes longer than the one before, so that they end while parts are measured.
SLOW = """
import re, sys, time
time.sleep(1.5 * int(re.search(r"--model=m(\\d)", " ".join(sys.argv))[1]))
"""


def prepend(path, text):
    """Put code in front of a script, behind its docstring."""
    head, docstring, rest = path.read_text().split('"""', 2)
    path.write_text(f'{head}"""{docstring}"""\n{text}\n{rest}')


def test_a_run_that_ends_well_has_every_target(tmp_path):
    project = copy_of_the_project(tmp_path / "project")
    for seed, name in enumerate(MODELS):
        small_model(project.folder / name, seed=seed, layers=1)
    prepend(project.folder / "workflow/scripts/analyze.py", FAIL_ONCE)
    prepend(project.folder / "workflow/scripts/resolve_model.py", SLOW)
    tables = [f"results/local--{name}/coverage.csv" for name in MODELS]
    command = ("--config", f"models={json.dumps(MODELS)}", "--", *tables)

    def missing():
        return [table for table in tables if not (project.folder / table).exists()]

    run = project.snakemake(*command)
    assert run.log.count("Error in rule analyze") == len(MODELS), run.text
    if missing():
        # Snakemake has called it a success; the workflow has not.
        assert run.code != 0 and "were not tried again" in run.text, run.text
        run = project.snakemake(*command)
    assert run.code == 0 and not missing(), run.text
