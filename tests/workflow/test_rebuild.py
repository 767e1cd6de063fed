"""When is an artifact rebuilt? Exactly when something it was made from changed."""

import os
import time

import pytest

pytestmark = pytest.mark.workflow

CONFIG = ("--config", "model=model", "clustering={k_max: 6}")
EVERYTHING_AFTER = {"model_page": 1, "portal": 1}


@pytest.fixture
def edited():
    """Edit files of the project and put them back."""
    originals = {}

    def edit(path, change):
        originals[path] = path.read_bytes()
        path.write_text(change(path.read_text()))

    yield edit
    for path, content in originals.items():
        path.write_bytes(content)


def planned(project, *config):
    run = project.snakemake("--dry-run", *(config or CONFIG))
    assert run.code == 0, run.text
    return run.jobs


def test_a_second_run_has_nothing_to_do(finished):
    assert planned(finished) == {}
    assert "Nothing to be done" in finished.snakemake(*CONFIG).text


def test_touching_everything_rebuilds_nothing(finished):
    now = time.time()
    for part in ("workflow", "notebooks", "config", "envs", "model", "Snakefile"):
        place = finished.folder / part
        for path in [place, *place.rglob("*")]:
            os.utime(path, (now, now))
    assert planned(finished) == {}


def test_resolving_the_same_model_rebuilds_nothing(finished):
    run = finished.snakemake("resolve", "--forcerun", "resolve_model", *CONFIG)
    assert run.code == 0 and run.jobs == {"resolve_model": 1}
    assert planned(finished) == {}


@pytest.mark.slow
def test_without_its_plan_a_model_is_resolved_first(finished):
    table = "results/local--model/embedding/tokens.csv"
    kept = [finished.folder / "results/local--model/plan.json", finished.folder / table]
    for path in kept:
        path.rename(finished.folder / path.name)
    try:
        run = finished.snakemake("--dry-run", *CONFIG, "--", table)
        assert run.jobs == {"resolve_model": 1, "embedding_analysis": 1}
    finally:
        for path in kept:
            (finished.folder / path.name).rename(path)


def test_what_was_deleted_is_made_again(finished):
    deleted = finished.folder / "results/local--model/layers.csv"
    kept = deleted.rename(finished.folder / "layers.csv")
    try:
        assert planned(finished)["transformer_analysis"] == 1
    finally:
        kept.rename(deleted)


def test_a_comment_rebuilds_nothing(finished, edited):
    package = "src/blockresearch"
    for module in (
        f"{package}/spectra/eigen.py",
        f"{package}/report/plots/tokens.py",
        "workflow/scripts/analyze.py",
    ):
        edited(finished.folder / module, lambda text: text + "\n# a comment\n")
    assert planned(finished) == {}


def test_a_clustering_setting_rebuilds_the_clusters(finished):
    jobs = planned(finished, "--config", "model=model", "clustering={k_max: 6, random_state: 1}")
    assert jobs == {
        "embedding_analysis": 1,
        "figures": 1,
        "findings": 1,
        # Those that show findings, and that of the embedding.
        "notebook": 3,
        **EVERYTHING_AFTER,
    }


def test_the_threshold_measures_but_does_not_cluster(finished):
    jobs = planned(finished, *CONFIG, "sparsity_threshold=0.01")
    assert jobs["measure_shard"] == jobs["analyze"] == 2 and "embedding_analysis" not in jobs
    assert "resolve_model" not in jobs
    assert planned(finished, *CONFIG, "sparsity_threshold=0.01", "keep_weights=false") == jobs


def test_circuits_are_added_without_measuring_again(finished):
    jobs = planned(finished, *CONFIG, "analyses=[tensors,embedding,circuits]")
    assert jobs["circuits"] == jobs["notebook"] == jobs["model_page"] == 1
    assert not {"resolve_model", "analyze", "merge", "embedding_analysis", "findings"} & set(jobs)


def test_place_and_device_measure_nothing_again(finished):
    # If one of them alone were a reason, it would be one beside the others.
    settings = ("keep_weights=false", "shards_on_disk=2", "weights=elsewhere", "device=cpu")
    assert planned(finished, *CONFIG, *settings) == {}


def test_a_store_is_added_to_and_the_page_made(finished):
    assert planned(finished, *CONFIG, "store=store") == {"store": 1, "portal": 1}


def test_a_plot_helper_rebuilds_the_pictures_only(finished, edited):
    edited(
        finished.folder / "src/blockresearch/report/plots/layers.py",
        lambda text: text + "\nEXTRA = 1\n",
    )
    jobs = planned(finished)
    assert set(jobs) <= {"figures", "notebook", *EVERYTHING_AFTER}
    assert jobs["figures"] == 1 and jobs["notebook"] >= 1


@pytest.mark.parametrize("language", ["zh", "both"])
def test_another_language_rebuilds_pages_only(finished, language):
    jobs = planned(finished, *CONFIG, f"language={language}")
    assert jobs == {"figures": 1, "notebook": 4, "glossary": 1, **EVERYTHING_AFTER}


def test_the_text_of_a_notebook_rebuilds_that_notebook(finished, edited):
    edited(
        finished.folder / "notebooks/20_per_layer.ipynb",
        lambda text: text.replace('"# ', '"# New: ', 1),
    )
    assert planned(finished) == {"notebook": 1, **EVERYTHING_AFTER}


def test_a_changed_shard_measures_its_parts_again(finished):
    folder = finished.folder
    untouched = folder / "results/local--model/parts/00001-001.params.parquet"
    before = untouched.stat().st_mtime_ns
    shard = folder / "model/model-00002-of-00002.safetensors"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    run = finished.snakemake(*CONFIG)
    assert run.code == 0, run.text
    assert run.jobs["analyze"] == run.jobs["merge"] == 1 and run.jobs["notebook"] == 4
    assert "embedding_analysis" not in run.jobs, "the embedding lies in the other shard"
    assert untouched.stat().st_mtime_ns == before
    assert planned(finished) == {}


def test_the_program_of_a_shard_measures_again(finished, edited):
    edited(
        finished.folder / "workflow/scripts/measure_shard.py",
        lambda text: text + "\nEXTRA = 1\n",
    )
    jobs = planned(finished)
    assert jobs["analyze"] == 2 and "resolve_model" not in jobs and "embedding_analysis" not in jobs


def test_the_eigensolver_measures_but_resolves_nothing(finished, edited):
    edited(
        finished.folder / "src/blockresearch/spectra/eigen.py",
        lambda text: text + "\nEXTRA = 1\n",
    )
    jobs = planned(finished)
    assert jobs["analyze"] == 2 and "resolve_model" not in jobs and "embedding_analysis" not in jobs
