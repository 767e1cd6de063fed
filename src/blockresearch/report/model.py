"""Sentences about a model: its identity, composition, coverage and audit.

Everything returned is plain text, even if it contains names from the model: the caller escapes it.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from blockresearch.language.recognition import recognized
from blockresearch.language.sentence import Sentence, declared, enumerated, listed, say
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

# Where parameters are, in sentences.
PLACES = {
    "attention": ATTENTION,
    "experts and their routers": EXPERTS,
    "feed-forward blocks": tuple(set(FEED_FORWARD) - set(EXPERTS)),
    "embeddings": EMBEDDINGS,
    "convolutions": ("conv",),
    "recurrent and state-space blocks": ("ssm",),
}

WITH_OUTPUT, REST = "embedding and output layers", "everything else"

SHOWN = 3


def title(manifest: Mapping[str, Any]) -> str:
    """The model's name: its hub id, or the last part of its folder."""
    return short(manifest["model_id"] or str(manifest["model"]).rstrip("/").rsplit("/", 1)[-1])


def model_type(manifest: Mapping[str, Any]) -> str:
    """The architecture by config.json, or an en dash."""
    config = manifest["config"]
    named = [*ModelConfig(config).architectures, config.get("model_type")][0]
    return short(named) if isinstance(named, str) else "–"


