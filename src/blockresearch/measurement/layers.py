"""Transformer layers: the tables params and matrices aggregated per layer, block type and role."""

import numpy as np
import pandas as pd

from blockresearch.tables.io import typed

KEYS = ["component", "layer_index", "block_type", "role"]


def layer_table(params: pd.DataFrame, matrices: pd.DataFrame) -> pd.DataFrame:
    """The table layers: one row per component, layer, block type and role.

    Values are pooled over all elements of the tensors (mean, std, shares, weighted by their
    number), but additive biases, which are few and large, count only in groups without other
    tensors; spectral columns are means over the matrices (spectral_norm: the maximum;
    frobenius_norm: the root of the summed squares; condition_number: the median). A statistic that
    no member has is missing.
    """
    by_tensor = params.groupby(KEYS, dropna=False, sort=True)
    weights = _without_biases(params)
    by_weight = weights.groupby(KEYS, dropna=False, sort=True)
    by_matrix = matrices.groupby(KEYS, dropna=False, sort=True)
    passes = matrices["alpha_passes"].fillna(False).astype(bool)
    fitted = matrices.assign(alpha=matrices["alpha"].where(passes), passes=passes)
    by_fit = fitted.groupby(KEYS, dropna=False, sort=True)
    result = pd.DataFrame(
        {
            "tensors": by_tensor.size(),
            "parameters": by_tensor["numel"].sum(),
            "nbytes": by_tensor["nbytes"].sum(),
            "std_mean": by_weight["std"].mean(),
            "absmax": by_weight["absmax"].max(),
            "nan_count": by_tensor["nan_count"].sum(),
            "inf_count": by_tensor["posinf_count"].sum() + by_tensor["neginf_count"].sum(),
            "matrices": by_matrix.size(),
            "kurtosis_excess": by_matrix["kurtosis_excess"].mean(),
            "rank_ratio": by_matrix["rank_ratio"].mean(),
            "resolved_rank_ratio": by_matrix["resolved_rank_ratio"].mean(),
            "stable_rank": by_matrix["stable_rank"].mean(),
            "effective_rank": by_matrix["effective_rank_sigma"].mean(),
            "spectral_norm": by_matrix["spectral_norm"].max(),
            "frobenius_norm": _root_sum(matrices, "frobenius_norm"),
            "condition_number": by_matrix["condition_number"].median(),
            "alpha": by_fit["alpha"].mean(),
            "alpha_fits": by_fit["passes"].sum(),
            "spikes": by_matrix["spikes"].mean(),
        }
    )
    for column in ("sparsity", "zero_fraction", "outlier_6sigma", "entropy_bits"):
        result[column] = _pooled(weights, column)
    result["mean"] = _pooled(weights, "mean")
    # Pooled variance: within the tensors plus between their means.
    second = _pooled(weights.assign(second=weights["var"] + weights["mean"] ** 2), "second")
    result["std"] = np.sqrt((second - result["mean"] ** 2).clip(lower=0))
    for column in ("matrices", "alpha_fits"):
        result[column] = result[column].fillna(0)
    return typed(result.reset_index(), "layers")


def _without_biases(params: pd.DataFrame) -> pd.DataFrame:
    """The tensors without additive biases, except in groups that have only biases."""
    is_weight = ~params["is_bias"].fillna(False).astype(bool)
    has_weight = is_weight.groupby([params[key] for key in KEYS], dropna=False).transform("any")
    return params[is_weight | ~has_weight]


def _pooled(params: pd.DataFrame, column: str) -> pd.Series:
    """Mean of a column weighted by the finite elements, over the tensors that have it."""
    weight = params["finite_count"].where(params[column].notna())
    sums = pd.DataFrame({"value": params[column] * weight, "weight": weight})
    grouped = sums.groupby([params[key] for key in KEYS], dropna=False, sort=True).sum(min_count=1)
    return grouped["value"] / grouped["weight"].where(grouped["weight"] > 0)


def _root_sum(matrices: pd.DataFrame, column: str) -> pd.Series:
    squares = (matrices[column] ** 2).groupby([matrices[key] for key in KEYS], dropna=False)
    return np.sqrt(squares.sum(min_count=1))
