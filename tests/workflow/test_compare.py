"""Two checkpoints compared by the workflow: only what changed is compared again."""

import json
import shutil

import pandas as pd
import pytest

from blockresearch.results import TRAINING_TABLES
from tests.cases import comparisons, variants
from tests.tools.hub_server import HubServer
from tests.workflow.conftest import COMPARED, assert_columns, copy_of_the_project
from tests.workflow.test_low_disk import watched

pytestmark = pytest.mark.workflow

FOLDER = "results/compare/local--tuned-vs-local--base"


@pytest.mark.slow
def test_a_comparison_follows_its_sides(tmp_path):
    project = copy_of_the_project(tmp_path / "project")
    tensors, config = comparisons.base()
    comparisons.write(project.folder / "base", tensors, config)
    tuned = comparisons.perturbed(tensors, 2, 0.05)
    comparisons.write(project.folder / "tuned", tuned, config, shards=2)

    def compare(*more):
        return project.snakemake("compare", "--config", "model=tuned", "base=base", *more)

    first = compare()
    assert first.code == 0, first.text
    pages = {"adapter_plan": 1, "compare_page": 1, "compare_report": 1}
    repair = {"repair_plan": 1}
    # The base has one shard, the other side two.
    parts = {"survey_shard": 3, "compare_part": 1, "compare_models": 1}
    assert first.jobs == {"resolve_model": 2, **parts, **pages, **repair, "compare": 1}
    assert "change of rank 2" in (project.folder / FOLDER / "index.html").read_text()
    pairs = pd.read_csv(project.folder / FOLDER / "pairs.csv")
    assert set(pairs["status"]) == {"matched"}
    table = pd.read_parquet(project.folder / FOLDER / "differences.parquet")
    assert len(table) == len(tensors)
    assert table.loc[table["rows"] > 1, "delta_storage_rank"].eq(2).all()
    for name in COMPARED:
        assert_columns(project.folder / FOLDER, name)
    assert "Nothing to be done" in compare().text
    assert "Nothing to be done" in compare("device=cpu").text

    plans = compare("""plans={"adapter": {"factors": "BF16"}}""")
    assert plans.code == 0, plans.text
    assert plans.jobs == {**pages, "compare": 1}
    assert (project.folder / FOLDER / "plans/adapter/adapter_model.safetensors").is_file()

    # A file of it is asked for, so the plans of models are not made.
    target = f"{FOLDER}/plans/repaired_model.json"
    done = project.snakemake(target, "--config", "model=tuned", "base=base")
    assert done.code == 0, done.text
    assert done.jobs == {"repaired_model": 1}
    shards = (project.folder / FOLDER / "plans/repaired").glob("*.safetensors")
    assert len(list(shards)) == 2

    shard = next((project.folder / "tuned").glob("*1-of-00002.safetensors"))
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    again = compare("compare=[]")
    assert again.code == 0, again.text
    assert again.jobs["resolve_model"] == again.jobs["compare_models"] == 1
    assert again.jobs["survey_shard"] == again.jobs["compare_part"] == 1


@pytest.mark.slow
def test_few_shards_on_disk_give_the_same_tables(tmp_path):
    project = copy_of_the_project(tmp_path / "project")
    tensors, config = comparisons.base()
    other = variants.abliterated(tensors)
    comparisons.write(tmp_path / "hub/org/base", tensors, config, shards=3)
    comparisons.write(tmp_path / "hub/org/other", other, config, shards=2)
    with HubServer(tmp_path / "hub", {}) as hub:
        environment = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": ""}

        def compare(results, *more):
            chosen = ("model=org/other", "base=org/base", f"results={results}")
            done = project.snakemake(
                "compare",
                "--config",
                *(*chosen, f"weights=weights-{results}", *more),
                **environment,
            )
            assert done.code == 0, done.text
            return done.jobs

        compare("all")
        for model in ("org--base", "org--other"):
            # The same date, so that tables can be compared.
            (project.folder / "few" / model).mkdir(parents=True)
            shutil.copy(
                project.folder / "all" / model / "manifest.json", project.folder / "few" / model
            )
        few = ("keep_weights=false", "shards_on_disk=2")
        with watched(project.folder / "weights-few") as seen:
            assert compare("few", *few)["compare_part"] == 3
        # A shard of each side.
        assert seen == [2]
        # A switch measures nothing again.
        assert compare("all", *few[:1]) == {}
    folders = [
        project.folder / results / "compare/org--other-vs-org--base" for results in ("all", "few")
    ]
    for table in COMPARED:
        one, few = (folder / f"{table}.csv" for folder in folders)
        assert one.read_bytes() == few.read_bytes(), table
    assert "abliteration" in (folders[1] / "index.html").read_text()
    assert not list((project.folder / "weights-few").rglob("*.safetensors"))


