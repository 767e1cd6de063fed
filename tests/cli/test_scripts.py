"""The command lines by hand, on small folders; numbers against an independent computation."""

import json
import re
import subprocess
import sys
from functools import partial

import numpy as np
import pandas as pd
import pytest

from blockresearch.tables.io import frame, read_table
from blockresearch.tables.labels import write_labeled
from tests.cases import comparisons, experts
from tests.conftest import (
    ROOT,
    assert_same_numbers,
    bf16,
    call_script,
    run_script,
    write_safetensors,
)

SCRIPTS = sorted(path.stem for path in (ROOT / "workflow/scripts").glob("[a-z]*.py"))


# One process for all: most of the time would go into loading the same libraries again.
HELP = """
import runpy, sys
for path in sys.argv[1:]:
    sys.argv[1:] = ["--help"]
    try:
        runpy.run_path(path, run_name="__main__")
    except SystemExit as end:
        print(end.code, end="\\f")
"""


@pytest.fixture(scope="module")
def helps():
    """What each script prints for --help, and its exit code."""
    paths = [str(ROOT / "workflow/scripts" / f"{script}.py") for script in SCRIPTS]
    done = subprocess.run([sys.executable, "-c", HELP, *paths], stdout=subprocess.PIPE, text=True)
    return dict(zip(SCRIPTS, done.stdout.split("\f"), strict=False))


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_explains_the_script(helps, script):
    *text, code = helps[script].splitlines()
    assert code == "0" and len(text) > 8 and "--verbose" in helps[script]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """One tensor of many kinds, with the float64 values they stand for."""
    random = np.random.default_rng(0)
    normal = random.normal(0, 0.02, (40, 24))
    low_rank = random.normal(size=(30, 3)) @ random.normal(size=(3, 20))
    kernel = random.normal(size=(8, 3, 5)).astype("<f4")
    broken = normal.astype("<f4").copy()
    broken[0, 0], broken[1, 1] = np.nan, np.inf
    experts = random.normal(size=(4, 6, 10)).astype("<f4")
    cut = np.frombuffer(bf16(normal), "<u2").astype("<u4") << 16
    stored = {
        "bf16.weight": ("BF16", normal.shape, bf16(normal), cut.view("<f4").reshape(40, 24)),
        "f16.weight": ("F16", normal.shape, None, normal.astype("<f2")),
        "f32.weight": ("F32", (30, 20), None, low_rank.astype("<f4")),
        "f64.weight": ("F64", normal.shape, None, normal),
        "i8.weight": ("I8", (10, 12), None, random.integers(-128, 128, (10, 12)).astype("i1")),
        "i64.weight": ("I64", (5, 6), None, random.integers(-(2**40), 2**40, (5, 6))),
        "u8.weight": ("U8", (7, 9), None, random.integers(0, 256, (7, 9)).astype("u1")),
        "kernel.weight": ("F32", kernel.shape, None, kernel),
        "broken.weight": ("F32", broken.shape, None, broken),
        "zeros.weight": ("F32", (6, 6), None, np.zeros((6, 6), "<f4")),
        "vector.weight": ("F32", (50,), None, random.normal(size=50).astype("<f4")),
        "scalar": ("F32", (), None, np.array(3, "<f4")),
        "empty.weight": ("F32", (0, 4), None, np.zeros((0, 4), "<f4")),
        "model.layers.0.mlp.experts.gate_up_proj": ("F32", experts.shape, None, experts),
    }
    folder = tmp_path_factory.mktemp("zoo")
    write_safetensors(
        folder / "model.safetensors",
        {
            name: (dtype, list(shape), data or values.tobytes())
            for name, (dtype, shape, data, values) in stored.items()
        },
    )
    return folder, {name: np.asarray(v, np.float64) for name, (_, _, _, v) in stored.items()}


