"""Put the parts of a model together: measurements joined with what each tensor is in the model."""

import json
import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from blockresearch.checkpoint.manifest import tensor_layouts, tensor_signatures
from blockresearch.naming.roles import classify
from blockresearch.tables import io
from blockresearch.tables.io import frame
from blockresearch.text import visible_surrogates
from blockresearch.weights.quantized.recognize import CONTRADICTORY

STATUS = {"matrix": "analysed", "experts": "analysed", "values": "analysed"}

# Columns that do not come from a tensor's data.
ROLE_COLUMNS = [
    *("model_path", "model_id", "revision", "created_at", "param_name", "shard", "layer_index"),
    *("block_type", "component", "projection", "expert_index", "is_bias"),
]

# Order of rows: component by component, layer by layer, then by name.
ORDER = ["component", "layer_index", "param_name"]


def with_roles(measured: pd.DataFrame, table: str, manifest: Mapping[str, Any]) -> pd.DataFrame:
    """The stacked table params or matrices of the parts, completed from the manifest and sorted."""
    roles = pd.DataFrame(role_rows(manifest), columns=ROLE_COLUMNS).set_index("param_name")
    known = measured.drop(columns=[name for name in roles if name in measured])
    whole = known.join(roles[[name for name in roles if name in measured]], on="param_name")
    if table == "matrices":
        _take_from_slice(whole)
    typed = io.typed(whole, table)
    order = typed.assign(
        _slice=typed.get("slice", pd.Series("", typed.index))
        .str.extract(r"(\d+)")[0]
        .astype("Int64")
    )
    sorted_rows = order.sort_values([*ORDER, "_slice"], kind="stable", na_position="first")
    return io.typed(sorted_rows.drop(columns="_slice").reset_index(drop=True), table)


def _take_from_slice(rows: pd.DataFrame) -> None:
    """The slice says which expert of a stack a matrix is, and which piece of a fused one."""
    parts = rows["slice"].astype("string").str.extract(r"^(?:\[(\d+)\])?\.?([a-z_]+)?$")
    rows["expert_index"] = rows["expert_index"].fillna(parts[0].astype("Int64"))
    piece, fused = parts[1], rows["projection"].astype("string")
    shared = fused.str.startswith("shared_").fillna(False)
    is_delta = (piece == "delta").fillna(False)
    named = piece.notna() & ~is_delta
    words = fused.str.replace(r"(?:qkv|gate_up)_proj$", "", regex=True)
    # The gate that a family fuses with queries, keys and values is the attention's.
    gate = named & (piece == "gate_proj") & fused.str.endswith("qkv_proj")
    rows["projection"] = fused.where(~named, words + piece)
    rows["projection"] = rows["projection"].where(~gate.fillna(False), "attention gate_proj")
    delta = "delta " + fused.str.replace(r"^lora\w* ", "", regex=True).fillna("")
    rows["projection"] = rows["projection"].where(~is_delta, delta.str.strip())
    own_block = named & ~shared & (rows["block_type"] != "moe").fillna(True)
    rows["block_type"] = rows["block_type"].where(~own_block, piece)


def role_rows(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For each tensor the values of ROLE_COLUMNS."""
    roles = classify(tensor_signatures(manifest), manifest["config"])
    return [
        {
            "model_path": visible_surrogates(manifest["model_path"]),
            "model_id": manifest["model_id"],
            "revision": manifest["commit"],
            "created_at": manifest["created_at"],
            "param_name": tensor["name"],
            "shard": tensor["shard"],
            "layer_index": role.layer_index,
            "block_type": role.block_type,
            "component": role.component,
            "projection": role.projection,
            "expert_index": role.expert_index,
            "is_bias": role.is_bias,
        }
        for tensor in manifest["tensors"]
        for role in [roles[tensor["name"]]]
    ]


def refused(params: pd.DataFrame, spectra: pd.DataFrame) -> dict[str, str]:
    """Tensors that were planned but contradict their companions, with the reason."""
    rows = spectra[~spectra["param_name"].isin(params["param_name"])]
    reasons = rows["method"].str.removeprefix("none: ")
    return dict(zip(rows["param_name"], reasons, strict=True))


def coverage(
    manifest: Mapping[str, Any],
    measured: Mapping[str, int],
    refused: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """The ledger: every tensor of headers and index exactly once, with its status and reason.

    `measured` gives the number of elements of each measured tensor, `refused` the reason for each
    that could not be measured after all. Raises ValueError when a tensor that the plan meant to
    measure is in neither.
    """
    refused = refused or {}
    layouts = tensor_layouts(manifest)
    asked = set(manifest.get("asked", layouts))
    rows = []
    for tensor in manifest["tensors"]:
        layout = layouts[tensor["name"]]
        status, reason = STATUS.get(layout.kind, layout.kind), layout.reason
        numel = math.prod(layout.scheme.shape if layout.scheme else tensor["shape"])
        if tensor["name"] not in asked:
            status, reason = "left out", "only the tensors of tokens were asked for"
        elif tensor["name"] in refused:
            status, reason = "unsupported", f"{CONTRADICTORY}: {refused[tensor['name']]}"
        elif tensor["name"] in measured:
            # Some schemes tell the logical shape in the data of a companion only.
            numel = int(measured[tensor["name"]])
        if (status == "analysed") != (tensor["name"] in measured):
            raise ValueError(
                f"{tensor['name']} was planned as {status} but was "
                f"{'' if tensor['name'] in measured else 'not '}measured: run resolve again."
            )
        rows.append(
            {
                "param_name": tensor["name"],
                "shard": tensor["shard"],
                "dtype": tensor["dtype"],
                "shape": json.dumps(tensor["shape"]),
                "numel": numel,
                "nbytes": tensor["end"] - tensor["begin"],
                "status": status,
                "reason": reason,
            }
        )
    present = {tensor["name"] for tensor in manifest["tensors"]}
    for problem in manifest["problems"]:
        if problem["check"] == "missing_tensor" and problem["where"] not in present:
            rows.append(
                {
                    "param_name": problem["where"],
                    "status": "missing",
                    "reason": problem["evidence"],
                }
            )
    return frame(rows, "coverage").sort_values("param_name", ignore_index=True)