@pytest.mark.slow
def test_a_merge_and_its_parents(tmp_path):
    project = copy_of_the_project(tmp_path / "project")
    tensors, config = comparisons.base()
    parent = variants.tuned(tensors, 0.2)
    for name, own in (
        ("base", tensors),
        ("parent", parent),
        ("merged", variants.merged(tensors, parent, 0.25)),
    ):
        comparisons.write(project.folder / name, own, config)
    pair = '{"base": "base", "other": "merged", "parents": ["parent"]}'
    done = project.snakemake("compare", "--config", "model=merged", f"compare=[{pair}]")
    assert done.code == 0, done.text
    assert done.jobs["resolve_model"] == 3
    folder = project.folder / "results/compare/local--merged-vs-local--base"
    found = json.loads((folder / "autopsy.json").read_text())
    first, *_ = found["verdicts"]
    assert first["rule"] == "mixture"
    assert "0.75 × the base + 0.25 × local--parent" in first["text"]
    assert found["provenance"]["base_model"] == "local--base"

    # Two fine-tunes of one base can be merged; here one is a share of the other.
    both = f"compare=[{pair}, {{base: base, other: parent}}]"
    target = "results/local--base/plans/merge_plan.json"
    done = project.snakemake(target, "--config", "model=merged", both)
    assert done.code == 0, done.text
    plan = json.loads((project.folder / target).read_text())
    assert (plan["method"], len(plan["models"])) == ("linear", 2)


@pytest.mark.slow
def test_a_training_run_reads_only_what_changed(tmp_path):
    project = copy_of_the_project(tmp_path / "project")
    tensors, config = comparisons.base()
    found = variants.steps(tensors, count=4, rank=2)
    for number, folder in enumerate(variants.write_steps(tmp_path / "steps", found, config)):
        # The last step is the main revision.
        revision = f"@step{100 * number}" if number < 3 else ""
        shutil.copytree(folder, tmp_path / f"hub/org/model{revision}")
    with HubServer(tmp_path / "hub", {}) as hub:
        environment = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": ""}

        def follow(steps):
            chosen = ("model=org/model", f"revisions=[{', '.join(steps)}]")
            done = project.snakemake("dynamics", "--config", *chosen, **environment)
            assert done.code == 0, done.text
            return done.jobs

        steps = ["step0", "step100", "step200"]
        pages = {"join_steps": 1, "dynamics_report": 1, "dynamics_page": 1, "dynamics": 1}
        # Both shards of the first step, one of each other.
        files = {"resolve_model": 3, "download": 4, "measure_step": 3}
        assert follow(steps) == files | pages
        # One more step reads what it changed, and measures no other step again.
        files = {"resolve_model": 1, "download": 1, "measure_step": 1}
        assert follow([*steps, "main"]) == files | pages
    folder = project.folder / "results/dynamics/org--model"
    for table in TRAINING_TABLES:
        assert_columns(folder, table)
    table = pd.read_parquet(folder / "dynamics.parquet")
    moved = table[(table["position"] > 0) & table["is_read"] & table["spectral_norm"].notna()]
    assert len(moved) == 3 * 8 and moved["delta_storage_rank"].eq(2).all()
    assert "so many of its singular values" in (folder / "index.html").read_text()
