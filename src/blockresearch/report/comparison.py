"""A few numbers of a model for comparison with others, and its composition."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from blockresearch.report.findings.formats import decibel, multiplied
from blockresearch.report.glossary import BLOCK_TYPES
from blockresearch.report.model import ATTENTION, EMBEDDINGS, FEED_FORWARD
from blockresearch.report.values import information, passing_alpha
from blockresearch.report.wording import aligned, by_component, fixed, integer, percent, shape, size
from blockresearch.tables.rounding_columns import (
    LOW_BIT_FORMATS,
)


def _decibel(value: float) -> str:
    return f"{value:.1f} dB"


def _bits(value: float) -> str:
    return f"{value:.2f} bits"


@dataclass(frozen=True)
class Row:
    """One number of the comparison: its key, group and label, its formatting, its definition.

    `anchor` is the place in the glossary, empty if `meaning` is enough.
    """

    key: str
    group: str
    label: str
    text: Callable[[Any], str]
    meaning: str
    anchor: str = ""

    @property
    def kind(self) -> str:
        """How a difference of two such numbers is written."""
        return KINDS.get(self.text, "")


# Formatting of a number -> how scripts write a difference.
KINDS: dict[Callable[[Any], str], str] = {
    integer: "count",
    size: "bytes",
    percent: "share",
    _decibel: "dB",
    _bits: "bits",
}

SIZE, MAKE, VALUES, SPECTRA, ROUNDING, TOKENS, AUDIT = (
    "Size",
    "Share of the parameters",
    "Values",
    "Spectra",
    "Rounding to few bits",
    "Token embedding",
    "Audit",
)

ROWS = (
    Row("parameters", SIZE, "parameters", integer, "elements of all tensors"),
    Row("tensors", SIZE, "tensors", integer, "stored tensors"),
    Row("bytes", SIZE, "stored size", size, "bytes of all tensors, powers of ten"),
    Row("dtypes", SIZE, "stored as", str, "the type of most parameters first", "params.dtype"),
    Row("layers", SIZE, "layers", str, "numbered layers of each component", "params.layer_index"),
    Row("experts", SIZE, "experts per layer", integer, "routed experts"),
    Row("attention_share", MAKE, "attention", percent, "q, k, v and output projections"),
    Row("feed_forward_share", MAKE, "feed-forward", percent, "experts included"),
    Row("embedding_share", MAKE, "embedding, output", percent, "positions included"),
    Row("other_share", MAKE, "everything else", percent, "norms, convolutions, biases …"),
    Row(
        "bits_stored",
        VALUES,
        "stored bits per weight",
        _bits,
        "mean over the tensors whose entropy is known",
    ),
    Row(
        "bits_entropy",
        VALUES,
        "entropy per weight",
        _bits,
        "mean over the same tensors",
        "params.entropy_bits",
    ),
    Row(
        "zero_share",
        VALUES,
        "exact zeros",
        percent,
        "of all finite elements",
        "params.zero_fraction",
    ),
    Row(
        "kurtosis",
        VALUES,
        "excess kurtosis, median",
        fixed,
        "over the matrices",
        "matrices.kurtosis_excess",
    ),
    Row(
        "max_over_rms",
        VALUES,
        "largest |w| over rms",
        aligned,
        "in the matrix where it is largest",
        "matrices.max_over_rms",
    ),
    Row("matrices", SPECTRA, "matrices", integer, "as the model multiplies with them"),
    Row(
        "full_rank_share",
        SPECTRA,
        "of full rank",
        percent,
        "of the matrices, by the resolved rank",
        "matrices.resolved_rank",
    ),
    Row(
        "stable_rank",
        SPECTRA,
        "stable rank, median",
        aligned,
        "over the matrices",
        "matrices.stable_rank",
    ),
    Row(
        "effective_rank_share",
        SPECTRA,
        "effective rank, median",
        percent,
        "of min(rows, cols), over the matrices",
        "matrices.effective_rank_sigma",
    ),
    Row(
        "spectral_norm",
        SPECTRA,
        "spectral norm, largest",
        aligned,
        "over the matrices",
        "matrices.spectral_norm",
    ),
    Row(
        "alpha",
        SPECTRA,
        "α, median",
        aligned,
        "exponent of the tail, over the matrices whose power law passes",
        "matrices.alpha",
    ),
    Row(
        "alpha_share",
        SPECTRA,
        "power laws that pass",
        percent,
        "of the matrices with a fit",
        "matrices.alpha_passes",
    ),
    *(
        Row(
            f"{each.name}_sqnr_db",
            ROUNDING,
            f"{each.label}, whole model",
            _decibel,
            "signal to rounding error of all matrices together, without tables of positions",
            f"matrices.{each.name}_sqnr_db",
        )
        for each in LOW_BIT_FORMATS
    ),
    Row("vocabulary", TOKENS, "rows", integer, "rows of the token embedding"),
    Row("width", TOKENS, "dimensions", integer, "columns of the token embedding"),
    Row("mean_cosine", TOKENS, "mean cosine of two rows", fixed, "0: no common direction"),
    Row("clusters", TOKENS, "clusters", integer, "K-means, number by the elbow or as set"),
    Row(
        "explained_share",
        TOKENS,
        "variance they explain",
        percent,
        "of the vectors as they were clustered",
        "elbow.explained_share",
    ),
    Row("errors", AUDIT, "errors", integer, "the weights are damaged"),
    Row("warnings", AUDIT, "warnings", integer, "unusual, worth a look"),
    Row("notes", AUDIT, "notes", integer, "good to know"),
)


def numbers(
    manifest: Mapping[str, Any],
    params: pd.DataFrame,
    matrices: pd.DataFrame,
    audit: Mapping[str, Any],
    embedding: Mapping[str, Any],
) -> dict[str, Any]:
    """The numbers of ROWS by key, None if undefined; medians weigh matrices equally."""
    totals = manifest["totals"]
    bits = information(params)
    short_side = matrices[["rows", "cols"]].min(axis=1).astype(float)
    ranked = matrices["resolved_rank_ratio"].dropna()
    passing = passing_alpha(matrices)
    experts = matrices["expert_index"].dropna()
    finite = params["finite_count"].astype(float)
    isotropy = embedding.get("isotropy") or {}
    found: dict[str, Any] = {
        **{key: totals[key] for key in ("parameters", "tensors", "bytes")},
        "dtypes": ", ".join(map(str, stored_types(params)[:3])) or None,
        "layers": layers(params),
        "experts": int(experts.max()) + 1 if len(experts) else None,
        **shares(params),
        "bits_stored": bits and bits[1],
        "bits_entropy": bits and bits[0],
        "zero_share": _ratio((params["zero_fraction"].astype(float) * finite).sum(), finite.sum()),
        "matrices": len(matrices),
        "full_rank_share": _ratio((ranked == 1).sum(), len(ranked)),
        "max_over_rms": matrices["max_over_rms"].max(),
        "kurtosis": matrices["kurtosis_excess"].median(),
        "stable_rank": matrices["stable_rank"].median(),
        "effective_rank_share": (matrices["effective_rank_sigma"] / short_side).median(),
        "spectral_norm": matrices["spectral_norm"].max(),
        "alpha": passing.median(),
        "alpha_share": _ratio(passing.count(), matrices["alpha"].count()),
        **{
            name: decibel(multiplied(matrices), name)
            for name in (f"{each.name}_sqnr_db" for each in LOW_BIT_FORMATS)
        },
        "vocabulary": embedding.get("rows"),
        "width": embedding.get("dimensions"),
        "mean_cosine": isotropy.get("mean_cosine"),
        "clusters": embedding.get("k"),
        "explained_share": embedding.get("explained_share"),
        **{f"{severity}s": count for severity, count in audit["counts"].items()},
    }
    return {row.key: _plain(found[row.key]) for row in ROWS}


def written(values: Mapping[str, Any]) -> list[str]:
    """The numbers as texts in the order of ROWS; an en dash for a missing one."""
    texts = []
    for row in ROWS:
        value = values.get(row.key)
        texts.append("–" if value is None else row.text(value))
    return texts


def stored_types(params: pd.DataFrame) -> list[str]:
    """Stored types, the one with most parameters first."""
    counts = params.groupby("dtype")["numel"].sum().sort_values(ascending=False, kind="stable")
    return list(counts.index)


def layers(params: pd.DataFrame) -> str | None:
    """Number of layers of each component, e.g. `30` or `4 encoder, 4 decoder`."""
    counts = params.groupby("component")["layer_index"].nunique()
    counts = counts[counts > 0]
    if len(counts) == 1:
        return integer(counts.iloc[0])
    return ", ".join(f"{counts[name]} {name}" for name in by_component(counts.index)) or None


def shares(params: pd.DataFrame) -> dict[str, float | None]:
    """Shares of the parameters in attention, feed-forward, embedding and the rest."""
    total = float(params["numel"].sum())
    blocks = params["block_type"].fillna("other")
    groups = {
        "attention_share": ATTENTION,
        "feed_forward_share": FEED_FORWARD,
        "embedding_share": EMBEDDINGS,
    }
    found = {
        key: _ratio(float(params["numel"][blocks.isin(members)].sum()), total)
        for key, members in groups.items()
    }
    rest = None if total == 0 else max(0.0, 1 - sum(share or 0 for share in found.values()))
    return {**found, "other_share": rest}


@dataclass(frozen=True)
class Block:
    """All tensors of one block type in one component."""

    block_type: str
    meaning: str
    tensors: int
    shapes: tuple[str, ...]
    parameters: int
    share: float


def composition(params: pd.DataFrame) -> dict[str, list[Block]]:
    """Composition of the model: component -> its blocks in the order in which data passes."""
    order = {name: place for place, name in enumerate(BLOCK_TYPES)}
    total = int(params["numel"].sum()) or 1
    rows = params.assign(
        component=params["component"].fillna("model"),
        block_type=params["block_type"].fillna("other"),
    )
    found: dict[str, list[Block]] = {}
    for (component, block), own in rows.groupby(["component", "block_type"], sort=True):
        texts = own["shape"].map(shape)
        shapes = own["numel"].groupby(texts).sum().sort_values(ascending=False, kind="stable")
        count = int(own["numel"].sum())
        found.setdefault(str(component), []).append(
            Block(
                str(block),
                BLOCK_TYPES.get(str(block), BLOCK_TYPES["other"]),
                len(own),
                tuple(map(str, shapes.index)),
                count,
                count / total,
            )
        )
    for blocks in found.values():
        blocks.sort(key=lambda one: (order.get(one.block_type, len(order)), one.block_type))
    return {name: found[name] for name in by_component(found)}


def _ratio(part: float, whole: float) -> float | None:
    return float(part) / float(whole) if whole else None


def _plain(value: Any) -> Any:
    """A value of a JSON type; None if it is missing or not finite."""
    if value is None or isinstance(value, str):
        return value
    if pd.isna(value) or abs(value) == float("inf"):
        return None
    return (
        int(value) if float(value).is_integer() and not isinstance(value, float) else float(value)
    )
