"""A whole run: every artifact, the same numbers as by hand, pages that need no network."""

import json
import re
import zipfile
from html.parser import HTMLParser

import pytest

from blockresearch.results import TRAINING_TABLES
from blockresearch.tables.columns import SCHEMAS
from blockresearch.tables.io import read_table
from blockresearch.tables.labels import read_facts
from tests.conftest import ROOT, assert_same_numbers, run_script, small_model
from tests.workflow.conftest import CIRCUITS, COMPARED, assert_columns, copy_of_the_project

pytestmark = pytest.mark.workflow

ARTIFACTS = """
manifest.json plan.json params.csv params.json params.parquet matrices.parquet spectra.parquet
histograms.parquet coverage.csv layers.csv audit.json findings.json index.html comparison.json
embedding/clusters.csv embedding/clusters_summary.csv embedding/elbow.csv
embedding/tokens.csv embedding/output_tokens.csv embedding/projection.parquet
embedding/summary.json
figures/layers_std.png figures/layers_stable_rank.png figures/elbow.png figures/cluster_map.png
reports/00_setup.html reports/10_summary_stats.html reports/20_per_layer.html
reports/30_embedding_output.html
reports/00_setup.ipynb reports/10_summary_stats.ipynb reports/20_per_layer.ipynb
reports/30_embedding_output.ipynb
""".split()

RULES = """
resolve_model measure_shard analyze merge transformer_analysis embedding_analysis figures
audit_model findings notebook model_page
""".split()


@pytest.fixture(scope="module")
def folder(finished):
    return finished.folder / "results/local--model"


def test_every_artifact_exists_in_whole(finished, folder):
    assert [name for name in ARTIFACTS if not (folder / name).stat().st_size] == []
    assert not list(finished.folder.rglob("*.tmp"))
    portal = json.loads((finished.folder / "results/index.json").read_text())
    assert [entry["model"] for entry in portal] == ["model"]
    assert {"model", "revision", "commit", "folder", "status"} <= set(portal[0])


@pytest.mark.parametrize("file", ["findings.json", "audit.json", "comparison.json"])
def test_json_files_state_where_they_come_from(folder, file):
    stated = read_facts(folder / "params.parquet")
    assert json.loads((folder / file).read_text())["provenance"] == stated


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_a_log_and_a_benchmark(folder, rule):
    assert list(folder.glob(f"logs/{rule}*"))
    assert list(folder.glob(f"benchmarks/{rule}*"))


def test_the_run_ends_with_reports_and_usage(finished):
    run = finished.snakemake(
        "--config", "model=model", "clustering={k_max: 6}", "--forcerun", "portal"
    )
    assert run.code == 0
    assert "results/local--model/index.html" in run.text
    assert "All models: results/index.html" in run.text
    assert "2 of 2 jobs done: all" in run.text
    assert re.search(r"computing time: .*analyze \d+ s", run.text)


def test_jobs_use_the_python_of_snakemake(finished):
    config = ("--config", "model=model", "clustering={k_max: 6}")
    target = ("results/glossary.html", "--forcerun", "glossary")
    run = finished.snakemake(*target, *config, PATH="/usr/bin:/bin", CONDA_PREFIX="")
    assert run.code == 0, run.text


ON_REQUEST = (*COMPARED, *CIRCUITS, *TRAINING_TABLES)


@pytest.mark.parametrize("table", [table for table in SCHEMAS if table not in ON_REQUEST])
def test_written_columns_and_records_match(folder, table):
    assert_columns(folder, table)


def test_the_numbers_are_those_of_the_script_by_hand(finished, folder, tmp_path):
    out = tmp_path / "params.parquet"
    done = run_script("analyze", "--model_path", finished.folder / "model", "--out", out)
    assert done.returncode == 0, done.stderr
    by_hand = read_table(out, "params")
    by_rule = read_table(folder / "params.parquet", "params")
    assert_same_numbers(by_rule.drop(columns="model_path"), by_hand.drop(columns="model_path"))
    for suffix in ("csv", "json"):
        assert read_table(folder / f"params.{suffix}", "params").equals(by_rule)


class References(HTMLParser):
    """Everything that a page would fetch by itself."""

    def __init__(self):
        super().__init__()
        self.fetched = []

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("src", "srcset", "data", "poster") or (name == "href" and tag == "link"):
                self.fetched.append(value or "")


@pytest.mark.parametrize("page", [name for name in ARTIFACTS if name.endswith(".html")])
def test_pages_need_no_network(folder, page):
    text = (folder / page).read_text(encoding="utf-8")
    parser = References()
    parser.feed(text)
    assert [link for link in parser.fetched if re.match(r"(https?:)?//", link)] == []
    assert "Content-Security-Policy" in text
    assert not re.search(r"@import|url\(\s*['\"]?(https?:)?//", text)


def test_snakemakes_own_report_can_be_made(finished):
    arguments = ("--config", "model=model", "clustering={k_max: 6}", "--report", "report.zip")
    run = finished.snakemake(*arguments)
    assert run.code == 0, run.text
    names = zipfile.ZipFile(finished.folder / "report.zip").namelist()
    assert any(name.endswith("layers_std.png") for name in names)


def test_items_of_snakemakes_report_are_described():
    rules = (ROOT / "workflow/rules").glob("*.smk")
    shown = re.findall(r"report\(\n(.*?)\n\s+\)", "".join(p.read_text() for p in rules), re.S)
    assert len(shown) >= 9
    for text in shown:
        [caption] = re.findall(r'"\.\./report/(\w+\.rst)"', text)
        assert (ROOT / "workflow/report" / caption).read_text().strip()
        assert "category=" in text and "subcategory=" in text and "labels={" in text


def test_a_dry_run_works_before_anything_is_known(tmp_path):
    project = copy_of_the_project(tmp_path / "project")
    small_model(project.folder / "model")
    run = project.snakemake("--dry-run", "--config", "model=model")
    assert run.code == 0, run.text
    assert run.jobs["resolve_model"] == 1 and "merge" in run.jobs


@pytest.mark.slow
def test_a_grave_finding_fails_the_run_at_its_end(tmp_path):
    project = copy_of_the_project(tmp_path / "project")
    shard = small_model(project.folder / "model") / "model-00001-of-00002.safetensors"
    data = bytearray(shard.read_bytes())
    data[-2:] = b"\xc0\x7f"  # a NaN in BF16
    shard.write_bytes(data)
    config = ("--config", "model=model", "clustering={k_max: 6}", "audit={fail_on: error}")
    run = project.snakemake(*config)
    assert run.code != 0
    assert "the audit of 1 of 1 models has findings of severity error" in run.text
    folder = project.folder / "results/local--model"
    assert all((folder / name).is_file() for name in ARTIFACTS)
    assert "NaN" in (folder / "index.html").read_text()
    assert project.snakemake("audit", *config).code != 0
    assert project.snakemake("audit", *config[:-1]).code == 0
    assert project.snakemake(*config[:-1]).code == 0


def test_a_wrong_config_stops_with_the_key(finished):
    run = finished.snakemake("--dry-run", "--config", "modle=x")
    assert run.code != 0
    assert "unknown key modle: did you mean model?" in run.text
    assert "Traceback" not in run.text
