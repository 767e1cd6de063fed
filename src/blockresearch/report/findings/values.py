"""Findings about values, ranks and information."""

from collections.abc import Iterator
from statistics import NormalDist

import pandas as pd

from blockresearch.language.sentence import joined, listed, say
from blockresearch.report.findings.kinds import is_change, is_table
from blockresearch.report.findings.record import Finding, Place, place_of
from blockresearch.report.values import information, passing_alpha
from blockresearch.report.wording import aligned, integer, number, percent, plural
from blockresearch.tables import selections
from blockresearch.tables.outliers import outlier_rows

# Share of the smaller side below which a rank is notable.
LOW_RANK = 0.9

# Exact zeros below which nothing is said about a tensor.
FEW_ZEROS = 0.01

# Exact zeros above which a matrix is worth naming.
MANY_ZEROS = 0.05

# log₁₀ of the probability of chance from which on a channel is named.
RECURRING = -3.0

# Decibel that do not matter.
TIE = 0.3


def value_findings(params: pd.DataFrame, matrices: pd.DataFrame) -> Iterator[Finding]:
    """The findings about values, most important first."""
    yield from not_finite(params)
    yield from super_weights(matrices)
    yield from recurring_channels(matrices)
    yield from ranks(matrices)
    yield from largest_outlier(matrices)
    yield from entropy(params)
    yield from zeros(params)
    yield from noise_law(matrices)
    yield from power_law(matrices)


def not_finite(params: pd.DataFrame) -> Iterator[Finding]:
    """NaN and infinite values."""
    broken = params[(params["nan_count"] + params["posinf_count"] + params["neginf_count"]) > 0]
    if len(broken):
        names = tuple(Place(str(name)) for name in broken["param_name"].head(10))
        yield Finding(
            "not_finite",
            "values",
            "warning",
            say(
                "{count} of {tensors} contain NaN or infinite values, first {name}.",
                count=integer(len(broken)),
                tensors=plural(len(params), "tensor"),
                name=names[0].matrix,
            ),
            names,
            "params.nan_count",
            float(len(broken)),
            0.0,
            why="The output of a model with such weights is unusable.",
            action="Download the file again, or export it in a wider type.",
        )


def super_weights(matrices: pd.DataFrame) -> Iterator[Finding]:
    """Single huge weights in down projections of early layers. Source: arXiv:2411.07191."""
    found = selections.super_weights(matrices).head(3)
    if found.empty:
        return
    places = tuple(place_of(row, True) for _, row in found.iterrows())
    shown = [
        say("{weight} is {ratio} × rms", weight=place.weight, ratio=number(ratio))
        for place, ratio in zip(places, found["max_over_rms"], strict=True)
    ]
    yield Finding(
        "super_weights",
        "values",
        "notable",
        say(
            "Single weights stand out in early down projections: {weights}.", weights=listed(shown)
        ),
        places,
        "matrices.max_over_rms",
        float(found["max_over_rms"].iloc[0]),
        selections.SUPER_WEIGHT,
        why="This is the pattern of super weights: in some models one such weight set to zero "
        "destroys the output (Yu and others 2024, arXiv:2411.07191).",
        action="Keep these weights in full precision and out of pruning; set one to zero to test.",
    )


def recurring_channels(matrices: pd.DataFrame) -> Iterator[Finding]:
    """Channels of the residual stream with outliers in more layers than by chance."""
    rows = [row for row in outlier_rows(matrices) if row.get("channel_log10_p", 0) <= RECURRING]
    if not rows:
        return
    first = min(rows, key=lambda row: (row["channel_log10_p"], row["channel"]))
    counts = {(row["component"], row["channel"]): row["channel_layers"] for row in rows}
    most = sorted(counts, key=lambda place: (-counts[place], place))
    depths = matrices.groupby("component")["layer_index"].nunique()
    shown = []
    for component, channel in most[:3]:
        recurrence = say(
            "{channel} in {count} of {layers} layers",
            channel=str(channel),
            count=integer(counts[component, channel]),
            layers=integer(depths[component]),
        )
        if len(depths) > 1:
            recurrence = say("{kind} of the {component}", kind=recurrence, component=component)
        shown.append(recurrence)
    yield Finding(
        "recurring_channels",
        "values",
        "note",
        say(
            "The same channels of the residual stream have outliers in many layers: {channels}.",
            channels=listed(shown),
        ),
        tuple(
            place_of({**row, "top_rows": [row["row"]], "top_cols": [row["col"]]}, True)
            for row in rows
            if (row["component"], row["channel"]) == most[0]
        )[:10],
        "outliers.channel_log10_p",
        float(first["channel_log10_p"]),
        RECURRING,
        why="Massive activations and coarse errors of quantization come from a few such channels "
        "(Sun and others 2024, arXiv:2402.17762).",
        action="Compare the scales of norms at these channels, and rotate or smooth them before "
        "activations are quantized.",
    )


