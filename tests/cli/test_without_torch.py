"""Everything but the GPU path works without torch, and nothing imports it in passing."""

import os

import pytest

from tests.conftest import ROOT, run_script


@pytest.fixture
def no_torch(tmp_path):
    """An environment in which importing torch fails."""
    (tmp_path / "stub").mkdir()
    (tmp_path / "stub/torch.py").write_text("raise ImportError('torch was imported')")
    return {"PYTHONPATH": os.pathsep.join([str(tmp_path / "stub"), str(ROOT)])}


@pytest.mark.parametrize("script", ["analyze", "embedding_analysis", "transformer_analysis"])
def test_scripts_run_without_torch(model, tmp_path, no_torch, script):
    done = run_script(script, "--model_path", model, "--out", tmp_path / "o" / "x.csv", **no_torch)
    assert done.returncode == 0, done.stderr


def test_a_wish_for_a_gpu_without_one_is_told(model, tmp_path):
    done = run_script(
        "analyze", "--model_path", model, "--out", tmp_path / "x.csv", "--device", "cuda"
    )
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: device cuda")
