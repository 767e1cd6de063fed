"""Sentences about a model: its identity, composition, coverage and audit.

Everything returned is plain text, even if it contains names from the model: the caller escapes it.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from blockresearch.language.sentence import listed
from blockresearch.model_config import ModelConfig
from blockresearch.report.wording import (
    by_component,
    integer,
    parameter_count,
    percent,
    plural,
    size,
)
from blockresearch.text import short

ATTENTION = ("q_proj", "k_proj", "v_proj", "qkv_proj", "o_proj")

EXPERTS = ("moe", "router")

FEED_FORWARD = ("gate_proj", "up_proj", "gate_up_proj", "down_proj", "mlp", "moe", "router")

EMBEDDINGS = ("embedding", "position_embedding", "output")

# What layers are made of, by the block types in them.
INSIDE = {
    "attention": ATTENTION,
    "state-space blocks": ("ssm",),
    "experts": EXPERTS,
    "feed-forward blocks": tuple(set(FEED_FORWARD) - set(EXPERTS)),
    "convolutions": ("conv",),
}

SHOWN = 3


def title(manifest: Mapping[str, Any]) -> str:
    """The model's name: its hub id, or the last part of its folder."""
    return short(manifest["model_id"] or str(manifest["model"]).rstrip("/").rsplit("/", 1)[-1])


def model_type(manifest: Mapping[str, Any]) -> str:
    """The architecture by config.json, or an en dash."""
    config = manifest["config"]
    named = [*ModelConfig(config).architectures, config.get("model_type")][0]
    return short(named) if isinstance(named, str) else "–"


