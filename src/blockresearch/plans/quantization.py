"""The quantization plan: a format for each group of matrices, with the least error in a budget.

The error of a matrix is the relative squared error of its weights, ‖W − Q(W)‖²/‖W‖², which the
tables have for each low-bit format. The plan minimizes the sum over matrices of weight times error.
For small errors the loss of a model grows in proportion to such a sum, with weights that must be
measured (the linearity theorem of HIGGS, arXiv:2411.17525). Without measured weights each is 1: an
assumption, so the plan is where to start and no optimum.

Tables of 16-bit weights are the input. The plan measures nothing and runs nothing.
"""

import csv
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from blockresearch.language.sentence import say
from blockresearch.plans.engine import KEPT, Engine, Format
from blockresearch.plans.engines.registry import ENGINES
from blockresearch.plans.knapsack import Choice, Option, best_choice, pareto_curve
from blockresearch.plans.matrices import (
    Matrix,
    common_name,
    grouped,
    linear_matrices,
    reason_to_keep,
)
from blockresearch.plans.plan import Plan, PlanError
from blockresearch.tables.selections import super_weights

# Average bits per weight if no budget is set, or the least that the formats allow.
DEFAULT_BITS = 6.0

# Words of `protect` beside names of modules.
SUPER_WEIGHTS, FIRST_LAYER, LAST_LAYER = "super_weights", "first_layer", "last_layer"

CAVEAT = (
    "Errors of weights rank the formats of one model, and say nothing about how good a model is: "
    "evaluate what the plan makes, and start from it rather than stop at it."
)

RULE = (
    "least sum over matrices of weight × ‖W − Q(W)‖² / ‖W‖² within the budget, one format for each "
    "group of matrices that engines store as one"
)

# Points of the curve that are kept; the rest lies on the lines between them to the eye.
MOST_POINTS = 400


@dataclass(frozen=True)
class Settings:
    """What is asked for.

    bits     average bits per weight of the planned matrices, with scales
    bytes    of all tensors of the checkpoint; instead of bits
    formats  those of the engine that may be used; empty for all
    protect  SUPER_WEIGHTS, FIRST_LAYER, LAST_LAYER and names of modules that stay as stored
    weights  of matrices by name of their module; empty for 1 each
    """

    engine: str
    bits: float | None = None
    bytes: int | None = None
    formats: tuple[str, ...] = ()
    protect: tuple[str, ...] = (SUPER_WEIGHTS,)
    weights: Mapping[str, float] | None = None


