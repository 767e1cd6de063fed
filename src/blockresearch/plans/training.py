"""The training plan: which matrices to train, by criteria that need no data.

Five criteria rank the matrices of one kind (`mlp.down_proj` …) over the layers, and a share of each
kind is trained. They disagree, and the plan states how much; no experiment has shown which is best
for another model.

    spectrum_snr     signal to noise as the Spectrum tool computes it (arXiv:2406.06623)
    calibrated_snr   the same idea with a threshold that noise rarely exceeds
    kappa            small condition numbers first (KappaTune, arXiv:2506.16289)
    alpha            large power-law exponents first: layers that trained least (arXiv:2410.10054)
    stable_rank      large stable ranks first: no few directions dominate
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pandas as pd

from blockresearch.plans.matrices import Matrix, linear_matrices
from blockresearch.plans.plan import Plan

CAVEAT = (
    "Criteria computed from weights disagree, and no experiment has shown which is best: "
    "compare a run with the plan to one that trains random matrices of the same number."
)

RULE = "the share of each kind of matrix with the highest score, rounded down"

# Criterion -> column of matrices, and the sign with which high is first.
CRITERIA = {
    "spectrum_snr": ("spectrum_snr", 1),
    "calibrated_snr": ("calibrated_snr_db", 1),
    "kappa": ("condition_number", -1),
    "alpha": ("alpha_hill", 1),
    "stable_rank": ("stable_rank", 1),
}

# What PEFT's helper adds to the smallest singular value, the share that it selects, and the longest
# side of a matrix that it looks at. Source: PEFT 0.21.2, helpers.KappaTuneSelector.
KAPPA_EPS, KAPPA_SHARE, KAPPA_LONGEST = 1e-8, 0.2, 16384


@dataclass(frozen=True)
class Settings:
    """`criterion` is a key of CRITERIA, and `share` of the matrices of each kind is trained."""

    criterion: str = "spectrum_snr"
    share: float = 0.5


@dataclass(frozen=True)
class Tokens:
    """Name of the token embedding's and the output layer's parameter; the output may be tied."""

    embedding: str | None
    output: str | None
    tied: bool | None


def training_plan(
    params: pd.DataFrame, matrices: pd.DataFrame, model: str, tokens: Tokens, settings: Settings
) -> Plan:
    """The plan for `model`, an id or a folder, by which axolotl finds the scores.

    Without a matrix that has a score, the plan is a `reason` and has no files.
    """
    rows = _scored(params, matrices)
    start: dict[str, Any] = {"plan": "training", "caveat": CAVEAT, "rule": RULE}
    start |= {"inputs": {"criterion": settings.criterion, "share": settings.share}}
    scored = rows[rows[settings.criterion].notna()]
    if scored.empty:
        reason = f"no matrix of a linear layer has the criterion {settings.criterion}"
        return Plan({**start, "reason": reason}, {})
    chosen: dict[str, list[str]] = {}
    for kind, group in scored.groupby("kind", sort=False):
        ranked = group.sort_values([settings.criterion, "layer"], ascending=[False, True])
        chosen[str(kind)] = list(ranked["name"].head(int(len(group) * settings.share)))
    trained = {name for names in chosen.values() for name in names}
    kappa = _kappa_targets(params, rows, tokens)
    record = {
        **start,
        "trained": chosen,
        "trained_weights": int(rows.loc[rows["name"].isin(trained), "numel"].sum()),
        "planned_weights": int(rows["numel"].sum()),
        "kappa_targets": kappa,
        "agreement": _agreement(rows),
        "matrices": [_entry(row, trained) for row in rows.to_dict("records")],
    }
    scores = {
        row["name"]: {"snr": row[settings.criterion], "type": row["kind"]}
        for row in scored.to_dict("records")
    }
    slug = model.replace("/", "-").replace("_", "-")
    return Plan(
        record,
        {
            "spectrum.yaml": _spectrum_yaml(chosen, tokens),
            f"snr_results_{slug}.json": json.dumps(scores, indent=1) + "\n",
            "peft_target_modules.json": json.dumps({"target_modules": sorted(trained)}, indent=1)
            + "\n",
            "peft_kappa_target_modules.json": json.dumps({"target_modules": kappa}, indent=1)
            + "\n",
        },
    )


def _scored(params: pd.DataFrame, matrices: pd.DataFrame) -> pd.DataFrame:
    """The linear matrices with a score for each criterion, high first."""
    known = {f"{matrix.name}.weight": matrix for matrix in linear_matrices(params, matrices)}
    single = matrices[matrices["param_name"].isin(list(known))]
    single = single[~single["param_name"].duplicated(keep=False)]
    columns: dict[str, Sequence[Any]] = {
        "name": [known[name].name for name in single["param_name"]],
        "kind": [_kind(known[name]) for name in single["param_name"]],
        "layer": [known[name].layer for name in single["param_name"]],
        "numel": list(single["numel"].astype(int)),
    }
    for criterion, (column, sign) in CRITERIA.items():
        columns[criterion] = list(sign * single[column].astype(float))
    return pd.DataFrame(columns)


def _kind(matrix: Matrix) -> str:
    """What a module is in its layer: its name behind the number, as Spectrum has it."""
    return matrix.name.partition(f".{matrix.layer}.")[2] or matrix.name


def _entry(row: Mapping[str, Any], trained: set[str]) -> dict[str, Any]:
    scores = {
        criterion: None if math.isnan(row[criterion]) else CRITERIA[criterion][1] * row[criterion]
        for criterion in CRITERIA
    }
    return {"name": row["name"], "trained": row["name"] in trained, **scores}


def _agreement(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Kendall's τ of two criteria over the layers, the mean over kinds of matrices."""
    from scipy.stats import kendalltau

    result = []
    for one, other in combinations(CRITERIA, 2):
        both = rows.dropna(subset=[one, other])
        found = [
            kendalltau(group[one], group[other]).statistic
            for _, group in both.groupby("kind")
            if len(group) > 2
        ]
        found = [value for value in found if not math.isnan(value)]
        tau = sum(found) / len(found) if found else None
        result.append({"one": one, "other": other, "kendall_tau": tau})
    return result


