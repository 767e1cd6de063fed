"""Numbers in the findings of the demo, computed once more from its tables and weights.

Everything here is written without the functions of `report.findings`. A new rule that finds
something in the demo has no entry in RECOMPUTED and fails.
"""

import json
import math
import os
import re
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest

from blockresearch.checkpoint.describe import describe_folder
from blockresearch.checkpoint.manifest import manifest_json
from blockresearch.measurement.folder import analyze_folder
from blockresearch.measurement.part import Settings
from blockresearch.report.findings.collect import collect
from blockresearch.tokens.analysis import analyze_embedding
from blockresearch.tokens.rows import read_row_tokens, read_rows
from tests.conftest import ROOT
from tests.tools import recomputed

DEMO = ROOT / "resources" / "demo"
NOW = "2026-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def demo():
    """The findings of the demo by rule, and what they were made from."""
    manifest = describe_folder(DEMO, NOW, hashed=False)
    model = analyze_folder(str(DEMO), Settings(1e-6), os.cpu_count() or 1, NOW)

    def place(name):
        return DEMO / name

    rows, _ = read_rows(manifest, place)
    tokens = read_row_tokens(manifest, place, len(rows))
    done = analyze_embedding(rows, tokens, k_max=8)
    entry = json.loads(json.dumps(manifest_json(manifest)))
    found = collect(
        entry,
        model.params,
        model.matrices,
        done.tokens,
        done.output_tokens,
        done.elbow,
        done.summary,
    )
    return {
        "found": {finding.id: finding for finding in found},
        "params": model.params.to_dict("records"),
        "matrices": model.matrices.to_dict("records"),
        "tokens": done.tokens.to_dict("records"),
        "elbow": done.elbow.to_dict("records"),
        "summary": done.summary,
        "rows": rows[:].astype(float),
    }


def extreme(demo, column, sign):
    """Value, median and name of the matrix farthest from its kind."""
    kinds = defaultdict(list)
    for row in demo["matrices"]:
        if pd.notna(row["layer_index"]):
            kinds[row["block_type"], str(row["role"]), row["rows"], row["cols"]].append(row)
    best = None
    for own in kinds.values():
        median = float(np.median([row[column] for row in own]))
        for row in own:
            ratio = (row[column] / median) ** sign
            if best is None or ratio > best[0]:
                best = ratio, row[column], median, row["param_name"]
    return best[1:]


def error(demo, name, keep=lambda row: True):
    """Signal to error of a format in decibel, from sums over matrices."""
    signal = noise = 0.0
    for row in filter(keep, demo["matrices"]):
        own = row["rms"] ** 2 * row["rows"] * row["cols"]
        signal += own
        noise += own / 10 ** (row[f"{name}_sqnr_db"] / 10)
    return 10 * math.log10(signal / noise)


def four_bits(demo):
    names = ("int4_g128_sym", "int4_g128_asym", "nf4", "mxfp4", "nvfp4")
    whole = {name: error(demo, name) for name in names}
    best, last = max(whole, key=whole.get), min(whole, key=whole.get)
    numbers = [whole[best], whole[last]]
    for name in (best, last):
        numbers.append(error(demo, name, lambda row: row["block_type"] != "embedding"))
        numbers.append(min(row[f"{name}_sqnr_db"] for row in demo["matrices"]))
    return whole[best], whole[last], [f"{value:.1f} dB" for value in numbers]


def kept(demo):
    rows = [row for row in demo["matrices"] if row["block_type"] != "embedding"]
    ratios = [row["int4_g128_sym_sqnr_db"] for row in rows]
    bad = [row for row in rows if row["int4_g128_sym_sqnr_db"] < np.median(ratios) - 3]
    share = sum(row["numel"] for row in bad) / sum(row["numel"] for row in demo["matrices"])
    return min(ratios), np.median(ratios), [f"{len(bad)} matri", f"{100 * share:.1f} %"]


def weights_of_the_demo():
    """Name -> tensor, over all shards."""
    shards = sorted(DEMO.glob("*.safetensors"))
    return {name: one for shard in shards for name, one in recomputed.read(shard).items()}


def outlier(demo):
    """From the weights: the element at the place that the text names."""
    weights = weights_of_the_demo()
    best = None
    for name, tensor in weights.items():
        if len(tensor.shape) == 2:
            values = tensor.values.reshape(tensor.shape).astype(float)
            ratio = np.abs(values).max() / np.sqrt((values**2).mean())
            if best is None or ratio > best[0]:
                row, col = np.unravel_index(np.abs(values).argmax(), values.shape)
                best = ratio, name, row, col, values[row, col]
    ratio, name, row, col, value = best
    shown = f"{name}[{row}, {col}] = {value:#.3g}".replace("-", "−")
    return ratio, demo["found"]["largest_outlier"].reference, [shown, f"{ratio:.3g} × rms"]


def entropy(demo):
    rows = [row for row in demo["params"] if pd.notna(row["entropy_bits"])]
    count = sum(row["numel"] for row in rows)
    bits = sum(row["entropy_bits"] * row["numel"] for row in rows) / count
    return bits, 16.0, [f"{bits:.3g} of 16 bits", f"{100 * (1 - bits / 16):.1f} %"]