def test_analyze_agrees_with_numpy_in_float64(zoo, tmp_path):
    folder, tensors = zoo
    out = tmp_path / "params.csv"
    done = run_script("analyze", "--model-path", folder, "--out", out, "--sparsity_threshold=0.01")
    assert done.returncode == 0, done.stderr
    table = read_table(out, "params").set_index("param_name")
    assert set(table.index) == set(tensors)
    for name, values in tensors.items():
        row = table.loc[name]
        finite = values[np.isfinite(values)]
        assert row["shape"] == list(values.shape)
        assert row["numel"] == values.size
        assert row["nan_count"] == np.isnan(values).sum()
        assert row["posinf_count"] == np.isposinf(values).sum()
        if values.size == 0:
            assert row[["mean", "std", "min", "rank", "sparsity"]].isna().all()
            continue
        for column, expected in {
            "mean": finite.mean(),
            "std": finite.std(),
            "var": finite.var(),
            "min": finite.min(),
            "max": finite.max(),
        }.items():
            assert row[column] == pytest.approx(expected, rel=1e-9, abs=1e-15), (name, column)
        assert row["zero_fraction"] == pytest.approx((finite == 0).mean())
        assert row["sparsity"] == pytest.approx((np.abs(finite) <= 0.01).mean())
        has_rank = values.ndim >= 2 and np.isfinite(values).all() and "experts" not in name
        if has_rank:
            matrix = values.reshape(len(values), -1)
            sigma = np.linalg.svd(matrix, compute_uv=False)
            eps = np.finfo(np.float32).eps
            assert row["rank"] == (sigma > sigma[0] * max(matrix.shape) * eps).sum(), name
            assert (row["rows"], row["cols"]) == matrix.shape
        else:
            assert pd.isna(row["rank"]), name


def test_coverage_lists_every_tensor_with_a_reason(model, tmp_path):
    path = model / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"]["ghost.weight"] = index["weight_map"]["model.norm.weight"]
    path.write_text(json.dumps(index))
    out, ledger = tmp_path / "params.csv", tmp_path / "coverage.csv"
    done = call_script("analyze", "--model_path", model, "--out", out, "--coverage", ledger)
    assert done.returncode == 0 and "WARNING missing_tensor: ghost.weight" in done.stderr
    rows = read_table(ledger, "coverage").set_index("param_name")
    assert set(rows.index) == set(index["weight_map"])
    assert rows.loc["ghost.weight", "status"] == "missing" and rows.loc["ghost.weight", "reason"]
    assert (rows.drop("ghost.weight")["status"] == "analysed").all()
    done = run_script("analyze", "--model_path", model, "--out", out, "--coverage", "a.doc")
    assert done.returncode == 1 and "a.doc" in done.stderr


