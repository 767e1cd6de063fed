"""The cells of report 50, with plans of a small model and with plans that have only a reason."""

import pytest

from blockresearch.plans.plan import Plan, write_plan
from blockresearch.plans.quantization import Settings, quantization_plan
from blockresearch.plans.sparsity import Settings as Sparsity
from blockresearch.plans.sparsity import sparsity_plan
from blockresearch.plans.suspects import suspects_plan
from blockresearch.plans.training import Settings as Training
from blockresearch.plans.training import Tokens, training_plan
from blockresearch.report.decisions import cells, expert_cells
from blockresearch.report.figures.pareto import pareto_chart
from blockresearch.report.plots.plans import pareto_figure
from tests.unit.plans.examples import size, tables

TOKENS = Tokens("model.embed_tokens.weight", None, True)

SHOWN = (
    *(cells.top, cells.formats, cells.choices, cells.trained, cells.agreement),
    *(cells.pruned, cells.suspicious, cells.files),
)


def opened(folder, **more):
    params, matrices = tables(**more)
    made = {
        "quantization": quantization_plan(
            params, matrices, size(params), Settings("compressed-tensors", bits=6)
        ),
        "training": training_plan(params, matrices, "m", TOKENS, Training()),
        "sparsity": sparsity_plan(params, matrices, Sparsity()),
        "suspects": suspects_plan(params, matrices, []),
    }
    for name, plan in made.items():
        write_plan(plan, {}, folder / f"plans/{name}_plan.json", folder / f"plans/{name}")
    return cells.open_plans(str(folder))


def test_the_caveat_is_the_first_sentence(tmp_path):
    html = cells.top(opened(tmp_path)).html
    assert html.index("not models") < html.index("Quantization for compressed-tensors")
    assert "12 of 21 matrices" not in html and "7 of 21 matrices" in html


def test_the_curve_contains_the_plan(tmp_path):
    record = opened(tmp_path).quantization
    (panel,) = pareto_chart(record).panels
    curve, *points, plan = panel.series
    assert [each.label for each in points] == [each["format"] for each in record["uniform"]]
    assert curve.x[0] <= plan.x[0] <= curve.x[-1]
    assert pareto_figure(record).axes[0].get_yscale() == "log"


def test_experts_are_shown_once_they_are_planned(tmp_path):
    plans = opened(tmp_path)
    assert "on request" in expert_cells.top(plans).text and expert_cells.dropped(plans) is None
    path = tmp_path / "plans/experts_plan.json"
    write_plan(
        Plan({"plan": "experts", "reason": "none"}, {}), {}, path, tmp_path / "plans/experts"
    )
    assert "No expert is dropped: none." in expert_cells.top(cells.open_plans(str(tmp_path))).text
    chosen = [
        {"component": "text", "layer": 1, "expert": n, "reason": "small & dead"} for n in (3, 5)
    ]
    sizes = {"bytes": 900, "checkpoint_bytes": 1000, "experts": 6, "checkpoint_experts": 8}
    record = {"caveat": "Count.", "inputs": {"criterion": "router_norm"}, "predicted": sizes}
    write_plan(Plan({**record, "dropped": chosen}, {}), {}, path, tmp_path / "plans/experts")
    plans = cells.open_plans(str(tmp_path))
    assert "6 of 8 experts" in expert_cells.top(plans).text
    html = expert_cells.dropped(plans).html
    assert "3, 5" in html and "small &amp; dead" in html


@pytest.mark.parametrize("cell", SHOWN)
def test_plans_with_a_reason_are_shown_too(tmp_path, cell):
    gone = {"quantisation": "GPTQ int4", "alpha_hill": None}
    plans = opened(tmp_path, **gone)
    shown = cell(plans)
    assert shown is None or "<" in shown.html
    assert pareto_chart(plans.quantization) is None
