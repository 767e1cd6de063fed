"""The sparsity plan: a ratio for each layer, by the power-law exponents of its spectra.

Layers with heavy tails (small exponents) are pruned less, because training has shaped them more
(AlphaPruning, arXiv:2410.10912). Of each layer the mean exponent of its matrices is mapped to
1 − spread … 1 + spread, and all ratios are scaled so that the share of pruned weights is `ratio`.

The exponents are Hill estimates over the upper half of the spectra.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from blockresearch.language.sentence import say
from blockresearch.plans.matrices import linear_matrices
from blockresearch.plans.plan import Plan, PlanError

CAVEAT = (
    "Exponents of spectra predict little: the gain over one ratio for all layers was measured at "
    "60 % and more on other models, so compare with that before you use the plan."
)

RULE = (
    "mean alpha_hill of each layer mapped to 1 − spread … 1 + spread, scaled to the ratio over all "
    "weights of linear layers"
)

MODIFIERS = {
    "sparsegpt_recipe.yaml": "SparseGPTModifier",
    "wanda_recipe.yaml": "WandaPruningModifier",
}


@dataclass(frozen=True)
class Settings:
    """`ratio` of all weights is pruned; `spread` is how much layers differ, as a share of it."""

    ratio: float = 0.5
    spread: float = 0.3


def sparsity_plan(params: pd.DataFrame, matrices: pd.DataFrame, settings: Settings) -> Plan:
    """The plan of a model. Without exponents of every layer it is a `reason` and has no files.

    Raises PlanError if a layer would be pruned entirely.
    """
    start: dict[str, Any] = {"plan": "sparsity", "caveat": CAVEAT, "rule": RULE}
    start["inputs"] = {"ratio": settings.ratio, "spread": settings.spread}
    known = linear_matrices(params, matrices)
    layers = sorted({matrix.layer for matrix in known})
    if len({matrix.name.partition(f".{matrix.layer}.")[0] for matrix in known}) > 1:
        reason = "several stacks of layers, for which a recipe has no ratios"
        return Plan({**start, "reason": reason}, {})
    names = {f"{matrix.name}.weight": matrix.layer for matrix in known}
    rows = matrices.assign(layer=matrices["param_name"].map(names)).dropna(subset=["layer"])
    exponents = rows.astype({"alpha_hill": float}).groupby("layer")["alpha_hill"].mean()
    if not layers or layers != list(range(len(layers))) or exponents.isna().any():
        return Plan({**start, "reason": "not every layer has a spectrum with an exponent"}, {})
    alpha = exponents.to_numpy(dtype=float)
    sizes = np.zeros(len(layers))
    for matrix in known:
        sizes[matrix.layer] += matrix.rows * matrix.cols
    span = alpha.max() - alpha.min()
    share = (alpha - alpha.min()) / span if span > 0 else np.full(len(alpha), 0.5)
    ratios = 1 - settings.spread + share * 2 * settings.spread
    ratios *= settings.ratio * sizes.sum() / (sizes * ratios).sum()
    if ratios.max() >= 1:
        raise PlanError(
            say(
                "sparsity: layer {layer} would lose {share} % of its weights: lower ratio or "
                "spread.",
                layer=str(int(ratios.argmax())),
                share=f"{100 * ratios.max():.0f}",
            )
        )
    rounded = [round(float(ratio), 4) for ratio in ratios]
    record = {
        **start,
        "layers": [
            {"layer": layer, "alpha": float(a), "sparsity": ratio, "weights": int(size)}
            for layer, a, ratio, size in zip(layers, alpha, rounded, sizes, strict=True)
        ],
    }
    return Plan(record, {name: _recipe(kind, rounded) for name, kind in MODIFIERS.items()})


def _recipe(modifier: str, ratios: list[float]) -> str:
    """A recipe of llm-compressor with a ratio for each decoder layer."""
    settings = {"sparsity": ratios, "mask_structure": "0:0", "ignore": ["re:.*lm_head"]}
    stage = {"pruning_stage": {"pruning_modifiers": {modifier: settings}}}
    return json.dumps(stage, indent=1) + "\n"