def quantization_plan(
    params: pd.DataFrame, matrices: pd.DataFrame, checkpoint_bytes: int, settings: Settings
) -> Plan:
    """The plan for the model of these tables, whose tensors take `checkpoint_bytes`.

    A model without matrices to quantize has a plan with a `reason` and no files. Raises PlanError
    if a setting names what does not exist, or allows no plan.
    """
    engine = _engine(settings)
    kept = {
        _module(row["param_name"]): reason
        for row in params.to_dict("records")
        if (reason := reason_to_keep(row)) is not None and len(row["shape"]) > 1
    }
    planned = []
    for matrix in linear_matrices(params, matrices):
        if any(format.fits(matrix) for format in engine.formats) and engine.takes(matrix):
            planned.append(matrix)
        else:
            kept[matrix.name] = "no format of the engine fits its shape or its name"
    start: dict[str, Any] = {
        "plan": "quantization",
        "caveat": CAVEAT,
        "rule": RULE,
        "engine": engine.name,
    }
    if not planned:
        reason = "no matrix of a linear layer can be quantized"
        return Plan({**start, "reason": reason, "kept": _reasons(kept)}, {})
    protected = _protected(planned, matrices, settings.protect)
    weights = _weights(planned, settings.weights)
    groups = grouped(planned)
    options = [_options(group, engine, protected, weights) for group in groups.values()]
    priced = [[option for _, option in choices] for choices in options]
    rest = checkpoint_bytes - sum(matrix.bytes for matrix in planned)
    elements = sum(matrix.rows * matrix.cols for matrix in planned)
    curve = pareto_curve(priced)
    budget = _budget(settings, curve[0].bytes, rest, elements)
    choice = best_choice(priced, budget)
    assert choice is not None  # _budget is at least the smallest
    formats = [choices[number][0] for choices, number in zip(options, choice.options, strict=True)]
    assigned: dict[str, list[Matrix]] = {}
    for group, format in zip(groups.values(), formats, strict=True):
        assigned.setdefault(format.name if format else KEPT, []).extend(group)

    def point(choice: Choice) -> dict[str, Any]:
        return {
            "bits": choice.bytes * 8 / elements,
            "bytes": rest + choice.bytes,
            "error": choice.error,
        }

    record = {
        **start,
        "inputs": {
            "bits": settings.bits,
            "bytes": settings.bytes,
            "formats": [format.name for format in engine.formats],
            "protect": sorted(settings.protect),
            "sensitivity": settings.weights is not None,
        },
        "predicted": {**point(choice), "checkpoint_bytes": checkpoint_bytes},
        "curve": [point(each) for each in _thinned(curve)],
        "uniform": _uniform(options, engine, point),
        "matrices": [
            _entry(matrix, format, group, weights[matrix.name], protected)
            for group, format in zip(groups.values(), formats, strict=True)
            for matrix in group
        ],
        "kept": _reasons(kept),
    }
    changed = any(format is not None for format in formats)
    return Plan(record, engine.files(assigned, sorted(kept)) if changed else {})


