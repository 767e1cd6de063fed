"""The repair plan: how many directions of each change stand out from noise.

A fine-tune can damage what its base could do by small changes everywhere. DG-Hard
(arXiv:2605.20296) replaces the change Δ = other − base of each matrix by Δ*, without the singular
values below the threshold of Gavish and Donoho for a noise level that their median gives. Storage
in BF16 breaks it: rounding errors grow with the weights and are no noise of one level, so it keeps
too much. What rounding to the stored types explains is bounded by the storage rank, which in turn
takes noise that was added before for a change. A direction is kept only if both keep it.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from blockresearch.language.sentence import say
from blockresearch.plans.pairs import IN_PLACE, places_of, shown_name, with_status
from blockresearch.plans.plan import Plan
from blockresearch.spectra.noise import noise_level

CAVEAT = say(
    "What is removed is noise only if the fine-tune is a change in few directions plus noise: a "
    "broad change loses most of itself, so evaluate the repaired model beside the fine-tune."
)

RULE = "the singular values of Δ above the threshold of Gavish and Donoho, at most the storage rank"

# Matrices with fewer singular values have no reliable median.
LEAST_VALUES = 16

# The two ranks disagree if one is more than so many times the other.
DISAGREES = 2


def optimal_threshold(level: float, rows: int, cols: int) -> float:
    """The singular value of a matrix [rows, cols] below which noise of `level` spoils more than the
    direction adds. Source: Gavish and Donoho 2014, arXiv:1305.5870, eq. 11."""
    q, p = sorted((rows, cols))
    beta = q / p
    root = math.sqrt(beta**2 + 14 * beta + 1)
    return level * math.sqrt(p) * math.sqrt(2 * (beta + 1) + 8 * beta / (beta + 1 + root))


@dataclass(frozen=True)
class Repair:
    """A matrix that is repaired: where it is on both sides, and the directions of Δ that stay."""

    name: str
    base: tuple[str, str]
    other: tuple[str, str]
    rank: int


def repair_plan(pairs: pd.DataFrame, differences: pd.DataFrame) -> tuple[Plan, tuple[Repair, ...]]:
    """The plan of a comparison, and the matrices of which something is removed.

    `pairs` and `differences` are the tables of those names. Without a matrix that changed the plan
    is a `reason` and has no files.
    """
    start: dict[str, Any] = {"plan": "repair", "caveat": CAVEAT, "rule": RULE, "inputs": {}}
    table = with_status(pairs, differences)
    changed = table["delta_spectral_norm"].fillna(0).astype(float) > 0
    is_known = table["status"].isin(IN_PLACE) & table["relation"].isna()
    rows = table[changed & is_known].to_dict("records")
    rows = [row for row in rows if len(row["delta_singular_values"]) >= LEAST_VALUES]
    matrices = [_entry(row) for row in rows]
    if not matrices:
        reason = say("no matrix changed whose spectrum has a noise level")
        return Plan({**start, "reason": reason}, {}), ()
    total = sum(each["delta_norm"] ** 2 for each in matrices)
    kept = sum(each["kept_norm"] ** 2 for each in matrices)
    record = {
        **start,
        "removed": max(0.0, 1 - kept / total),
        "disagreements": sum(each["disagrees"] for each in matrices),
        "matrices": matrices,
    }
    report = {each["name"]: _report(each) for each in matrices}
    repairs = tuple(
        Repair(each["name"], *places_of(row), each["rank"])
        for row, each in zip(rows, matrices, strict=True)
        if each["rank"] < min(each["shape"])
    )
    return Plan(record, {"repair.json": json.dumps(report, indent=1) + "\n"}), repairs


def _entry(row: Mapping[str, Any]) -> dict[str, Any]:
    sigma = np.asarray(row["delta_singular_values"], dtype=np.float64)
    rows, cols = int(row["rows"]), int(row["cols"])
    level = noise_level(sigma, rows, cols)
    threshold = optimal_threshold(level, rows, cols)
    beyond = int(np.count_nonzero(sigma > threshold))
    storage = None if pd.isna(row["delta_storage_rank"]) else int(row["delta_storage_rank"])
    rank = beyond if storage is None else min(beyond, storage)
    low, high = sorted((beyond, beyond if storage is None else storage))
    return {
        "name": shown_name(row),
        "shape": [rows, cols],
        "rank": rank,
        "donoho_rank": beyond,
        "storage_rank": storage,
        "disagrees": high > DISAGREES * low,
        "noise_level": level,
        "threshold": threshold,
        "delta_norm": float(np.linalg.norm(sigma)),
        "kept_norm": float(np.linalg.norm(sigma[:rank])),
    }


def _report(each: Mapping[str, Any]) -> dict[str, Any]:
    """A matrix as the report of DG-Hard has it."""
    return {
        "shape": each["shape"],
        "rank_total": min(each["shape"]),
        "rank_kept": each["rank"],
        "sigma_hat": each["noise_level"],
        "threshold": each["threshold"],
        "frob_delta_in": each["delta_norm"],
        "frob_delta_out": each["kept_norm"],
    }