def identity(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Facts that identify the model, as (label, value)."""
    shards = [file for file in manifest["files"] if file["role"] == "shard"]
    totals = manifest["totals"]
    if manifest["model_id"]:
        origin = [
            ("Hub repository", str(manifest["model_id"])),
            ("Revision", str(manifest["revision"])),
            ("Commit", str(manifest["commit"])),
        ]
    else:
        origin = [("Folder", str(manifest["model_path"]))]
    return [
        *origin,
        ("Read on", f"{str(manifest['created_at']).replace('T', ' ').removesuffix('Z')} UTC"),
        ("Architecture", model_type(manifest)),
        ("License", _license(manifest.get("licence"))),
        *_dimensions(manifest["config"]),
        (
            "Parameters",
            f"{integer(totals['parameters'])} in {plural(totals['tensors'], 'tensor')}",
        ),
        ("Weights", f"{size(totals['bytes'])} in {len(shards)} file{'s'[: len(shards) != 1]}"),
        ("Token embedding", short(manifest["embedding"] or "none")),
        ("Output layer", _output(manifest)),
    ]


def what(manifest: Mapping[str, Any], params: pd.DataFrame) -> str:
    """One sentence: what this model is made of."""
    totals = manifest["totals"]
    layers = params["layer_index"].dropna()
    depth = ""
    if len(layers):
        counts = params.groupby("component")["layer_index"].nunique()
        counts = counts[counts > 0]
        named = {
            name: "" if len(counts) == 1 else f"{name} " for name in by_component(counts.index)
        }
        depth = " with " + " and ".join(
            plural(int(counts[name]), f"{which}layer") for name, which in named.items()
        )
        blocks = set(params["block_type"][params["layer_index"].notna()])
        made_of = [name for name, members in INSIDE.items() if blocks & set(members)]
        depth += f" of {listed(made_of)}" if made_of else ""
    kind = model_type(manifest)
    if len(params) and (params["component"] == "adapter").all():
        kind = "adapter"
    kind = "model" if kind == "–" else kind
    article = "an" if kind[:1] in tuple("aAEIO") else "a"
    stored = params.groupby("dtype")["numel"].sum().sort_values(ascending=False)
    dtypes = ", ".join(map(str, stored.index[:3]))
    return (
        f"{title(manifest)} is {article} {kind}{depth}: "
        f"{parameter_count(totals['parameters'])} parameters in "
        f"{plural(totals['tensors'], 'tensor')}, stored as {dtypes or 'nothing'} "
        f"({size(totals['bytes'])})."
    )


def composition(params: pd.DataFrame) -> str:
    """One sentence: where the parameters are."""
    total = float(params["numel"].sum()) or 1.0
    blocks = params["block_type"].fillna("other")
    has_output = blocks.eq("output").any()
    groups = {
        "attention": ATTENTION,
        "experts and their routers": EXPERTS,
        "feed-forward blocks": tuple(set(FEED_FORWARD) - set(EXPERTS)),
        "embedding and output layers" if has_output else "embeddings": EMBEDDINGS,
        "convolutions": ("conv",),
        "recurrent and state-space blocks": ("ssm",),
    }
    shares = {
        name: float(params["numel"][blocks.isin(members)].sum()) / total
        for name, members in groups.items()
    }
    rest = 1 - sum(shares.values())
    named = sorted(
        ((name, share) for name, share in shares.items() if share > 0), key=lambda item: -item[1]
    )
    if rest > 0.0005 or not named:
        named.append(("everything else", rest))
    (first, most), *others = named
    parts = [f"{percent(most)} of the parameters are in {first}"]
    return listed([*parts, *(f"{percent(share)} in {name}" for name, share in others)]) + "."


def coverage_finding(coverage: pd.DataFrame) -> str:
    """One sentence: how much of the checkpoint was analyzed."""
    left = coverage[coverage["status"] != "analysed"]
    if left.empty:
        return f"All {integer(len(coverage))} tensors were analyzed."
    kinds = left["status"].fillna("unknown").value_counts().sort_index()
    named = listed([f"{integer(count)} {kind}" for kind, count in kinds.items()])
    return (
        f"{integer(len(coverage) - len(left))} of {integer(len(coverage))} tensors were analyzed; "
        f"the others ({named}) are listed with the reason."
    )


def files(manifest: Mapping[str, Any]) -> pd.DataFrame:
    """The files that were used: path, role, size in bytes, hash."""
    return pd.DataFrame(
        [
            {
                "path": file["path"],
                "role": file["role"],
                "size": file["size"],
                "hash": _hash(file),
            }
            for file in manifest["files"]
        ]
    )


def _hash(file: Mapping[str, Any]) -> str | None:
    known = file["sha256"] or file["git_sha1"]
    if "ranges" not in file:
        return known
    return f"{known} (not verified: only parts were read)" if file["ranges"] else "not read"


def left_alone(manifest: Mapping[str, Any]) -> pd.DataFrame:
    """Weight files that were not used: path and reason."""
    return pd.DataFrame(manifest.get("skipped", []), columns=["path", "reason"])


def audit_finding(audit: Mapping[str, Any]) -> str:
    """One sentence: what the audit found."""
    counts = audit["counts"]
    named = [
        f"{integer(counts[kind])} {kind}{'s'[: counts[kind] != 1]}"
        for kind in counts
        if counts[kind]
    ]
    return f"The audit found {listed(named)}." if named else "The audit found no damage."


NOTHING_FOUND = (
    "No damage found: no NaN or infinite values; no weights that are all zero, copies of "
    "others, out of scale or of collapsed rank; no missing or unexpected tensor, no wrong shape."
)


def _dimensions(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    known = {
        "Layers": ("num_hidden_layers", "n_layer", "num_layers"),
        "Hidden size": ("hidden_size", "n_embd", "d_model"),
        "Attention heads": ("num_attention_heads", "n_head", "num_heads"),
        "Key-value heads": ("num_key_value_heads",),
        "Experts": ("num_experts", "num_local_experts", "n_routed_experts"),
        "Vocabulary": ("vocab_size",),
    }
    found = {label: ModelConfig(config).number(*keys) for label, keys in known.items()}
    return [(label, integer(value)) for label, value in found.items() if value is not None]


def _output(manifest: Mapping[str, Any]) -> str:
    if manifest["output"]:
        return short(manifest["output"])
    return "the token embedding (tied)" if manifest["tied"] else "none"


def _license(stated: Any) -> str:
    return f"{short(stated)}, by the model card" if stated else "unknown (no model card states it)"


def as_sentence(text: str) -> str:
    """A reason as a sentence."""
    return text[:1].upper() + text[1:].rstrip(".") + "."