def listed_as(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What the page of all models lists of a model: its name, version and size."""
    return {
        "model": manifest["model_id"] or manifest["model"],
        "revision": manifest["revision"],
        "commit": manifest["commit"],
        "type": model_type(manifest),
        "parameters": manifest["totals"]["parameters"],
        "bytes": manifest["totals"]["bytes"],
        "created_at": manifest["created_at"],
    }


def identity(manifest: Mapping[str, Any]) -> list[tuple[Sentence, str]]:
    """Facts that identify the model, as (label, value)."""
    shards = [file for file in manifest["files"] if file["role"] == "shard"]
    totals = manifest["totals"]
    if manifest["model_id"]:
        origin = [
            (say("Hub repository"), str(manifest["model_id"])),
            (say("Revision"), str(manifest["revision"])),
            (say("Commit"), str(manifest["commit"])),
        ]
    else:
        origin = [(say("Folder"), str(manifest["model_path"]))]
    return [
        *origin,
        (say("Read on"), f"{str(manifest['created_at']).replace('T', ' ').removesuffix('Z')} UTC"),
        (say("Architecture"), model_type(manifest)),
        (say("License"), _license(manifest.get("licence"))),
        *_dimensions(manifest["config"]),
        (
            say("Parameters"),
            say(
                "{parameters} in {tensors}",
                parameters=integer(totals["parameters"]),
                tensors=plural(totals["tensors"], "tensor"),
            ),
        ),
        (
            say("Weights"),
            say("{size} in {files}", size=size(totals["bytes"]), files=plural(len(shards), "file")),
        ),
        (
            say("Token embedding"),
            short(manifest["embedding"]) if manifest["embedding"] else say("none"),
        ),
        (say("Output layer"), _output(manifest)),
    ]


def what(manifest: Mapping[str, Any], params: pd.DataFrame) -> Sentence:
    """One sentence: what this model is made of."""
    totals = manifest["totals"]
    layers = params["layer_index"].dropna()
    kind: str = model_type(manifest)
    kind = say("model") if kind == "–" else kind
    if len(params) and (params["component"] == "adapter").all():
        kind = say("adapter")
    if len(layers):
        kind = _with_layers(kind, params)
    stored = params.groupby("dtype")["numel"].sum().sort_values(ascending=False)
    dtypes = enumerated([*map(str, stored.index[:3])]) if len(stored) else say("nothing")
    return say(
        "{model} is an {kind}: {parameters} parameters in {tensors}, stored as {dtypes} ({size})."
        if kind[:1] in tuple("aAEIO")
        else "{model} is a {kind}: {parameters} parameters in {tensors}, stored as {dtypes} "
        "({size}).",
        model=title(manifest),
        kind=kind,
        parameters=parameter_count(totals["parameters"]),
        tensors=plural(totals["tensors"], "tensor"),
        dtypes=dtypes,
        size=size(totals["bytes"]),
    )


def _with_layers(kind: str, params: pd.DataFrame) -> Sentence:
    """A kind of model with its numbers of layers, and what they are made of."""
    counts = params.groupby("component")["layer_index"].nunique()
    counts = counts[counts > 0]
    depths = [
        plural(int(counts[name]), "layer")
        if len(counts) == 1
        else say(
            "{count} {component} layer" if counts[name] == 1 else "{count} {component} layers",
            count=integer(counts[name]),
            component=name,
        )
        for name in by_component(counts.index)
    ]
    blocks = set(params["block_type"][params["layer_index"].notna()])
    made_of = [declared(name) for name, members in INSIDE.items() if blocks & set(members)]
    if not made_of:
        return say("{kind} with {layers}", kind=kind, layers=listed(depths))
    return say(
        "{kind} with {layers} of {blocks}",
        kind=kind,
        layers=listed(depths),
        blocks=listed(made_of),
    )


def composition(params: pd.DataFrame) -> Sentence:
    """One sentence: where the parameters are."""
    total = float(params["numel"].sum()) or 1.0
    blocks = params["block_type"].fillna("other")
    has_output = blocks.eq("output").any()
    shares = {
        name: float(params["numel"][blocks.isin(members)].sum()) / total
        for name, members in PLACES.items()
    }
    if has_output:
        shares = {WITH_OUTPUT if name == "embeddings" else name: s for name, s in shares.items()}
    rest = 1 - sum(shares.values())
    named = sorted(
        ((name, share) for name, share in shares.items() if share > 0), key=lambda item: -item[1]
    )
    if rest > 0.0005 or not named:
        named.append((REST, rest))
    (first, most), *others = named
    parts = [
        say("{share} of the parameters are in {block}", share=percent(most), block=declared(first)),
        *(
            say("{share} in {block}", share=percent(share), block=declared(name))
            for name, share in others
        ),
    ]
    return say("{parts}.", parts=listed(parts))


def coverage_finding(coverage: pd.DataFrame) -> Sentence:
    """One sentence: how much of the checkpoint was analyzed."""
    left = coverage[coverage["status"] != "analysed"]
    if left.empty:
        return say("All {count} tensors were analyzed.", count=integer(len(coverage)))
    kinds = left["status"].fillna("unknown").value_counts().sort_index()
    return say(
        "{count} of {total} tensors were analyzed; the others ({kinds}) are listed with the "
        "reason.",
        count=integer(len(coverage) - len(left)),
        total=integer(len(coverage)),
        kinds=listed(
            [
                say("{count} {kind}", count=integer(count), kind=declared(kind))
                for kind, count in kinds.items()
            ]
        ),
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
    if not file["ranges"]:
        return say("not read")
    return say("{hash} (not verified: only parts were read)", hash=known)


def left_alone(manifest: Mapping[str, Any]) -> pd.DataFrame:
    """Weight files that were not used: path and reason."""
    rows = [(file["path"], recognized(file["reason"])) for file in manifest.get("skipped", [])]
    return pd.DataFrame(rows, columns=["path", "reason"], dtype=object)


def audit_finding(audit: Mapping[str, Any]) -> Sentence:
    """One sentence: what the audit found."""
    counts = audit["counts"]
    named = severities(counts)
    return (
        say("The audit found {findings}.", findings=listed(named))
        if named
        else say("The audit found no damage.")
    )


def severities(counts: Mapping[str, int]) -> list[Sentence]:
    """How many findings of each severity the audit has, without those it has none of."""
    named = {
        "error": plural(counts.get("error", 0), "error"),
        "warning": plural(counts.get("warning", 0), "warning"),
        "note": plural(counts.get("note", 0), "note"),
    }
    return [text for severity, text in named.items() if counts.get(severity)]


NOTHING_FOUND = say(
    "No damage found: no NaN or infinite values; no weights that are all zero, copies of "
    "others, out of scale or of collapsed rank; no missing or unexpected tensor, no wrong shape."
)


def _dimensions(config: Mapping[str, Any]) -> list[tuple[Sentence, str]]:
    known = {
        say("Layers"): ("num_hidden_layers", "n_layer", "num_layers"),
        say("Hidden size"): ("hidden_size", "n_embd", "d_model"),
        say("Attention heads"): ("num_attention_heads", "n_head", "num_heads"),
        say("Key-value heads"): ("num_key_value_heads",),
        say("Experts"): ("num_experts", "num_local_experts", "n_routed_experts"),
        say("Vocabulary"): ("vocab_size",),
    }
    found = {label: ModelConfig(config).number(*keys) for label, keys in known.items()}
    return [(label, integer(value)) for label, value in found.items() if value is not None]


def _output(manifest: Mapping[str, Any]) -> str:
    if manifest["output"]:
        return short(manifest["output"])
    return say("the token embedding (tied)") if manifest["tied"] else say("none")


def _license(stated: Any) -> str:
    if not stated:
        return say("unknown (no model card states it)")
    return say("{license}, by the model card", license=short(stated))
