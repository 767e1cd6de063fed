"""The strongest compositions of heads as a drawing: layers from left to right, heads from top to
bottom, a line from the head that writes to the head that reads."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from blockresearch.language.sentence import Sentence, say
from blockresearch.report.figures.drawn_text import drawn
from blockresearch.report.figures.live import Drawing
from blockresearch.report.wording import fixed, number
from blockresearch.report.words import escape, plain

# Lines that are drawn, and the part of the reader's input by its color.
EDGES = 40

COLORS = {"key": "#0072b2", "value": "#d55e00", "query": "#009e73"}

WIDTH, HEIGHT, LEFT, TOP = 900, 22, 64, 30


def head_graph(edges: pd.DataFrame) -> Drawing | None:
    """The edges with the largest z of the component that has most of them, from the table
    head_graph; None without edges."""
    if edges.empty:
        return None
    main = edges["component"].value_counts().index[0]
    shown = edges[edges["component"] == main].nlargest(EDGES, "z")
    heads = sorted({*map(int, shown["from_head"]), *map(int, shown["to_head"])})
    layers = sorted({*map(int, shown["from_layer"]), *map(int, shown["to_layer"])})
    first, last = layers[0], layers[-1]
    step = (WIDTH - LEFT - 30) / max(last - first, 1)
    bottom = TOP + HEIGHT * (len(heads) - 1)

    def place(layer: int, head: int) -> tuple[float, float]:
        return LEFT + 10 + step * (layer - first), TOP + HEIGHT * heads.index(head)

    parts = [drawn(say("head"), 'x="0" y="12"')]
    parts += [
        f'<text x="{LEFT - 12}" y="{TOP + HEIGHT * at + 4}" text-anchor="end">{head}</text>'
        for at, head in enumerate(heads)
    ]
    parts += [
        f'<text x="{place(layer, heads[0])[0]:.0f}" y="{bottom + 30}" text-anchor="middle">'
        f"{layer}</text>"
        for layer in layers
    ]
    below = f'x="{WIDTH / 2}" y="{bottom + 48}" text-anchor="middle"'
    parts.append(drawn(say("layer"), below))
    if edges["component"].nunique() > 1:
        parts.append(f'<text x="{WIDTH}" y="12" text-anchor="end">{escape(main)}</text>')
    largest, nodes = float(shown["z"].max()), set()
    for row in shown.iloc[::-1].to_dict("records"):
        start = int(row["from_layer"]), int(row["from_head"])
        end = int(row["to_layer"]), int(row["to_head"])
        nodes |= {start, end}
        title = edge_sentence(row)
        (x1, y1), (x2, y2) = place(*start), place(*end)
        thick = 0.8 + 2.2 * float(row["z"]) / largest
        parts.append(
            f'<line x1="{x1:.1f}" y1="{y1}" x2="{x2:.1f}" y2="{y2}" stroke-width="{thick:.1f}" '
            f'stroke="{COLORS.get(row["part"], "#777777")}" stroke-opacity="0.75">'
            f"<title>{_text(title)}</title></line>"
        )
    for layer, head in sorted(nodes):
        x, y = place(layer, head)
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y}" r="4" fill="currentColor">'
            f"<title>{layer}.{head}</title></circle>"
        )
    legend = "".join(
        f'<rect x="{LEFT + 40 + 110 * at}" y="2" width="11" height="11" fill="{COLORS[part]}"/>'
        f'<text x="{LEFT + 56 + 110 * at}" y="12">{escape(part)}</text>'
        for at, part in enumerate(sorted(set(shown["part"]) & set(COLORS)))
    )
    name = _text(say("Strongest compositions of heads"))
    return Drawing(
        f'<div class="scroll" tabindex="0"><svg role="img" aria-label="{name}" '
        f'viewBox="0 0 {WIDTH} {bottom + 56}" width="{WIDTH}" height="{bottom + 56}" '
        f'font-size="11" font-family="system-ui, sans-serif"><g fill="currentColor">'
        f"{legend}{''.join(parts)}</g></svg></div>"
    )


def edge_sentence(row: Mapping[str, Any]) -> Sentence:
    """A row of the table head_graph as a clause."""
    return say(
        "{writer} writes {directions} directions that {reader} reads as its {part}, z {z}",
        writer=f"{int(row['from_layer'])}.{int(row['from_head'])}",
        reader=f"{int(row['to_layer'])}.{int(row['to_head'])}",
        directions=fixed(row["kernel"]),
        part=row["part"],
        z=number(row["z"]),
    )


def _text(text: str) -> str:
    """A title in an SVG, which cannot be switched."""
    return escape(plain(text))
