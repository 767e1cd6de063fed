"""What the tables say about a model, in sentences: identity, and the most telling findings.

Everything returned is plain text, also where it holds names from the model: whoever shows it
escapes it. A finding says what was measured; what it may mean is worded as a possibility.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from workflow.lib.dtypes import DTYPES
from workflow.lib.wording import (
    by_component,
    fixed,
    integer,
    listed,
    number,
    parameter_count,
    percent,
    plural,
    short,
    size,
    with_spread,
)

ATTENTION = ("q_proj", "k_proj", "v_proj", "qkv_proj", "o_proj")
EXPERTS = ("moe", "router")
FEED_FORWARD = ("gate_proj", "up_proj", "gate_up_proj", "down_proj", "mlp", "moe", "router")
EMBEDDINGS = ("embedding", "position_embedding", "output")
# What layers are made of, and the block types that tell.
INSIDE = {
    "attention": ATTENTION,
    "state-space blocks": ("ssm",),
    "experts": EXPERTS,
    "feed-forward blocks": tuple(set(FEED_FORWARD) - set(EXPERTS)),
    "convolutions": ("conv",),
}
# Metric of the clustering -> of what the clusters explain the variance.
SPACES = {"spherical": " of the directions", "whitened": " of the whitened vectors"}
SHOWN = 3
LOW_RANK = 0.9
OUTLIER = 8  # times the rms: beyond what normal weights reach in any matrix of today's sizes


def title(manifest: Mapping[str, Any]) -> str:
    """The model's name: its hub id, or the last part of its folder."""
    return short(manifest["model_id"] or str(manifest["model"]).rstrip("/").rsplit("/", 1)[-1])


def model_type(manifest: Mapping[str, Any]) -> str:
    """The architecture by config.json, or an en dash."""
    config = manifest["config"]
    named = config.get("architectures")
    if isinstance(named, list) and named and isinstance(named[0], str):
        return short(named[0])
    return short(config["model_type"]) if isinstance(config.get("model_type"), str) else "–"