def _kappa_targets(params: pd.DataFrame, rows: pd.DataFrame, tokens: Tokens) -> list[str]:
    """What PEFT's `find_kappa_target_modules` selects among the linear layers.

    It counts the output layer as well, if its sides are short enough; a tied one is the embedding.
    """
    table = params.set_index("param_name")
    parameters = {name: f"{name}.weight" for name in rows["name"]}
    if tokens.output:
        parameters[tokens.output.removesuffix(".weight")] = tokens.output
    elif tokens.tied and tokens.embedding:
        parameters["lm_head"] = tokens.embedding
    kappas = {}
    for name, parameter in parameters.items():
        row = table.loc[parameter]
        is_short = max(row["rows"], row["cols"]) <= KAPPA_LONGEST
        if is_short and not pd.isna(row["condition_number"]):
            kappas[name] = _kappa(float(row["spectral_norm"]), float(row["condition_number"]))
    count = max(1, int(len(kappas) * KAPPA_SHARE)) if kappas else 0
    return sorted(kappas, key=lambda name: kappas[name])[:count]


def _kappa(largest: float, condition: float) -> float:
    """The condition number as PEFT computes it: `KAPPA_EPS` is added to the smallest σ."""
    smallest = largest / condition if condition > 0 else 0.0
    return largest / (smallest + KAPPA_EPS)


def _spectrum_yaml(chosen: Mapping[str, Sequence[str]], tokens: Tokens) -> str:
    """The list of parameters to train as the Spectrum tool writes it."""
    lines = ["unfrozen_parameters:", "- ^lm_head.weight$", "- ^model.embed_tokens.weight$"]
    for kind, names in chosen.items():
        lines += [f"# {kind} layers", *(f"- {name}" for name in names)]
    return "\n".join(lines) + "\n"
