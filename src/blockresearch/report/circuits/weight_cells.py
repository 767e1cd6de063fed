"""Functions for the cells of report 25 about single weights and heavy tails of spectra."""

from pathlib import Path

import pandas as pd

from blockresearch.language.catalogue import spoken
from blockresearch.language.sentence import joined, say
from blockresearch.report.figures.layer_map import Metric, in_map_order, labels, map_of
from blockresearch.report.figures.live import chart_html
from blockresearch.report.figures.static_map import live_map
from blockresearch.report.notebook_cells import Html, table, table_or_line
from blockresearch.report.wording import fixed, integer, number, percent
from blockresearch.report.words import words
from blockresearch.tables.io import read_table
from blockresearch.tables.published import published_of

LISTED = 20

# From this probability on, by chance, a channel is said to recur.
LOG10_P = -3.0

METRICS = (
    Metric("alpha_square", say("exponent of square windows"), "α", "difference"),
    Metric("below_null", say("null minus exponent"), "", "difference"),
)


def read_weights(model_dir: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables outliers and heavy_tails of the model in the folder `model_dir`."""
    folder = Path(model_dir) / "circuits"
    outliers = read_table(folder / "outliers.parquet", "outliers")
    return outliers, read_table(folder / "heavy_tails.parquet", "heavy_tails")


def largest(outliers: pd.DataFrame) -> Html | None:
    """The outliers, candidates for super weights first, then the largest in their matrix."""
    order = ["is_super_weight", "over_normal"]
    rows = outliers.sort_values(order, ascending=False, kind="stable")
    answers = [say("yes") if each else say("no") for each in rows["is_super_weight"]]
    return table_or_line(
        rows.assign(is_super_weight=answers),
        {
            "param_name": ("tensor", None),
            "slice": ("slice", None),
            "row": ("row", integer),
            "col": ("column", integer),
            "value": ("weight", number),
            "over_rms": ("|w| / rms", fixed),
            "over_normal": ("over the largest of a normal matrix", fixed),
            "in_row": ("of 16 in its row", integer),
            "in_col": ("of 16 in its column", integer),
            "channel": ("channel", integer),
            "is_super_weight": ("super-weight candidate", None),
        },
        "Weights far beyond a normal law, candidates for super weights first",
        otherwise="No weight is 3 times as large as the largest of a normal matrix.",
        limit=LISTED,
    )


def published(outliers: pd.DataFrame, model_dir: str) -> Html | None:
    """Whether the published super weights of the model are among the candidates; nothing for models
    without any."""
    known = published_of(Path(model_dir).name)
    if known is None:
        return None
    name, found = known
    rows = outliers[outliers["is_super_weight"].fillna(False).astype(bool)]
    places = zip(rows["layer_index"], rows["row"], rows["col"], strict=True)
    candidates = {tuple(map(int, place)) for place in places}
    missed = [place for place in found.places if place not in candidates]
    text = say(
        "Of {count} published super weights of {name} (Yu and others 2024) {found} are among the "
        "candidates.",
        count=integer(len(found.places)),
        name=name,
        found=integer(len(found.places) - len(missed)),
    )
    if missed:
        listed = "; ".join(", ".join(map(str, place)) for place in missed)
        text = joined(text, say("Not among them, as layer, row, column: {places}.", places=listed))
    return Html(f"<p>{words(text)}</p>", spoken(text))


def read_amplifiers(model_dir: str) -> pd.DataFrame:
    """The table amplifiers of the model in the folder `model_dir`."""
    return read_table(Path(model_dir) / "circuits/amplifiers.parquet", "amplifiers")


def amplifiers(found: pd.DataFrame) -> Html | None:
    """The channels that MLPs can add most to, compared with the others of their layer first;
    nothing without dense MLPs."""
    if found.empty:
        return None
    return table(
        found.sort_values("over_median", ascending=False, kind="stable"),
        {
            "component": ("component", None),
            "layer_index": ("layer", integer),
            "channel": ("channel", integer),
            "over_median": ("gain over the median channel", fixed),
            "amplification": ("amplification", number),
            "neuron": ("neuron", integer),
            "neuron_share": ("share of the neuron", percent),
            "neuron_gain": ("gain of its gate and up", number),
            "neuron_weight": ("its weight", number),
        },
        "The channels that the MLP of each layer can add most to, the most unusual first",
        LISTED,
    )


def about_amplifiers(found: pd.DataFrame) -> Html | None:
    """What an amplifier is; nothing without any."""
    if found.empty:
        return None
    text = say(
        "A neuron whose gate and up look for the same direction squares it, and adds the square to "
        "a channel. Layers in which such a neuron dominates a channel can make massive activations "
        "or remove them. Whether inputs reach that direction, only a run shows."
    )
    return Html(f"<p>{words(text)}</p>", spoken(text))


def channels(outliers: pd.DataFrame) -> Html | None:
    """The channels of the residual stream that have outliers in more layers than by chance."""
    found = outliers[outliers["channel_log10_p"] <= LOG10_P]
    if found.empty:
        return None
    rows = found.groupby(["component", "channel"], as_index=False).agg(
        layers=("channel_layers", "max"),
        log10_p=("channel_log10_p", "min"),
        weights=("value", "size"),
        largest=("over_rms", "max"),
    )
    return table(
        rows.sort_values("log10_p", kind="stable"),
        {
            "component": ("component", None),
            "channel": ("channel", integer),
            "layers": ("layers with outliers", integer),
            "log10_p": ("log₁₀ p", fixed),
            "weights": ("outliers", integer),
            "largest": ("largest |w| / rms", fixed),
        },
        "Channels of the residual stream with outliers in many layers",
        LISTED,
    )


def tails(heavy_tails: pd.DataFrame) -> Html | None:
    """By kind of matrix, exponents that compare between shapes, beside their null; None if there
    are none."""
    known = heavy_tails[heavy_tails["alpha_square"].notna()]
    if known.empty:
        return None
    rows = known.assign(
        kind=labels(known),
        below=known["alpha_square"] < known["alpha_permuted"],
        fits=(known["alpha_p"] >= 0.1).where(known["alpha_p"].notna()).astype(float),
    )
    groups = rows.groupby(["component", "kind"], sort=False, as_index=False).agg(
        matrices=("alpha_square", "size"),
        median=("alpha_square", "median"),
        null=("alpha_permuted", "median"),
        below=("below", "mean"),
        fits=("fits", "mean"),
    )
    return table(
        groups.sort_values(["component", "median"], kind="stable"),
        {
            "component": ("component", None),
            "kind": ("kind of matrix", None),
            "matrices": ("matrices", integer),
            "median": ("exponent (median)", fixed),
            "null": ("null (median)", fixed),
            "below": ("below their null", percent),
            "fits": ("power law not rejected", percent),
        },
        "Exponents of square windows by kind of matrix, heaviest tails first",
        LISTED,
    )


def about_tails(heavy_tails: pd.DataFrame) -> Html | None:
    """What exponents of square windows mean; nothing without any."""
    if heavy_tails["alpha_square"].isna().all():
        return None
    text = say(
        "Square windows make exponents of matrices of different shapes comparable: noise of any "
        "shape has 2.1. A smaller exponent is a heavier tail, and what lies below the null of "
        "permuted elements comes from what rows and columns have in common."
    )
    text = joined(text, _sample(heavy_tails))
    return Html(f"<p>{words(text)}</p>", spoken(text))


def _sample(heavy_tails: pd.DataFrame) -> str:
    """How many experts have rows; empty if all have."""
    experts = heavy_tails[heavy_tails["layer_experts"].notna()]
    measured = experts.groupby(["component", "layer_index"])["expert_index"].nunique()
    total = experts["layer_experts"].max()
    if experts.empty or measured.max() >= total:
        return ""
    return say(
        "Of {total} routed experts of a layer {measured} were measured, at evenly spaced numbers.",
        total=integer(total),
        measured=integer(measured.max()),
    )


def tail_map(heavy_tails: pd.DataFrame) -> Html | None:
    """A map of the exponents by layer and kind of matrix for the page; None without any."""
    rows = heavy_tails.assign(
        below_null=heavy_tails["alpha_permuted"] - heavy_tails["alpha_square"],
    )
    drawn = map_of(in_map_order(rows), METRICS) if len(rows) else None
    keys = [each.key for each in METRICS]
    found = live_map({**drawn, "color": "value"}, keys) if drawn else None
    if found is None:
        return None
    caption = say("Exponents by layer and kind of matrix; a notebook has their table only.")
    return Html(f"<p>{words(caption)}</p>", spoken(caption), chart_html(found, caption))
