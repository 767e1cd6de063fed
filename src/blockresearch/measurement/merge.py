"""Merge the parts of a model: measurements joined with the roles of the tensors."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from blockresearch.checkpoint.manifest import Manifest, Tensor
from blockresearch.tables.io import frame, typed
from blockresearch.text import visible_surrogates
from blockresearch.weights.quantized.scheme import CONTRADICTORY

STATUS = {"matrix": "analysed", "experts": "analysed", "values": "analysed"}

# Columns that do not come from a tensor's data.
ROLE_COLUMNS = [
    *("model_path", "model_id", "revision", "created_at", "param_name", "shard", "layer_index"),
    *("block_type", "component", "projection", "role", "expert_index", "is_bias"),
]

# Order of rows: component by component, layer by layer, then by name.
ORDER = ["component", "layer_index", "param_name"]


def with_roles(measured: pd.DataFrame, table: str, manifest: Manifest) -> pd.DataFrame:
    """The stacked table params or matrices of the parts, completed from the manifest and sorted."""
    roles = pd.DataFrame(role_rows(manifest), columns=ROLE_COLUMNS).set_index("param_name")
    known = measured.drop(columns=[name for name in roles if name in measured])
    whole = known.join(roles[[name for name in roles if name in measured]], on="param_name")
    if table == "matrices":
        # The expert comes from the part for a stack, from the role for an expert stored separately.
        whole["expert_index"] = measured["expert_index"].fillna(whole["expert_index"])
        _name_pieces(whole)
    rows = typed(whole, table).sort_values(
        [*ORDER, "expert_index"], kind="stable", na_position="first"
    )
    return rows.reset_index(drop=True)


def in_order_of(params: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """`rows` in the order of their tensors in the table params; those of others come last."""
    places = {name: place for place, name in enumerate(params["param_name"])}
    order = rows["param_name"].map(places).fillna(len(places)).argsort(kind="stable")
    return rows.iloc[order].reset_index(drop=True)


def _name_pieces(rows: pd.DataFrame) -> None:
    """Name a piece of a fused projection by its role: `q_proj` of `qkv_proj`."""
    piece, fused = rows["piece"].astype("string"), rows["projection"].astype("string")
    shared = fused.str.startswith("shared_").fillna(False)
    is_delta = (piece == "delta").fillna(False)
    named = piece.notna() & ~is_delta
    words = fused.str.replace(r"(?:qkv|gate_up)_proj$", "", regex=True)
    # The gate that a family fuses with queries, keys and values is the attention's.
    gate = named & (piece == "gate_proj") & fused.str.endswith("qkv_proj")
    rows["projection"] = fused.where(~named, words + piece)
    rows["projection"] = rows["projection"].where(~gate.fillna(False), "attention gate_proj")
    # The projection of a parameter of an adapter begins with the parameter's name.
    delta = "delta" + fused.str.replace(r"^\S+", "", regex=True).fillna("")
    rows["projection"] = rows["projection"].where(~is_delta, delta)
    own_block = named & ~shared & (rows["block_type"] != "moe").fillna(True)
    rows["block_type"] = rows["block_type"].where(~own_block, piece)


def role_rows(manifest: Manifest) -> Iterator[dict[str, Any]]:
    """For each tensor the values of ROLE_COLUMNS."""
    origin = {
        "model_path": visible_surrogates(manifest.model_path),
        "model_id": manifest.model_id,
        "revision": manifest.commit,
        "created_at": manifest.created_at,
    }
    for tensor in manifest.tensors:
        role = tensor.role
        yield origin | {
            "param_name": tensor.name,
            "shard": tensor.shard,
            "layer_index": role.layer_index,
            "block_type": role.block_type,
            "component": role.component,
            "projection": role.projection,
            "role": role.role,
            "expert_index": role.expert_index,
            "is_bias": role.is_bias,
        }


def refused(params: pd.DataFrame, spectra: pd.DataFrame) -> dict[str, str]:
    """Tensors that were planned but contradict their companions, with the reason."""
    rows = spectra[~spectra["param_name"].isin(params["param_name"])]
    reasons = rows["method"].str.removeprefix("none: ")
    return dict(zip(rows["param_name"], reasons, strict=True))


def coverage(
    manifest: Manifest,
    measured: Mapping[str, int],
    refused: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """The table coverage: every tensor of headers and index once, with its status and reason.

    `measured` gives the number of elements of each measured tensor, `refused` the reason for each
    that could not be measured after all. Raises ValueError if a planned tensor is in neither.
    """
    rows = [_ledger_row(t, manifest, measured, refused or {}) for t in manifest.tensors]
    for problem in manifest.problems:
        if problem.check == "missing_tensor" and problem.where not in manifest.by_name:
            rows.append(
                {"param_name": problem.where, "status": "missing", "reason": problem.evidence}
            )
    return frame(rows, "coverage").sort_values("param_name", ignore_index=True)


def _ledger_row(
    tensor: Tensor, manifest: Manifest, measured: Mapping[str, int], refused: Mapping[str, str]
) -> dict[str, Any]:
    layout, name = tensor.layout, tensor.name
    status, reason = STATUS.get(layout.kind, layout.kind), layout.reason
    # Some schemes store the logical shape only in the data of a companion.
    numel = int(measured.get(name, math.prod(tensor.logical_shape)))
    if not manifest.is_read(name):
        status, reason = "left out", "only the tensors of tokens were requested"
    elif name in refused:
        status, reason = "unsupported", f"{CONTRADICTORY}: {refused[name]}"
    if (status == "analysed") != (name in measured):
        raise ValueError(
            f"{name} was planned as {status} but was "
            f"{'' if name in measured else 'not '}measured: run resolve again."
        )
    return {
        "param_name": name,
        "shard": tensor.shard,
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
        "numel": numel,
        "nbytes": tensor.nbytes,
        "status": status,
        "reason": reason,
        "role": tensor.role.role,
    }
