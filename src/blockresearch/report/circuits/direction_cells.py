"""Functions for the cells of report 25 about directions as tokens."""

from pathlib import Path

import pandas as pd

from blockresearch.language.catalogue import spoken
from blockresearch.language.sentence import say
from blockresearch.report.notebook_cells import Html, table
from blockresearch.report.wording import fixed, integer, percent
from blockresearch.report.words import words
from blockresearch.tables.io import read_table

LISTED = 20

# Standard deviations above the ends of random directions from which tokens are said to be alike.
COHERENT = 3.0


def read_directions(model_dir: str) -> pd.DataFrame:
    """The table directions of the model in the folder `model_dir`."""
    return read_table(Path(model_dir) / "circuits/directions.parquet", "directions")


def about(directions: pd.DataFrame) -> Html | None:
    """How tokens stand for directions; nothing without directions."""
    if directions.empty:
        return None
    text = say(
        "What a head reads is seen through the token embedding, and what it writes through the "
        "output layer. Signs belong together: a head that attends to tokens of the + end of what "
        "it reads writes the + end of what it writes. In many layers a direction separates "
        "frequent from rare tokens. Later layers may change what is written."
    )
    return Html(f"<p>{words(text)}</p>", spoken(text))


def coherent(directions: pd.DataFrame) -> Html | None:
    """The directions with tokens that are alike at an end, the largest share of energy first."""
    if directions.empty:
        return None
    both = directions[["top_coherence_z", "bottom_coherence_z"]].astype(float)
    found = directions.assign(z=both.max(axis=1))
    found = found[found["z"] >= COHERENT].sort_values(
        "energy_share", ascending=False, kind="stable"
    )
    if found.empty:
        return None
    return table(
        found,
        {
            "circuit": ("circuit", None),
            "layer_index": ("layer", integer),
            "head": ("head", integer),
            "side": ("side", None),
            "energy_share": ("share of energy", percent),
            "top_tokens": ("highest tokens", None),
            "bottom_tokens": ("lowest tokens", None),
            "z": ("z of coherence", fixed),
        },
        "Directions whose tokens are alike, the largest share of energy first",
        LISTED,
    )
