"""A long list of models becomes several calls."""

import argparse
import json

import pytest

from blockresearch.command import calls, run


@pytest.fixture
def called(tmp_path, monkeypatch):
    """Runs models of a list, at most two in a call; returns the models of each call."""
    monkeypatch.chdir(tmp_path)
    found = []

    def run_all(names, codes):
        (tmp_path / "list.txt").write_text("\n".join(names))
        parser = argparse.ArgumentParser()
        run.add_options(parser)
        chosen = parser.parse_args(["--models", "list.txt", "--models-per-call", "2"])
        chosen.passed_on = []
        left = iter(codes)
        monkeypatch.setattr(calls, "call", lambda words, output: found.append(words) or next(left))
        return run.main(chosen), [_models(words) for words in found]

    return run_all


def _models(words):
    [value] = [word.partition("=")[2] for word in words if word.startswith("models=")]
    return json.loads(value) if value.startswith("[") else value


def test_each_model_is_in_one_call(called):
    names = ["org/a", "org/b", "org/c", "org/d"]
    code, models = called(names, [1, 0])
    assert models == [names[:2], names[2:]] and code == 1


def test_ctrl_c_ends_all_calls(called):
    code, models = called(["org/a", "org/b", "org/c", "org/d"], [130])
    assert code == 130 and len(models) == 1


def test_a_short_list_stays_a_file(called):
    assert called(["org/a", "org/b"], [0]) == (0, ["list.txt"])