def read_weights(path: str | os.PathLike[str]) -> dict[str, float]:
    """Measured weights from a CSV file with the columns `name` and `weight`.

    A name is that of a module or of its parameter. Raises PlanError if a column is missing, or a
    weight is no number of at least 0.
    """
    with open(path, encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if not {"name", "weight"} <= set(reader.fieldnames or ()):
            raise PlanError(
                say("sensitivity: {path} needs the columns name and weight.", path=str(path))
            )
        result = {}
        for row in reader:
            weight = _number(row["weight"])
            if weight is None or not 0 <= weight < math.inf:
                raise PlanError(
                    say(
                        "sensitivity: the weight of {name} in {path} is no number of at least 0.",
                        name=row["name"],
                        path=str(path),
                    )
                )
            result[_module(row["name"])] = weight
    return result


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None


def _module(parameter: str) -> str:
    return parameter.removesuffix(".weight")


def _reasons(kept: Mapping[str, str]) -> dict[str, list[str]]:
    """Names by reason."""
    result: dict[str, list[str]] = {}
    for name, reason in sorted(kept.items()):
        result.setdefault(reason, []).append(name)
    return result


def _engine(settings: Settings) -> Engine:
    """The engine with the formats that may be used."""
    engine = ENGINES[settings.engine]
    known = {format.name: format for format in engine.formats}
    for name in settings.formats:
        if name not in known:
            raise PlanError(
                say(
                    "formats: {engine} has no format {name} here: choose among {known}.",
                    engine=engine.name,
                    name=name,
                    known=", ".join(known),
                )
            )
    chosen = tuple(known[name] for name in settings.formats) or engine.formats
    return Engine(engine.name, chosen, engine.files, engine.takes)


def _protected(
    planned: Sequence[Matrix], matrices: pd.DataFrame, protect: Sequence[str]
) -> dict[str, str]:
    """Modules that stay as stored, with the reason."""
    result: dict[str, str] = {}
    layers = [matrix.layer for matrix in planned]
    names = {matrix.name for matrix in planned}
    for word in protect:
        if word == SUPER_WEIGHTS:
            found = [_module(name) for name in super_weights(matrices)["param_name"]]
        elif word in (FIRST_LAYER, LAST_LAYER):
            layer = min(layers) if word == FIRST_LAYER else max(layers)
            found = [matrix.name for matrix in planned if matrix.layer == layer]
        elif _module(word) in names:
            found = [_module(word)]
        else:
            raise PlanError(
                say(
                    "protect: {word} is no matrix that the plan quantizes: name one of them, or "
                    "super_weights, first_layer or last_layer.",
                    word=word,
                )
            )
        result |= {name: word for name in found}
    return result


def _weights(planned: Sequence[Matrix], given: Mapping[str, float] | None) -> dict[str, float]:
    if given is None:
        return {matrix.name: 1.0 for matrix in planned}
    missing = [matrix.name for matrix in planned if matrix.name not in given]
    if missing:
        raise PlanError(
            say(
                "sensitivity: {count} matrices have no weight, such as {name}: add a line for "
                "each.",
                count=str(len(missing)),
                name=missing[0],
            )
        )
    return {matrix.name: given[matrix.name] for matrix in planned}


def _options(
    group: Sequence[Matrix],
    engine: Engine,
    protected: Mapping[str, str],
    weights: Mapping[str, float],
) -> list[tuple[Format | None, Option]]:
    """What a group may be stored in, None for as it is. One protected matrix protects its group."""
    kept = (None, Option(sum(matrix.bytes for matrix in group), 0.0))
    if any(matrix.name in protected for matrix in group):
        return [kept]
    fitting = [format for format in engine.formats if all(map(format.fits, group))]
    return [
        *(
            (
                format,
                Option(
                    sum(map(format.size, group)),
                    sum(weights[m.name] * m.errors[format.errors] for m in group),
                ),
            )
            for format in fitting
        ),
        kept,
    ]


def _budget(settings: Settings, smallest: int, rest: int, elements: int) -> int:
    """Bytes of the planned matrices."""
    if settings.bytes is not None:
        budget, least = settings.bytes - rest, say("{bytes} bytes", bytes=str(rest + smallest))
        name = "bytes"
    else:
        budget = int((settings.bits or DEFAULT_BITS) * elements / 8)
        # Rounded up, so that the number that is named is one that works.
        bits = math.ceil(smallest * 8 / elements * 1000) / 1000
        least, name = say("{bits} bits", bits=f"{bits:.3f}"), "bits"
    if budget >= smallest:
        return budget
    if settings.bits is None and settings.bytes is None:
        return smallest
    raise PlanError(
        say(
            "{name}: these formats need at least {least}: raise the budget, allow smaller formats "
            "or protect less.",
            name=name,
            least=least,
        )
    )


def _thinned(curve: Sequence[Choice]) -> list[Choice]:
    step = max(len(curve) // MOST_POINTS, 1)
    return [*curve[:-1:step], curve[-1]]


def _uniform(
    options: Sequence[Sequence[tuple[Format | None, Option]]],
    engine: Engine,
    point: Callable[[Choice], dict[str, Any]],
) -> list[dict[str, Any]]:
    """What one format everywhere costs, if it fits all groups that are not protected."""
    result = []
    for format in engine.formats:
        chosen = []
        for choices in options:
            mine = [option for used, option in choices if used is format]
            chosen += mine or ([choices[0][1]] if len(choices) == 1 else [])
        if len(chosen) == len(options):
            total = Choice((), sum(o.bytes for o in chosen), sum(o.error for o in chosen))
            result.append({"format": format.name, **point(total)})
    return result


def _entry(
    matrix: Matrix,
    format: Format | None,
    group: Sequence[Matrix],
    weight: float,
    protected: Mapping[str, str],
) -> dict[str, Any]:
    error = matrix.errors[format.errors] if format else 0.0
    return {
        "name": matrix.name,
        "group": common_name([each.name for each in group]),
        "format": format.name if format else KEPT,
        "protected": protected.get(matrix.name),
        "bytes": format.size(matrix) if format else matrix.bytes,
        "weight": weight,
        "error": error,
        "sqnr_db": -10 * math.log10(error) if error > 0 else None,
        "is_exact": format.is_exact if format else True,
    }
