"""Functions for the cells of report 25 about routed experts; they show nothing without any."""

from pathlib import Path

import pandas as pd

from blockresearch.language.catalogue import spoken
from blockresearch.language.sentence import Sentence, say
from blockresearch.report.notebook_cells import Html, table
from blockresearch.report.wording import fixed, integer, number, percent
from blockresearch.report.words import words
from blockresearch.tables.io import read_table

LISTED = 20

# What the column `candidate` says, as a sentence that is translated.
REASONS = {
    str(text): text
    for text in (
        say("all weights are zero"),
        say("router row is zero"),
        say("weights far smaller than the others'"),
        say("router row far shorter than the others"),
        say("router bias far below the others"),
    )
}


def read_experts(model_dir: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables experts and expert_pairs of the model in the folder `model_dir`."""
    folder = Path(model_dir) / "circuits"
    experts = read_table(folder / "experts.parquet", "experts")
    return experts, read_table(folder / "expert_pairs.parquet", "expert_pairs")


def summary(experts: pd.DataFrame, pairs: pd.DataFrame) -> Html | None:
    """What experts have in common, and how many of them look dead or twice there."""
    if experts.empty:
        return None
    sentences = [
        say(
            "{experts} routed experts in {layers} layers. The median similarity of two experts of "
            "a layer is {median}: experts that were trained apart have about 0, and a low number "
            "is normal.",
            experts=integer(len(experts)),
            layers=integer(experts.groupby(["component", "layer_index"]).ngroups),
            median=fixed(pairs["median_similarity"].median()),
        ),
        unusual(experts, pairs)
        or say("No two experts are duplicates, and none looks as if it were never chosen."),
        say(
            "Which experts are chosen depends on inputs: weights give candidates, and a count "
            "over texts decides."
        ),
    ]
    html = "".join(f"<p>{words(each)}</p>" for each in sentences)
    return Html(html, "\n\n".join(map(spoken, sentences)))


def unusual(experts: pd.DataFrame, pairs: pd.DataFrame) -> Sentence | None:
    """Duplicates and experts that look dead; nothing without any."""
    duplicates, dead = pairs["is_duplicate"].fillna(False).sum(), experts["candidate"].notna().sum()
    if not duplicates and not dead:
        return None
    return say(
        "Pairs that are duplicates, in any order of their neurons: {duplicates}. Experts that "
        "look as if they did nothing or were never chosen: {candidates}.",
        duplicates=integer(duplicates),
        candidates=integer(dead),
    )


def candidates(experts: pd.DataFrame) -> Html | None:
    """The experts that look dead, with what points to it; nothing without any."""
    found = experts[experts["candidate"].notna()]
    if found.empty:
        return None
    return table(
        found.assign(candidate=found["candidate"].map(REASONS)),
        {
            "component": ("component", None),
            "layer_index": ("layer", integer),
            "expert_index": ("expert", integer),
            "candidate": ("what points to it", None),
            "expert_norm": ("size", number),
            "expert_norm_z": ("z of size", fixed),
            "router_norm": ("length of router row", number),
            "router_norm_z": ("z of length", fixed),
            "router_bias_z": ("z of bias", fixed),
        },
        "Experts that may do nothing, or may never be chosen",
        LISTED,
    )


def most_similar(pairs: pd.DataFrame) -> Html | None:
    """The most similar pairs of all layers, with their neurons aligned; nothing without any."""
    if pairs.empty:
        return None
    order = pairs["similarity"].sort_values(ascending=False, kind="stable").index
    return table(
        pairs.loc[order],
        {
            "component": ("component", None),
            "layer_index": ("layer", integer),
            "expert_index": ("expert", integer),
            "other_index": ("other expert", integer),
            "similarity": ("similarity", fixed),
            "similarity_z": ("z", fixed),
            "median_similarity": ("median of the layer", fixed),
            "aligned_cosine": ("aligned cosine", fixed),
            "typical_aligned_cosine": ("usual aligned cosine", fixed),
            "moved_neurons": ("neurons moved", percent),
        },
        "The most similar pairs of experts",
        LISTED,
    )


def routing(experts: pd.DataFrame) -> Html | None:
    """By layer, how far the router looks where the gates of its experts read."""
    known = experts[experts["router_gain"].notna()]
    if known.empty:
        return None
    groups = known.groupby(["component", "layer_index"])
    rows = groups.agg(
        experts=("expert_index", "size"),
        gain=("router_gain", "median"),
        z=("router_gain_z", "median"),
        cosine=("router_cosine", "max"),
        shortest=("router_norm", "min"),
        longest=("router_norm", "max"),
        shared=("shared_similarity", "median"),
    )
    shared = {"shared": ("similarity to the shared expert", fixed)}
    return table(
        rows.reset_index(),
        {
            "component": ("component", None),
            "layer_index": ("layer", integer),
            "experts": ("experts", integer),
            "gain": ("router gain (median)", fixed),
            "z": ("its z (median)", fixed),
            "cosine": ("largest cosine of router rows", fixed),
            "shortest": ("shortest row", number),
            "longest": ("longest row", number),
            **(shared if rows["shared"].notna().any() else {}),
        },
        "Routers by layer",
        LISTED,
    )