def ranks(matrices: pd.DataFrame) -> Iterator[Finding]:
    """How many weight matrices have full rank, and the lowest."""
    known = matrices[
        matrices["resolved_rank_ratio"].notna() & ~is_change(matrices) & ~is_table(matrices)
    ]
    if known.empty:
        return
    low = known[known["resolved_rank_ratio"] < 1]
    metric = "matrices.resolved_rank_ratio"
    if low.empty:
        text = say("All {count} weight matrices have full rank.", count=integer(len(known)))
        if len(known) == 1:
            text = say("The one matrix has full rank.")
        yield Finding("ranks", "values", "note", text, (), metric, 1.0, 1.0)
        return
    worst = low.loc[low["resolved_rank_ratio"].idxmin()]
    share, place = float(worst["resolved_rank_ratio"]), place_of(worst)
    yield Finding(
        "ranks",
        "values",
        "notable" if share < LOW_RANK else "note",
        say(
            "{count} of {matrices} have full rank; the lowest for its size is {matrix} with rank "
            "{rank} of {side}.",
            count=integer(len(known) - len(low)),
            matrices=plural(len(known), "weight matrix", "matrices"),
            matrix=place.matrix,
            rank=integer(worst["resolved_rank"]),
            side=integer(min(worst["rows"], worst["cols"])),
        ),
        (place,),
        metric,
        share,
        1.0,
        why="The directions beyond the rank do not reach the output of the matrix."
        if share < LOW_RANK
        else "The missing directions have less than 10⁻¹⁴ of the energy each, so they rarely "
        "matter.",
        action="Store it as two factors, or check whether a part of it was never trained."
        if share < LOW_RANK
        else "",
    )


def largest_outlier(matrices: pd.DataFrame) -> Iterator[Finding]:
    """The largest weight relative to its matrix, and whether INT4 rounds that matrix worse."""
    known = matrices[matrices["max_over_rms"].notna()]
    if known.empty:
        return
    row = known.loc[known["max_over_rms"].idxmax()]
    place, ratio = place_of(row, True), float(row["max_over_rms"])
    count = float(row["rows"]) * float(row["cols"])
    normal = NormalDist().inv_cdf(1 - 0.5 / count) if count > 1 else 1.0
    value = row["top_values"]
    value = float(value[0]) if hasattr(value, "__len__") and len(value) else None
    text = say(
        "Largest weight relative to its matrix: {weight}, {ratio} × rms (about {normal} in a "
        "normal matrix of this size).",
        weight=place.weight if value is None else f"{place.weight} = {aligned(value)}",
        ratio=number(ratio),
        normal=number(normal, 2),
    )
    ratios = matrices["int4_g128_sym_sqnr_db"].dropna().astype(float)
    own = row["int4_g128_sym_sqnr_db"]
    if len(ratios) > 1 and not pd.isna(own):
        median = float(ratios.median())
        shown = {"own": f"{own:.1f}", "median": f"{median:.1f}"}
        if own < median - TIE:
            measured = say(
                "INT4 rounds this matrix worse than the typical matrix: {own} dB (median {median} "
                "dB).",
                **shown,
            )
        elif own > median + TIE:
            measured = say(
                "INT4 rounds this matrix better than the typical matrix: {own} dB (median {median} "
                "dB).",
                **shown,
            )
        else:
            measured = say(
                "INT4 rounds this matrix as well as the typical matrix: {own} dB (median {median} "
                "dB).",
                **shown,
            )
        text = joined(text, measured)
    yield Finding(
        "largest_outlier",
        "values",
        "note",
        text,
        (place,),
        "matrices.max_over_rms",
        ratio,
        normal,
        why="A large weight sets the scale of its group in a low-bit format, but groups confine "
        "the loss: the measured error decides, not the outlier.",
        action="Look at its row and column in other layers; the same ones often recur.",
    )


def entropy(params: pd.DataFrame) -> Iterator[Finding]:
    """What an ideal coder of single weights would save."""
    bits = information(params)
    if bits:
        carried, stored = bits
        yield Finding(
            "entropy",
            "values",
            "note",
            say(
                "The stored codes have an entropy of {entropy} of {stored} bits per weight: "
                "lossless compression (entropy coding) could save about {saving}.",
                entropy=number(carried),
                stored=number(stored),
                saving=percent(1 - carried / stored),
            ),
            (),
            "params.entropy_bits",
            carried,
            stored,
            why="The rest of the stored bits carries no information.",
        )


