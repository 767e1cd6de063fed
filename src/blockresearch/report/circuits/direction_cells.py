"""Functions for the cells of report 25 about directions as tokens: a table, and cards of heads."""

from pathlib import Path
from typing import Any

import pandas as pd

from blockresearch.language.catalogue import spoken
from blockresearch.language.sentence import Sentence, say
from blockresearch.report.notebook_cells import Html, table
from blockresearch.report.wording import fixed, integer, percent
from blockresearch.report.words import escape, words
from blockresearch.tables.io import read_table

LISTED = 20

# Standard deviations above the ends of random directions from which tokens are said to be alike.
COHERENT = 3.0

# Heads with a card, and tokens of a line of it.
CARDS, ON_CARD = 6, 6


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


def head_cards(heads: pd.DataFrame, directions: pd.DataFrame) -> Html | None:
    """A card for each of the heads whose copying is farthest from the null of their layer, or from
    0 if no layer has a null: scores, and the tokens along the first direction of what it matches,
    reads and writes."""
    score = "copying_z" if heads["copying_z"].notna().any() else "copying"
    known = heads[heads[score].notna() & (heads["role"] == "self")]
    order = known[score].astype(float).abs().sort_values(ascending=False, kind="stable")
    cards: list[str] = []
    lines: list[str] = []
    for row in known.loc[order.index].to_dict("records"):
        own = _of_head(directions, row)
        if own.empty or len(cards) == CARDS:
            continue
        title = say(
            "Layer {layer}, head {head}",
            layer=integer(row["layer_index"]),
            head=integer(row["head"]),
        )
        if known["component"].nunique() > 1:
            title = say("{kind} of the {component}", kind=title, component=row["component"])
        scores = say(
            "Copying {copying} (z {z}), QK symmetry {symmetry}.",
            copying=fixed(row["copying"]),
            z=fixed(row["copying_z"]),
            symmetry=fixed(row["qk_symmetry"]),
        )
        sides = "".join(_side(own, circuit, side, text) for circuit, side, text in _SIDES)
        cards.append(f"<li><strong>{words(title)}</strong><p>{words(scores)}</p>{sides}</li>")
        lines.append(f"{spoken(title)}: {spoken(scores)}")
    return Html(f'<ul class="cards">{"".join(cards)}</ul>', "\n".join(lines)) if cards else None


_SIDES = (
    ("QK", "query", say("Attends from")),
    ("QK", "key", say("to")),
    ("OV", "read", say("Reads")),
    ("OV", "write", say("and writes")),
)


def _of_head(directions: pd.DataFrame, head: dict[str, Any]) -> pd.DataFrame:
    """The first directions of a head."""
    return directions[
        (directions["component"] == head["component"])
        & (directions["layer_index"] == head["layer_index"])
        & (directions["head"] == head["head"])
        & (directions["role"] == head["role"])
        & (directions["direction"] == 0)
        & directions["top_tokens"].notna()
    ]


def _side(own: pd.DataFrame, circuit: str, side: str, text: Sentence) -> str:
    """One line of a card: the tokens at both ends, which belong to those of the other side."""
    found = own[(own["circuit"] == circuit) & (own["side"] == side)]
    if found.empty:
        return ""
    row = found.iloc[0]
    ends = [
        " ".join(
            f"<bdi>{escape(token)}</bdi>"
            for token in str(row[f"{end}_tokens"]).split("  ")[:ON_CARD]
        )
        for end in ("top", "bottom")
    ]
    return f"<p>{words(text)} <b>+</b> {ends[0]} <b>−</b> {ends[1]}</p>"
