"""The plans on the page of a model: a sentence for each that exists, and addresses that exist."""

from blockresearch.files import write_json
from blockresearch.plans.plan import write_plan
from blockresearch.plans.sparsity import Settings, sparsity_plan
from blockresearch.report.decisions.summary import plan_cards
from tests.unit.plans.examples import tables


def made(folder):
    """A model with a plan and a report, and a comparison with two plans."""
    plan = sparsity_plan(*tables(), Settings())
    write_plan(plan, {}, folder / "plans/sparsity_plan.json", folder / "plans/sparsity")
    (folder / "reports").mkdir()
    (folder / "reports/50_plans.html").touch()
    write_json({"no": "plan"}, folder / "plans/training_plan.json")
    compared = folder.parent / "compare/tuned-vs-base"
    for name in ("adapter", "repair"):
        record = {"plan": name, "reason": "no matrix changed", "files": []}
        write_json(record, compared / f"plans/{name}_plan.json")
    (compared / "index.html").touch()
    return folder


def test_each_plan_has_a_sentence_and_files(tmp_path):
    cards = plan_cards(made(tmp_path / "tuned"))
    assert [str(card.title) for card in cards] == [
        "Sparsity",
        "Adapter, against base",
        "Repair, against base",
    ]
    first, adapter, repair = cards
    assert first.text.startswith("Pruning: from 3") and "no matrix changed" in repair.text
    assert first.page == "reports/50_plans.html#sparsity"
    assert adapter.page == "../compare/tuned-vs-base/index.html#adapter"
    # Without a report the plan itself is linked.
    assert repair.page == "../compare/tuned-vs-base/plans/repair_plan.json"
    assert {"sparsity_plan.json", "wanda_recipe.yaml"} < set(first.files)
    for card in cards:
        for address in (*card.files.values(), card.page.partition("#")[0]):
            assert (tmp_path / "tuned" / address).is_file()


def test_the_base_of_a_comparison_has_no_plan_of_it(tmp_path):
    made(tmp_path / "tuned")
    assert plan_cards(tmp_path / "base") == []