def zeros(params: pd.DataFrame) -> Iterator[Finding]:
    """How many values are exactly or nearly zero, and which matrices have most zeros."""
    known = params[params["zero_fraction"].notna() & (params["finite_count"] > 0)]
    if known.empty:
        return
    weight = known["finite_count"].astype(float)
    zero, near = (
        float((known[name].astype(float) * weight).sum() / weight.sum())
        for name in ("zero_fraction", "sparsity")
    )
    text = say(
        "{zero} of all values are exactly zero; {near}, these included, are near zero (|w| at "
        "most the sparsity threshold).",
        zero=percent(zero),
        near=percent(near),
    )
    # A vector of zeros, such as a new bias, is common.
    tensors = known[known["rank"].notna()]
    worst = tensors.sort_values("zero_fraction", ascending=False, kind="stable").head(3)
    worst = worst[worst["zero_fraction"] >= MANY_ZEROS]
    places = tuple(place_of(row) for _, row in worst.iterrows())
    if places:
        shown = [
            say("{matrix} ({share})", matrix=place.matrix, share=percent(share))
            for place, share in zip(places, worst["zero_fraction"], strict=True)
        ]
        count = int((tensors["zero_fraction"] >= MANY_ZEROS).sum())
        most = say(
            "{matrices} has {share} % or more exact zeros, most {names}."
            if count == 1
            else "{matrices} have {share} % or more exact zeros, most {names}.",
            matrices=plural(count, "matrix", "matrices"),
            share=f"{100 * MANY_ZEROS:.0f}",
            names=listed(shown),
        )
        text = joined(text, most)
    elif (known["zero_fraction"] < FEW_ZEROS).all():
        few = f"{FEW_ZEROS * 100:.0f}"
        text = joined(text, say("No tensor has {share} % or more exact zeros.", share=few))
    yield Finding(
        "zeros",
        "values",
        "notable" if places else "note",
        text,
        places,
        "params.zero_fraction",
        zero,
        None,
        why="Exact zeros come from pruning, from rounding to few values, or from rows that were "
        "never trained.",
        action="See zero_rows and zero_cols: whole rows of zeros are unused units.",
    )


def noise_law(matrices: pd.DataFrame) -> Iterator[Finding]:
    """Whether the spectra follow the law of noise."""
    known = matrices[matrices["mp_ks"].notna()]
    if known.empty:
        return
    rejected = known["mp_rejected"].fillna(False).astype(bool)
    distance = float(known["mp_ks"].median())
    text = say(
        "The Marchenko-Pastur law of noise is rejected for {count} of {total} matrices (median "
        "distance {distance}). For these, spikes and energy beyond the edge describe the shape of "
        "the spectrum, not signal above noise.",
        count=integer(rejected.sum()),
        total=integer(len(known)),
        distance=aligned(distance, 2),
    )
    if len(known) == 1:
        text = say(
            "The Marchenko-Pastur law of noise is rejected for the one matrix (distance "
            "{distance}): spikes and energy beyond the edge describe the shape of its spectrum, "
            "not signal above noise.",
            distance=aligned(distance, 2),
        )
    if not rejected.any():
        text = say(
            "All spectra are as close to the Marchenko-Pastur law as noise (median distance "
            "{distance}).",
            distance=aligned(distance, 2),
        )
    yield Finding("noise_law", "depth", "note", text, (), "matrices.mp_ks", distance)


def power_law(matrices: pd.DataFrame) -> Iterator[Finding]:
    """How many power laws may be cited, and their exponents."""
    fitted = matrices[matrices["alpha"].notna()]
    if fitted.empty:
        return
    passing = passing_alpha(fitted).dropna()
    short_tails = int(fitted["alpha_short_tail"].fillna(False).sum())
    text = say(
        "The power law passes its checks in {count} of {total} matrices. Fits with fewer than 50 "
        "eigenvalues in the tail: {short}.",
        count=integer(len(passing)),
        total=integer(len(fitted)),
        short=integer(short_tails),
    )
    if len(fitted) == 1:
        text = say(
            "The power law passes its checks in the one matrix."
            if len(passing)
            else "The power law does not pass its checks in the one matrix."
        )
    median = float(passing.median()) if len(passing) else None
    shown = say(
        "No exponent α is shown."
        if median is None
        else "The median exponent of those that pass is {median}.",
        median="–" if median is None else aligned(median),
    )
    text = joined(text, shown)
    yield Finding("power_law", "depth", "note", text, (), "matrices.alpha", median)
