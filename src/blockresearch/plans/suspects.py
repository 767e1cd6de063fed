"""The suspects: weights that stand out, with the reason, for those who protect or inspect them.

A matrix is compared with the others of its kind (block type): kinds differ more than layers.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from blockresearch.language.sentence import say
from blockresearch.plans.plan import Plan
from blockresearch.tables.selections import SUPER_WEIGHT, super_weights

CAVEAT = (
    "Unusual is not wrong: look at a suspect before you protect, replace or report it, and expect "
    "some in every healthy model."
)

RULE = (
    "errors and warnings of the audit, values that are not finite, super weights, and matrices "
    "whose outliers, tails or exponents are far from the median of their kind"
)

# Largest |w| over rms, and how often that of the median of the kind.
OUTLIER, TIMES_MEDIAN = 20.0, 2.0

# Excess kurtosis, and how much more than the median of the kind.
TAIL, ABOVE_MEDIAN = 5.0, 5.0

# Exponents below are taken as a sign of overfitting by WeightWatcher.
LOWEST_ALPHA = 2.0


def suspects_plan(
    params: pd.DataFrame, matrices: pd.DataFrame, audit: Sequence[Mapping[str, Any]]
) -> Plan:
    """The suspects of a model; `audit` are the findings of its audit."""
    found = [
        *_audited(audit),
        *_not_finite(params),
        *_outliers(matrices),
        *_heavy_tails(matrices),
        *_low_exponents(matrices),
    ]
    weights = {each["tensor"] for each in found if each["protect"]}
    modules = sorted(name.removesuffix(".weight") for name in weights)
    start = {"plan": "suspects", "caveat": CAVEAT, "rule": RULE, "inputs": {}}
    files = {"modules_to_not_convert.json": json.dumps(modules, indent=1) + "\n"} if modules else {}
    return Plan({**start, "suspects": found}, files)


def _suspect(
    tensor: str, reason: str, metric: str, value: Any, reference: Any, protect: bool = True
) -> dict[str, Any]:
    """One entry; `protect` if higher precision would help."""
    return {
        "tensor": tensor,
        "reason": reason,
        "metric": metric,
        "value": value,
        "reference": reference,
        "protect": protect,
    }


def _audited(audit: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for each in audit:
        if each["severity"] in ("error", "warning"):
            reason = f"audit: {each['check']}: {each['evidence']}"
            yield _suspect(each["where"], reason, each["check"], None, None, protect=False)


def _not_finite(params: pd.DataFrame) -> Iterator[dict[str, Any]]:
    counts = params[["nan_count", "posinf_count", "neginf_count"]].fillna(0).astype(int).sum(axis=1)
    for name, count in zip(params["param_name"], counts, strict=True):
        if count:
            reason = say("values that are not finite")
            yield _suspect(name, reason, "nan_count + posinf_count + neginf_count", count, 0, False)


def _outliers(matrices: pd.DataFrame) -> Iterator[dict[str, Any]]:
    special = set(super_weights(matrices).index)
    ratio, usual = _with_median(matrices, "max_over_rms")
    for index, row in matrices.iterrows():
        if index in special:
            reason = say("a single huge weight in an early down projection (super weight)")
            yield _suspect(
                row["param_name"], reason, "max_over_rms", float(ratio[index]), SUPER_WEIGHT
            )
        elif ratio[index] >= max(OUTLIER, TIMES_MEDIAN * usual[index]):
            reason = say("its largest weight stands out more than in others of its kind")
            yield _suspect(
                row["param_name"], reason, "max_over_rms", float(ratio[index]), float(usual[index])
            )


def _heavy_tails(matrices: pd.DataFrame) -> Iterator[dict[str, Any]]:
    tail, usual = _with_median(matrices, "kurtosis_excess")
    for index, row in matrices.iterrows():
        if tail[index] >= max(TAIL, usual[index] + ABOVE_MEDIAN):
            reason = say("heavier tails than others of its kind")
            yield _suspect(
                row["param_name"],
                reason,
                "kurtosis_excess",
                float(tail[index]),
                float(usual[index]),
            )


def _low_exponents(matrices: pd.DataFrame) -> Iterator[dict[str, Any]]:
    fits = matrices["alpha_passes"].fillna(False).astype(bool)
    alpha = matrices["alpha"].astype(float)
    for index, row in matrices[fits & (alpha < LOWEST_ALPHA)].iterrows():
        reason = say("a power-law exponent below 2")
        value = float(alpha[index])
        yield _suspect(row["param_name"], reason, "alpha", value, LOWEST_ALPHA, protect=False)


def _with_median(matrices: pd.DataFrame, column: str) -> tuple[pd.Series, pd.Series]:
    """A column, and the median of its kind for each row."""
    values = matrices[column].astype(float)
    return values, values.groupby(matrices["block_type"]).transform("median")
