"""Cards of attention heads in report 25: scores, what a head matches, reads and writes as tokens,
and with which heads it composes.

Some cards stand on the page. Those of all heads are data of the page, and a cell of a map of heads
opens the card of its head: `maps.js` finds them by the id `head-cards`, in the order of the cells.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from blockresearch.language.catalogue import spoken
from blockresearch.language.sentence import Sentence, joined, say
from blockresearch.report.figures.charts import label
from blockresearch.report.figures.head_graph import edge_sentence
from blockresearch.report.figures.head_map import in_cell_order
from blockresearch.report.notebook_cells import Html
from blockresearch.report.pages import packed
from blockresearch.report.wording import fixed, integer, percent
from blockresearch.report.words import escape, words
from blockresearch.text import visible

# Heads with a card on the page, tokens of a line of it, and edges into and out of a head.
CARDS, ON_CARD, EDGES = 6, 6, 2

SIDES = (
    ("QK", "query", say("Attends from")),
    ("QK", "key", say("to")),
    ("OV", "read", say("Reads")),
    ("OV", "write", say("and writes")),
)

# Component, layer, role and number of a head.
Key = tuple[str, int, str, int]


@dataclass(frozen=True)
class Side:
    """The tokens at both ends of one side of the first direction of a circuit; the ends belong to
    those of the other side. `number` is its place in SIDES, and `share` the part of the circuit's
    energy that is in the direction."""

    number: int
    share: float
    top: tuple[str, ...]
    bottom: tuple[str, ...]


@dataclass(frozen=True)
class Card:
    """What a card says about a head."""

    title: Sentence
    scores: Sentence
    sides: tuple[Side, ...]
    edges: tuple[Sentence, ...]


def head_cards(heads: pd.DataFrame, directions: pd.DataFrame, graph: pd.DataFrame) -> Html | None:
    """Cards of the heads with tokens whose copying is farthest from the null of their layer, or
    from 0 if no layer has a null; on the page the data of all cards. Nothing without tokens."""
    rows = in_cell_order(heads)
    made = cards(rows, directions, graph)
    score = "copying_z" if rows["copying_z"].notna().any() else "copying"
    order = rows.loc[rows["role"] == "self", score].dropna().astype(float).abs()
    order = order.sort_values(ascending=False, kind="stable")
    shown = [made[place] for place in order.index if made[place].sides][:CARDS]
    if not shown:
        return None
    about = say(
        "The heads whose copying is farthest from pairs of other heads, or from 0 without such "
        "pairs. On the page the maps above open the card of any head."
    )
    html = f"<p>{words(about)}</p>"
    html += f'<ul class="cards">{"".join(f"<li>{_html(card)}</li>" for card in shown)}</ul>'
    lines = [f"{spoken(card.title)}: {spoken(card.scores)}" for card in shown]
    data = {
        "sides": [label(name) for *_, name in SIDES],
        "cards": [_data(card) for card in made],
    }
    live = f'{html}<script type="application/octet-stream" id="head-cards">{packed(data)}</script>'
    return Html(html, "\n".join([spoken(about), *lines]), live)


def cards(rows: pd.DataFrame, directions: pd.DataFrame, graph: pd.DataFrame) -> list[Card]:
    """The card of each of `rows` of attention_heads; `graph` has the strongest edges first."""
    tokens = _tokens(directions)
    into, out = _edges(graph, "to"), _edges(graph, "from")
    several = rows["component"].nunique() > 1
    made = []
    for row in rows.to_dict("records"):
        key = _key(row)
        title = say(
            "Layer {layer}, head {head}", layer=integer(row["layer_index"]), head=integer(key[3])
        )
        if several:
            title = say("{kind} of the {component}", kind=title, component=row["component"])
        scores = say(
            "Copying {copying} (z {z}), QK symmetry {symmetry}.",
            copying=fixed(row["copying"]),
            z=fixed(row["copying_z"]),
            symmetry=fixed(row["qk_symmetry"]),
        )
        if tokens[key]:
            scores = joined(scores, _shares(tokens[key]))
        edges = (*into[key][:EDGES], *out[key][:EDGES])
        made.append(Card(title, scores, tuple(tokens[key]), edges))
    return made


def _key(row: Mapping[str, Any]) -> Key:
    return row["component"], int(row["layer_index"]), row["role"], int(row["head"])


def _shares(sides: Iterable[Side]) -> Sentence:
    """The energy of the first direction of each circuit."""
    shares = {SIDES[side.number][0]: percent(side.share) for side in sides}
    return say(
        "The first directions of QK and OV have {qk} and {ov} of the energy.",
        qk=shares.get("QK", "–"),
        ov=shares.get("OV", "–"),
    )


def _tokens(directions: pd.DataFrame) -> dict[Key, list[Side]]:
    """The sides of the first directions of each head, in the order of SIDES."""
    found: dict[Key, list[Side]] = defaultdict(list)
    known = directions[
        (directions["direction"] == 0)
        & directions["head"].notna()
        & directions["top_tokens"].notna()
    ]
    for number, (circuit, side, _) in enumerate(SIDES):
        own = known[(known["circuit"] == circuit) & (known["side"] == side)]
        for row in own.to_dict("records"):
            top, bottom = (
                tuple(str(row[f"{end}_tokens"]).split("  ")[:ON_CARD]) for end in ("top", "bottom")
            )
            found[_key(row)].append(Side(number, row["energy_share"], top, bottom))
    return found


def _edges(graph: pd.DataFrame, end: str) -> dict[Key, tuple[Sentence, ...]]:
    """The edges of each head at this `end` of them, as sentences."""
    found: dict[Key, tuple[Sentence, ...]] = defaultdict(tuple)
    for row in graph.to_dict("records"):
        place = (row[f"{end}_{part}"] for part in ("layer", "role", "head"))
        key = _key(dict(zip(("layer_index", "role", "head"), place, strict=True)) | row)
        found[key] += (edge_sentence(row),)
    return found


def _html(card: Card) -> str:
    parts = [f"<strong>{words(card.title)}</strong>", f"<p>{words(card.scores)}</p>"]
    for side in card.sides:
        ends = (" ".join(f"<bdi>{escape(token)}</bdi>" for token in end) for end in _ends(side))
        plus, minus = ends
        parts.append(f"<p>{words(SIDES[side.number][2])} <b>+</b> {plus} <b>−</b> {minus}</p>")
    parts += [f"<p>{words(edge)}</p>" for edge in card.edges]
    return "".join(parts)


def _data(card: Card) -> dict[str, Any]:
    """A card as the page's script reads it, without its title."""
    return {
        "scores": label(card.scores),
        "sides": [
            [side.number, *([visible(token) for token in end] for end in _ends(side))]
            for side in card.sides
        ],
        "edges": [label(edge) for edge in card.edges],
    }


def _ends(side: Side) -> Iterable[tuple[str, ...]]:
    return side.top, side.bottom
