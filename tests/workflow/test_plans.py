"""Plans of the workflow: made on demand from finished tables, and settings in one sentence."""

import json

import pytest

pytestmark = [pytest.mark.workflow, pytest.mark.slow]


def test_plans_are_made_from_finished_tables(finished):
    def plans(**quantization):
        settings = json.dumps({"quantization": quantization})
        return finished.snakemake("plans", "--config", "model=model", f"plans={settings}")

    done = plans(engine="torchao")
    assert done.code == 0, done.text
    names = ("quantization", "training", "sparsity", "suspects")
    assert done.jobs == {**{f"{name}_plan": 1 for name in names}, "notebook": 1, "plans": 1}
    folder = finished.folder / "results/local--model/plans"
    plan = json.loads((folder / "quantization_plan.json").read_text())
    assert plan["files"] == ["fqn_to_config.json"]
    assert (folder / "quantization/fqn_to_config.json").is_file()
    page = (folder.parent / "reports/50_plans.html").read_text()
    assert "evaluate what a plan makes" in page
    assert "../plans/quantization/fqn_to_config.json" in page
    wrong = plans(engine="torchao", bits=2)
    assert "bits: these formats need at least" in wrong.text
    wrong = plans(bits=5, bytes=1000)
    assert "at most one budget, bits or bytes, and null for the other" in wrong.text