def test_every_format_holds_the_same_table(zoo, tmp_path):
    folder, _ = zoo
    written = []
    for form in ("csv", "json", "parquet"):
        out = tmp_path / f"params.{form}"
        done = call_script("analyze", "--model_path", folder, "--out", out, "--format", form)
        assert done.returncode == 0, done.stderr
        written.append(read_table(out, "params"))
    assert_same_numbers(written[0], written[1])
    assert_same_numbers(written[0], written[2])


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Matrices whose small singular values are computed in each of the ways."""
    random = np.random.default_rng(0)
    stored = {}
    spectra = {"projection": np.r_[np.linspace(1, 0.1, 140), np.logspace(-4, -9, 10)]}
    spectra |= {"deflation": np.logspace(0, -9, 150)}
    for name, values in spectra.items():
        left, right = (np.linalg.qr(random.standard_normal((n, 150)))[0] for n in (410, 150))
        matrix = left * values @ right.T
        stored[f"{name}.weight"] = ("F32", [410, 150], matrix.astype("<f4").tobytes())
        stored[f"{name}.bf16.weight"] = ("BF16", [150, 410], bf16(matrix.T))
    stored["small.weight"] = ("F64", [9, 70], random.standard_normal((9, 70)).tobytes())
    folder = tmp_path_factory.mktemp("graded")
    write_safetensors(folder / "model.safetensors", stored)

    def table(*flags, run=call_script):
        out = folder / "params.csv"
        done = run("analyze", "--model_path", folder, "--out", out, *flags)
        assert done.returncode == 0, done.stderr
        return re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z", "", out.read_text())

    return table


def test_workers_and_memory_change_no_byte(graded):
    assert graded("--threads", 1) == graded("--threads", 2, "--low_cpu_mem_usage")


@pytest.mark.slow
def test_fresh_compilation_changes_no_byte(graded, tmp_path):
    cold = partial(run_script, NUMBA_CACHE_DIR=str(tmp_path / "cold"))
    assert graded() == graded(run=cold)


def test_transformer_analysis_by_hand(model, tmp_path):
    out = tmp_path / "layers.csv"
    done = call_script("transformer_analysis", "--model_path", model, "--out", out)
    assert done.returncode == 0, done.stderr
    layers = read_table(out, "layers")
    blocks = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "norm"}
    assert set(layers[layers["layer_index"] == 1]["block_type"]) == blocks
    assert layers["parameters"].sum() == 64 * 16 + 2 * (4 * 16 * 16 + 3 * 48 * 16 + 16) + 16


def test_embedding_analysis_by_hand(model, tmp_path):
    out = tmp_path / "embedding" / "clusters.csv"
    arguments = ("--model_path", model, "--out", out, "--random_state", 3, "--k_max", 5)
    done = run_script("embedding_analysis", *arguments)
    assert done.returncode == 0, done.stderr
    clusters = read_table(out, "clusters")
    assert len(clusters) == 64 and clusters["cluster"].notna().all()
    names = {path.name for path in out.parent.iterdir()}
    assert {
        "clusters_summary.csv",
        "elbow.csv",
        "summary.json",
        "elbow.png",
        "cluster_map.png",
    } <= names
    first = out.read_bytes()
    assert call_script("embedding_analysis", *arguments).returncode == 0
    assert out.read_bytes() == first


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("analyze", "--model_path", "no/such/folder", "--out", "x.csv"), "not a folder"),
        (("analyze", "--model_path", ".", "--out", "x.csv"), "no safetensors file"),
        (("analyze", "--model_path", "no/such/folder", "--out", "x.txt"), ".csv"),
        (("resolve_model", "--model", "a b", "--manifest", "m", "--plan", "p"), "neither"),
        (("download", "--model_id", ".", "--out", "x"), "nothing to download"),
    ],
)
def test_errors_are_one_sentence(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = call_script(*arguments)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ") and words in last
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_outliers_of_a_table_without_rows(tmp_path):
    table = tmp_path / "matrices.parquet"
    write_labeled(frame([], "matrices"), "matrices", table, {"model": "m", "base_model": ""})
    done = run_script("outliers", "--matrices", table, "--out", tmp_path / "outliers")
    assert "0 outliers" in done.stderr
    assert len(read_table(tmp_path / "outliers.parquet", "outliers")) == 0


def test_circuits_by_hand(tmp_path):
    demo = ROOT / "resources/demo"
    done = run_script("circuits", "--model_path", demo, "--out", tmp_path)
    assert "36 rows in" in done.stderr
    heads = read_table(tmp_path / "attention_heads.csv", "attention_heads")
    assert heads["is_normalized"].all() and heads["qk_spectral_norm"].isna().all()
    assert heads["copying"].between(-1, 1).all() and heads["missing"].isna().all()
    graph = read_table(tmp_path / "head_graph.parquet", "head_graph")
    assert (graph["from_layer"] < graph["to_layer"]).all()
    assert set(graph["part"]) == {"key", "value"} and (graph["z"] >= 3).all()


def test_experts_by_hand(tmp_path):
    tensors = experts.independent()
    experts.duplicate(tensors, 2, 7)
    model = comparisons.write(tmp_path / "model", tensors, experts.CONFIG)
    done = run_script("circuits", "--model_path", model, "--out", tmp_path)
    assert f"{experts.EXPERTS} rows in" in done.stderr
    pairs = read_table(tmp_path / "expert_pairs.csv", "expert_pairs")
    assert pairs.loc[pairs["is_duplicate"], ["expert_index", "other_index"]].values.tolist() == [
        [2, 7]
    ]
    assert len(read_table(tmp_path / "experts.parquet", "experts")) == experts.EXPERTS