def zeros(demo):
    weights = weights_of_the_demo().values()
    near = np.mean(np.concatenate([np.abs(tensor.values.ravel()) <= 1e-6 for tensor in weights]))
    zero = np.mean(np.concatenate([tensor.values.ravel() == 0 for tensor in weights]))
    return zero, None, [f"{100 * near:.2f} %, these included, are near zero"]


def change(demo):
    best = None
    blocks = {row["block_type"] for row in demo["matrices"]} - {"embedding"}
    for block in blocks:
        own = [row for row in demo["matrices"] if row["block_type"] == block]
        stds = [row["std"] for row in sorted(own, key=lambda row: row["layer_index"])]
        third = len(stds) // 3
        first, last = np.mean(stds[:third]), np.mean(stds[-third:])
        if best is None or max(first / last, last / first) > best[0]:
            best = max(first / last, last / first), last, first, block
    _, last, first, block = best
    return last, first, [block, f"{first:#.3g}", f"{last:#.3g}"]


def untrained(demo, of):
    scores = {row["token_id"]: row["undertrained_score"] for row in demo["tokens"]}
    known = [row["undertrained_score"] for row in demo["tokens"] if row["reference"] is True]
    level = np.quantile(known, 0.05) - 1e-5
    rows = [row for row in demo["tokens"] if of(row)]
    odd = [row for row in rows if scores[row["token_id"]] >= level]
    return len(odd), len(rows), [f"{len(odd)} ", f"of {len(rows):,}"]


def is_special(row):
    return row["kind"] == "special"


def is_ranked(row):
    return pd.notna(row["undertrained_rank"]) and not is_special(row)


def clusters(demo):
    (row,) = [row for row in demo["elbow"] if row["chosen"] is True]
    shares = [f"{100 * row[name]:.1f} %" for name in ("sample_share", "null_share")]
    numbers = [f"{demo['summary']['silhouette']:.2f}", f"{row['stability']:.2f}"]
    return demo["summary"]["silhouette"], 0.25, [f"The {row['k']} clusters", *numbers, *shares]


def directions(demo):
    rows = demo["rows"]
    lengths = np.linalg.norm(rows, axis=1)
    units = rows / lengths[:, None]
    total, n = units.sum(axis=0), len(rows)
    cosine = (total @ total - n) / (n * (n - 1))
    return cosine, 0.0, [f"{cosine:.2g}", f"{lengths.mean():.2f} ± {lengths.std():.2f}"]


def odd_rows(demo):
    names = {row["token_id"] for row in demo["tokens"] if row["kind"] == "unnamed"}
    return len(names), len(demo["rows"]), [f"{len(names)} have no name"]


def noise(demo):
    rows = [row for row in demo["matrices"] if pd.notna(row["mp_ks"])]
    rejected = sum(row["mp_rejected"] is True for row in rows)
    return np.median([row["mp_ks"] for row in rows]), None, [f"{rejected} of {len(rows)} matrices"]


def power_law(demo):
    passing = [row["alpha"] for row in demo["matrices"] if row["alpha_passes"] is True]
    return np.median(passing), None, [f"in {len(passing)} of", f"{np.median(passing):#.3g}"]


def farthest(column, sign):
    def found(demo):
        value, median, name = extreme(demo, column, sign)
        return value, median, [name, f"{value:#.3g}", f"{median:#.3g}"]

    return found


RECOMPUTED = {
    "stable_rank_lowest": farthest("stable_rank", -1),
    "spectral_norm_highest": farthest("spectral_norm", 1),
    "four_bits": four_bits,
    "keep_in_8_bits": kept,
    "largest_outlier": outlier,
    "entropy": entropy,
    "zeros": zeros,
    "ranks": lambda demo: (1.0, 1.0, ["All 42 weight matrices"]),
    "scale_change": change,
    "special_tokens": lambda demo: untrained(demo, is_special),
    "untrained_tokens": lambda demo: untrained(demo, is_ranked),
    "clusters": clusters,
    "directions": directions,
    "odd_rows": odd_rows,
    "noise_law": noise,
    "power_law": power_law,
}


def test_numbers_of_the_demo_agree(demo):
    assert set(demo["found"]) == set(RECOMPUTED), "a new rule has no independent number"
    for name, recompute in RECOMPUTED.items():
        finding = demo["found"][name]
        value, reference, parts = recompute(demo)
        assert finding.value == pytest.approx(value, rel=1e-6), name
        if reference is not None:
            assert finding.reference == pytest.approx(reference, rel=1e-6), name
        text = finding.text.replace("\u00a0", " ")
        missing = [part for part in map(str, parts) if part not in text]
        assert not missing, (name, text)


def test_every_tensor_of_a_finding_exists(demo):
    names = {row["param_name"] for row in demo["params"]}
    for finding in demo["found"].values():
        assert {place.name for place in finding.tensors} <= names, finding.id
        assert finding.metric is None or re.fullmatch(r"[a-z]+\.[a-z0-9_]+", finding.metric)


def test_every_rule_is_in_the_manual():
    manual = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    code = (ROOT / "src/blockresearch/report/findings").glob("*.py")
    text = "".join(path.read_text(encoding="utf-8") for path in code)
    rules = set(re.findall(r'yield Finding\(\s*"(\w+)"', text))
    assert len(rules) > 15
    assert rules | set(RECOMPUTED) <= set(re.findall(r"`(\w+)`", manual))
