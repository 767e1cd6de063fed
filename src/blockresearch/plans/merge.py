"""The merge plan: how fine-tunes of one base agree, and a merge of them for mergekit.

Method and weights follow from how the changes of the fine-tunes agree (`task_vectors`):

    linear           all change alike (cosine of ALIKE and more): the mean of the models
    ties             signs conflict more than by chance, or few elements changed: small changes are
                     dropped, and of opposite signs the weaker one (TIES, arXiv:2306.01708)
    task_arithmetic  otherwise: changes are added (arXiv:2212.04089)

A change that another fine-tune makes too must not be added twice: the weight of a fine-tune is
1 / (1 + Σ max(cosine, 0)) over the others, for attention, MLP and all else. Independent changes
have the weight 1, and n equal ones 1/n each. No experiment has shown that this is best.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from blockresearch.checkpoint.manifest import Manifest
from blockresearch.language.sentence import say
from blockresearch.plans.pairs import IN_PLACE, places_of, with_status
from blockresearch.plans.plan import Plan
from blockresearch.plans.task_vectors import Shared, Vectors

CAVEAT = say(
    "No number of weights says how good a merge is: this is a heuristic start, so evaluate the "
    "merge beside its parents."
)

RULE = (
    "linear if all cosines are high, ties if signs conflict or changes are sparse, else "
    "task_arithmetic; weight 1 / (1 + Σ max(cosine, 0))"
)

# Cosine from which two fine-tunes change alike; conflict from which signs oppose each other more
# than by chance; density below which a change is sparse (0.4 for a normal law).
ALIKE, OPPOSED, SPARSE = 0.9, 0.55, 0.2

# Filter of mergekit, a part of the names of tensors -> what it is.
FILTERS = ("self_attn", "mlp")

REST = "other"

# Types of mergekit by stored type.
DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}


def shared_matrices(tables: Sequence[tuple[pd.DataFrame, pd.DataFrame]]) -> list[Shared]:
    """The matrices of the base that two or more fine-tunes changed, in the order of the base.

    `tables` are pairs and differences of each comparison, all with the same base.
    """
    places: dict[tuple[str, str], dict[int, tuple[str, str]]] = {}
    for number, (pairs, differences) in enumerate(tables):
        table = with_status(pairs, differences)
        changed = table["delta_spectral_norm"].fillna(0).astype(float) > 0
        is_known = table["status"].isin(IN_PLACE) & table["relation"].isna()
        for row in table[changed & is_known].to_dict("records"):
            base, other = places_of(row)
            places.setdefault(base, {})[number] = other
    return [Shared(base, others) for base, others in places.items() if len(others) > 1]


def merge_plan(base: Manifest, others: Sequence[Manifest], found: Iterable[Vectors]) -> Plan:
    """The plan of fine-tunes with the numbers of the matrices that several of them changed.

    Without such a matrix it is a `reason` and has no files.
    """
    matrices = list(found)
    names = [_named(other) for other in others]
    start: dict[str, Any] = {"plan": "merge", "caveat": CAVEAT, "rule": RULE}
    start["inputs"] = {"base": _named(base), "models": names}
    if not matrices:
        reason = say("no matrix was changed by two fine-tunes of the base")
        return Plan({**start, "reason": reason}, {})
    pairs = list(_pairs(matrices, len(others)))
    densities = [
        _mean(m.densities[n] for m in matrices if n in m.densities) for n in range(len(others))
    ]
    method, why = _method(pairs, densities)
    models = [
        {
            "model": name,
            "matrices": sum(number in each.energies for each in matrices),
            "delta_norm": math.sqrt(sum(each.energies.get(number, 0.0) for each in matrices)),
            "density": densities[number],
            "weights": _weights(matrices, number),
        }
        for number, name in enumerate(names)
    ]
    record = {
        **start,
        "method": method,
        "method_reason": why,
        "models": models,
        "agreement": [
            {**each, "one": names[each["one"]], "other": names[each["other"]]} for each in pairs
        ],
        "matrices": [_entry(each, names) for each in matrices],
    }
    return Plan(record, {"mergekit.yaml": _config(base, models, method)})


def _named(manifest: Manifest) -> str:
    return manifest.model_id or manifest.model_path


def _part(name: str) -> str:
    return next((part for part in FILTERS if part in name), REST)


def _pairs(matrices: Sequence[Vectors], count: int) -> Iterator[dict[str, Any]]:
    """How two fine-tunes agree over all matrices that both changed."""
    for one in range(count):
        for other in range(one + 1, count):
            both = [
                (each, agreement)
                for each in matrices
                for agreement in each.agreements
                if agreement.pair == (one, other)
            ]
            if not both:
                continue
            overlaps = [
                [value for _, agreement in both if (value := side(agreement)) is not None]
                for side in (lambda each: each.left, lambda each: each.right)
            ]
            yield {
                "one": one,
                "other": other,
                "matrices": len(both),
                "cosine": _cosine(matrices, one, other),
                "conflict": _mean(agreement.conflict for _, agreement in both),
                "left_overlap": _mean(overlaps[0]),
                "right_overlap": _mean(overlaps[1]),
            }


def _cosine(matrices: Iterable[Vectors], one: int, other: int) -> float | None:
    """The cosine of the changes of all matrices that both changed, as one vector."""
    pair = (min(one, other), max(one, other))
    inner = mine = theirs = 0.0
    for each in matrices:
        for agreement in each.agreements:
            if agreement.pair == pair:
                inner += agreement.inner
                mine += each.energies[one]
                theirs += each.energies[other]
    return inner / math.sqrt(mine * theirs) if mine and theirs else None


def _weights(matrices: Sequence[Vectors], number: int) -> dict[str, float]:
    """The weight of a fine-tune for each filter, and for all else."""
    others = sorted({other for each in matrices for other in each.energies} - {number})
    result = {}
    for part in (*FILTERS, REST):
        own = [each for each in matrices if _part(each.name) == part]
        cosines = [_cosine(own, number, other) or 0.0 for other in others]
        result[part] = round(1 / (1 + sum(max(cosine, 0.0) for cosine in cosines)), 3)
    return result


def _method(
    pairs: Sequence[Mapping[str, Any]], densities: Sequence[float | None]
) -> tuple[str, str]:
    """The method, and why."""
    if pairs and all(each["cosine"] >= ALIKE for each in pairs):
        return "linear", say("all fine-tunes change alike")
    if any(each["conflict"] >= OPPOSED for each in pairs):
        return "ties", say("signs conflict more than by chance")
    if any(value is not None and value < SPARSE for value in densities):
        return "ties", say("few elements have most of a change")
    return "task_arithmetic", say("the changes are independent enough to be added")


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return sum(found) / len(found) if found else None


def _entry(each: Vectors, names: Sequence[str]) -> dict[str, Any]:
    return {
        "name": each.name,
        "agreement": [
            {
                "one": names[found.pair[0]],
                "other": names[found.pair[1]],
                "cosine": found.cosine,
                "conflict": found.conflict,
                "left_overlap": found.left,
                "right_overlap": found.right,
            }
            for found in each.agreements
        ],
    }


def _config(base: Manifest, models: Sequence[Mapping[str, Any]], method: str) -> str:
    """The configuration of mergekit. JSON is YAML."""
    entries = []
    for model in models:
        weights = model["weights"]
        values: list[dict[str, Any]] = [
            {"filter": part, "value": weights[part]} for part in FILTERS
        ]
        parameters: dict[str, Any] = {"weight": [*values, {"value": weights[REST]}]}
        if method == "linear":
            parameters = {"weight": round(1 / len(models), 3)}
        if method == "ties":
            parameters["density"] = round(model["density"], 3)
        entries.append({"model": model["model"], "parameters": parameters})
    stored = next((each.dtype for each in base.tensors if each.dtype in DTYPES), "BF16")
    config: dict[str, Any] = {"merge_method": method, "models": entries}
    if method != "linear":
        # TIES divides by the weights of those whose sign wins.
        config |= {"base_model": _named(base), "parameters": {"normalize": method == "ties"}}
    return json.dumps({**config, "dtype": DTYPES[stored]}, indent=1) + "\n"
