"""Everything but the GPU path works without torch, and nothing imports it in passing."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT, call_script


@pytest.fixture
def no_torch(tmp_path):
    """An environment in which importing torch fails."""
    (tmp_path / "stub").mkdir()
    (tmp_path / "stub/torch.py").write_text("raise ImportError('torch was imported')")
    return {"PYTHONPATH": os.pathsep.join([str(tmp_path / "stub"), str(ROOT)])}


# One process for all: most of the time would go into loading the same libraries again.
ALL = """
import runpy, sys
model, out, *scripts = sys.argv[1:]
for script in scripts:
    sys.argv[1:] = ["--model_path", model, "--out", f"{out}/{script}/x.csv"]
    runpy.run_path(f"workflow/scripts/{script}.py", run_name="__main__")
"""


@pytest.mark.slow
def test_scripts_run_without_torch(model, tmp_path, no_torch):
    scripts = ["analyze", "transformer_analysis", "embedding_analysis"]
    done = subprocess.run(
        [sys.executable, "-c", ALL, model, tmp_path / "out", *scripts],
        cwd=ROOT,
        env=os.environ | no_torch,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert all((tmp_path / "out" / script / "x.csv").stat().st_size for script in scripts)


def test_a_wish_for_a_gpu_without_one_is_told(model, tmp_path):
    done = call_script(
        "analyze", "--model_path", model, "--out", tmp_path / "x.csv", "--device", "cuda"
    )
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: device cuda")