def identity(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Facts that say which model this is, as (label, value)."""
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
        ("Looked up", f"{str(manifest['created_at']).replace('T', ' ').removesuffix('Z')} UTC"),
        ("Architecture", model_type(manifest)),
        ("Licence", _licence(manifest.get("licence"))),
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
    kind = "model" if kind == "–" else kind
    article = "an" if kind[:1] in tuple("AEIO") else "a"
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


def value_findings(params: pd.DataFrame, matrices: pd.DataFrame) -> list[str]:
    """The most telling findings about values, ranks and information, first what tells most."""
    found, ranks = [], []
    broken = params[(params["nan_count"] + params["posinf_count"] + params["neginf_count"]) > 0]
    if len(broken):
        found.append(
            f"{integer(len(broken))} of {integer(len(params))} tensors hold NaN or infinite "
            f"values, first {short(broken['param_name'].iloc[0])}: what they compute is unusable."
        )
    ranked = matrices[matrices["rank_ratio"].notna()]
    telling = False
    if len(ranked):
        low = ranked[ranked["rank_ratio"] < 1]
        if len(low):
            worst = low.loc[low["rank_ratio"].idxmin()]
            telling = worst["rank_ratio"] < LOW_RANK
            ranks.append(
                f"{integer(len(ranked) - len(low))} of {integer(len(ranked))} matrices have full "
                f"numerical rank; the lowest for its size is {short(worst['param_name'])} with "
                f"rank {integer(worst['rank'])} of {integer(min(worst['rows'], worst['cols']))}."
            )
        else:
            all_of = f"All {integer(len(ranked))} matrices have"
            ranks.append(
                f"{all_of if len(ranked) > 1 else 'The one matrix has'} full numerical rank."
            )
    found += ranks if telling else []
    tails = matrices[matrices["max_over_rms"].notna()]
    if len(tails):
        far = tails.loc[tails["max_over_rms"].idxmax()]
        meaning = (
            "outliers this large can make quantisation harder"
            if far["max_over_rms"] > OUTLIER
            else "in a large matrix of normally distributed weights it would be about 4 to 6"
        )
        found.append(
            f"The largest outlier is {number(far['max_over_rms'])} times the root mean square of "
            f"its matrix, {short(far['param_name'])}; {meaning}."
        )
    bits = information(params)
    if bits:
        carried, stored = bits
        found.append(
            f"The entropy of the stored codes is {number(carried)} of {number(stored)} bits per "
            f"weight, so lossless coding of single weights could save about "
            f"{percent(1 - carried / stored)}."
        )
    return found if telling else [*found, *ranks]


def information(params: pd.DataFrame) -> tuple[float, float] | None:
    """Entropy and stored size in bits per weight, over the tensors whose entropy is known."""
    rows = params[params["entropy_bits"].notna() & (params["numel"] > 0)]
    if rows.empty:
        return None
    weight = rows["numel"].astype(float)
    bits = rows["dtype"].map(lambda name: DTYPES[name].bits).astype(float)
    entropy = rows["entropy_bits"].astype(float)
    return float((entropy * weight).sum() / weight.sum()), float(
        (bits * weight).sum() / weight.sum()
    )


def cluster_finding(summary: Mapping[str, Any], elbow: pd.DataFrame) -> str | None:
    """One sentence: how the clusters compare with those of one cloud of the same covariance.

    `elbow` is the table. None where it was not measured.
    """
    row = _compared(elbow)
    if row is None:
        return None
    verdict = (
        "the rows have more structure than that (clusters, or another shape)"
        if summary["beyond_null"]
        else "by this measure the clusters merely divide a single cloud"
    )
    return (
        f"{integer(row['k'])} clusters explain {percent(row['sample_share'])} of the variance"
        f"{SPACES.get(summary['metric'], '')}, against {percent(row['null_share'])} in a normal "
        f"distribution of the same covariance: {verdict}."
    )


def cluster_worth(summary: Mapping[str, Any], elbow: pd.DataFrame) -> str | None:
    """`cluster_finding`, on what it rests, and how stable the clusters are."""
    row = _compared(elbow)
    if row is None:
        return None
    return (
        f"{cluster_finding(summary, elbow)} These are means of {integer(summary['samples'])} "
        f"samples of {integer(summary['sample_rows'])} rows, and of "
        f"{integer(summary['null_samples'])} samples of the normal distribution. Clusterings of "
        f"two samples agree with an adjusted Rand index of {number(row['stability'], 2)} "
        f"(1: identical); in the normal distribution it is {number(row['null_stability'], 2)}."
    )


def _compared(elbow: pd.DataFrame) -> pd.Series | None:
    """The row of the chosen number of clusters, where it was compared with one cloud."""
    rows = elbow[elbow["chosen"].fillna(False).astype(bool) & elbow["null_share"].notna()]
    return None if rows.empty else rows.iloc[0]


def geometry(summary: Mapping[str, Any]) -> pd.DataFrame:
    """Facts about the rows of the embedding and of an output layer of its own, as texts.

    Columns what, embedding and, where there is such a layer, output.
    """
    sides = {"embedding": summary, "output": summary.get("output")}
    sides = {name: side for name, side in sides.items() if side and "rows" in side}
    if "embedding" not in sides:
        return pd.DataFrame(columns=["what", "embedding"])
    facts = {
        "rows × dimensions": lambda s: f"{integer(s['rows'])} × {integer(s['dimensions'])}",
        "length of a row, mean ± std": lambda s: with_spread(s["mean_norm"], s["std_norm"]),
        "mean cosine of two rows": lambda s: fixed(s["isotropy"]["mean_cosine"], 3),
        "the same after subtracting the mean row": lambda s: fixed(
            s["isotropy"]["mean_cosine_centred"], 3
        ),
        "rows equal to an earlier one": lambda s: integer(s["duplicate_rows"]),
        "rows with a neighbour at a cosine of 0.99 or more": lambda s: (
            f"{integer(s['near_duplicate_rows'])} of {integer(s['neighbours_searched'])} searched"
        ),
        "rows of zeros": lambda s: integer(s["zero_rows"]),
        "rows beyond the tokenizer": lambda s: integer(s["padding_rows"]),
        "rows that are not finite": lambda s: integer(s["left_out_rows"]),
    }
    texts = [
        {"what": label, **{name: text(side) for name, side in sides.items()}}
        for label, text in facts.items()
    ]
    return pd.DataFrame(texts)


def neighbours_note(summary: Mapping[str, Any]) -> str:
    """Which tokens have neighbours, and which of the chosen ones are no tokens."""
    if "rows" not in summary:
        return ""
    searched, rows = summary["neighbours_searched"], summary["rows"]
    note = "tokens.csv holds the nearest tokens of every token."
    if searched < rows - summary["left_out_rows"]:
        note = (
            f"Nearest tokens were found for {integer(searched)} of {integer(rows)} tokens: the "
            "chosen ones, those that look most untrained, and an even sample over the ids. Each "
            "was compared with all tokens; a larger clustering.search_operations covers more of "
            "them."
        )
    unknown = [short(probe) for probe in summary["unknown_probes"]]
    return f"{note} No tokens of this model: {', '.join(unknown)}." if unknown else note


def undertrained_finding(tokens: pd.DataFrame, facts: Mapping[str, Any]) -> str:
    """How many tokens look untrained, by what measure; `facts` are those of the summary."""
    method = f"Score: {facts['method']}."
    check = facts["held_out_auc"]
    if check is not None:
        method += (
            f" Check: a reference row that was held out outscores another token in "
            f"{percent(check)} of the pairs (chance: 50 %)."
        )
    reference = tokens["reference"].fillna(False).astype(bool)
    if not reference.any():
        return method
    middle = tokens["undertrained_score"][reference].median()
    alike = tokens[tokens["undertrained_rank"].notna() & (tokens["undertrained_score"] >= middle)]
    return (
        f"{method} {plural(len(alike), 'other token')} reach{'es' * (len(alike) == 1)} the median "
        "score of the reference rows."
    )


def embedding_findings(
    summary: Mapping[str, Any], overview: pd.DataFrame, elbow: pd.DataFrame
) -> list[str]:
    """The most telling findings about the token embedding."""
    if overview.empty:
        return [as_sentence(summary.get("reason") or "this model has no token embedding")]
    worth = cluster_finding(summary, elbow)
    found = [worth] if worth else []
    cosine = summary["isotropy"]["mean_cosine"]
    if cosine is not None:
        cone = (
            "the vectors share a common direction"
            if cosine > 0.2
            else "the vectors share no strong common direction"
        )
        found.append(
            f"The mean cosine between two different tokens is {fixed(cosine)}: {cone}. Their "
            f"length is {with_spread(summary['mean_norm'], summary['std_norm'])} (mean ± std)."
        )
    odd = [
        f"{integer(summary[key])} {label}"
        for key, label in (
            ("duplicate_rows", "equal an earlier row"),
            ("zero_rows", "are all zero"),
            ("padding_rows", "are beyond the tokenizer"),
            ("left_out_rows", "are not finite and were left out"),
        )
        if summary.get(key)
    ]
    if odd:
        found.append(f"Of {integer(summary['rows'])} rows, {listed(odd)}.")
    largest = overview.loc[overview["size"].idxmax()]
    return [
        *found,
        f"Over all rows the clusters explain {percent(summary['explained_share'])} of the "
        f"variance{SPACES.get(summary['metric'], '')}, with a mean silhouette of "
        f"{number(summary['silhouette'])}; the largest holds {percent(largest['share'])} of the "
        "rows.",
    ]


def coverage_finding(coverage: pd.DataFrame) -> str:
    """One sentence: how much of the checkpoint was analysed."""
    left = coverage[coverage["status"] != "analysed"]
    if left.empty:
        return f"All {integer(len(coverage))} tensors were analysed."
    kinds = left["status"].fillna("unknown").value_counts().sort_index()
    named = listed([f"{integer(count)} {kind}" for kind, count in kinds.items()])
    return (
        f"{integer(len(coverage) - len(left))} of {integer(len(coverage))} tensors were analysed; "
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
    return f"The audit found {listed(named)}." if named else "The audit found nothing unusual."


NOTHING_FOUND = (
    "The audit found nothing unusual: no NaN or infinite values; no weight that is all zero, a "
    "copy of another, out of scale or of collapsed rank; no tensor missing, unexpected or of the "
    "wrong shape."
)


def _dimensions(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    text = next(
        (
            config[key]
            for key in ("text_config", "llm_config", "language_config")
            if isinstance(config.get(key), dict)
        ),
        config,
    )
    known = {
        "Layers": ("num_hidden_layers", "n_layer", "num_layers"),
        "Hidden size": ("hidden_size", "n_embd", "d_model"),
        "Attention heads": ("num_attention_heads", "n_head", "num_heads"),
        "Key-value heads": ("num_key_value_heads",),
        "Experts": ("num_experts", "num_local_experts", "n_routed_experts"),
        "Vocabulary": ("vocab_size",),
    }
    facts = []
    for label, keys in known.items():
        value = next((text[key] for key in keys if type(text.get(key)) is int), None)
        if value is not None and 0 <= value < 10**12:
            facts.append((label, integer(value)))
    return facts


def _output(manifest: Mapping[str, Any]) -> str:
    if manifest["output"]:
        return short(manifest["output"])
    return "the token embedding (tied)" if manifest["tied"] else "none"


def _licence(stated: Any) -> str:
    return f"{short(stated)}, by the model card" if stated else "not stated in a model card"


def as_sentence(text: str) -> str:
    """A reason as a sentence of its own."""
    return text[:1].upper() + text[1:].rstrip(".") + "."
