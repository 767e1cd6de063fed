"""Functions for the cells of report 25, beside those of `notebook_cells`: heads and their graph."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from blockresearch.language.catalogue import spoken
from blockresearch.language.sentence import Sentence, say
from blockresearch.report.figures.head_graph import head_graph
from blockresearch.report.figures.live import chart_html
from blockresearch.report.notebook_cells import Html, lead, table_or_line
from blockresearch.report.wording import fixed, integer, number
from blockresearch.report.words import words
from blockresearch.tables.io import read_table
from blockresearch.text import short

# A head is said to copy (or to suppress) from this score on, if it is as far from the null.
CLEAR_SCORE, CLEAR_Z = 0.5, 3.0

# Standard deviations above the median of all pairs that no model has enough pairs for by chance.
CLEAR_EDGE = 6.0

LISTED = 20


@dataclass(frozen=True)
class Circuits:
    """The tables of circuits of the model whose results are in `folder`."""

    folder: Path

    @cached_property
    def blocks(self) -> pd.DataFrame:
        """The table attention_heads."""
        return read_table(self.folder / "circuits/attention_heads.parquet", "attention_heads")

    @cached_property
    def graph(self) -> pd.DataFrame:
        """The table head_graph, the strongest edges of all first."""
        graph = read_table(self.folder / "circuits/head_graph.parquet", "head_graph")
        return graph.sort_values("z", ascending=False, kind="stable")

    @property
    def heads(self) -> pd.DataFrame:
        """Rows of heads, without those of blocks whose heads are not defined."""
        return self.blocks[self.blocks["missing"].isna()]


def open_circuits(model_dir: str) -> Circuits:
    """The circuits in the folder `model_dir`."""
    return Circuits(Path(model_dir))


def top(circuits: Circuits, *others: Sentence | None) -> Html:
    """The first paragraph: what weights do not show, then what stands out, in `others` as well."""
    caveat = say(
        "These numbers say what each attention head can do by its weights. Whether it does so "
        "depends on inputs, and a name for it needs an experiment."
    )
    found = [_copying(circuits.heads), _composition(circuits.graph), _missing(circuits.blocks)]
    found += others
    return lead(caveat, [text for text in found if text])


def _copying(heads: pd.DataFrame) -> Sentence | None:
    known = heads[heads["copying_z"].notna()]
    if known.empty:
        return None
    clear = known[known["copying_z"].abs() >= CLEAR_Z]
    return say(
        "Heads that write back the directions that they read: {copying} of {heads}; that write "
        "their opposite: {suppressing} (a score beyond {score} and {z} standard deviations from "
        "pairs of other heads).",
        heads=integer(len(known)),
        copying=integer((clear["copying"] >= CLEAR_SCORE).sum()),
        suppressing=integer((clear["copying"] <= -CLEAR_SCORE).sum()),
        score=f"±{CLEAR_SCORE:g}",
        z=f"{CLEAR_Z:g}",
    )


def _composition(graph: pd.DataFrame) -> Sentence | None:
    if graph.empty:
        return None
    edge = graph.iloc[0]
    if edge["z"] - max(edge["median_z"], 0) < CLEAR_EDGE:
        return say(
            "No composition of heads is clearly beyond chance: the largest z of all pairs is {z}.",
            z=number(edge["z"]),
        )
    reader = _name(edge, "to")
    return say(
        "The strongest composition in the graph: head {writer} writes {directions} directions that "
        "head {reader} reads as its {part} (z {z}; the median of all pairs is {median}).",
        writer=_name(edge, "from"),
        directions=fixed(edge["kernel"]),
        reader=say("{kind} of the {component}", kind=reader, component=edge["component"])
        if graph["component"].nunique() > 1
        else reader,
        part=edge["part"],
        z=number(edge["z"]),
        median=fixed(edge["median_z"]),
    )


def _missing(blocks: pd.DataFrame) -> Sentence | None:
    missing = blocks["missing"].dropna()
    if missing.empty:
        return None
    return say(
        "Of {count} attention blocks the heads are not defined: {reason}",
        count=integer(len(missing)),
        reason=short(missing.iloc[0]),
    )


def _name(edge: pd.Series, end: str) -> str:
    """A head as layer.head."""
    return f"{edge[f'{end}_layer']}.{edge[f'{end}_head']}"


def strongest(circuits: Circuits) -> Html | None:
    """All heads, those that differ most from pairs of other heads first."""
    heads = circuits.heads
    order = heads["copying_z"].astype(float).abs().fillna(-1).sort_values(ascending=False)
    return table_or_line(
        heads.loc[order.index],
        {
            "component": ("component", None),
            "role": ("role", None),
            "layer_index": ("layer", integer),
            "head": ("head", integer),
            "copying": ("copying", fixed),
            "copying_z": ("z of copying", fixed),
            "qk_symmetry": ("QK symmetry", fixed),
            "slow_energy": ("slow frequencies", fixed),
            "qk_effective_rank": ("QK effective rank", fixed),
            "ov_effective_rank": ("OV effective rank", fixed),
            "ov_frobenius_norm": ("size of OV", number),
        },
        "Heads, those whose copying is farthest from the null first",
        otherwise="This model has no attention whose heads are defined.",
        limit=LISTED,
    )


def without_null(circuits: Circuits) -> Html | None:
    """Why heads with a copying score have no z; nothing if all have one."""
    heads = circuits.heads
    count = int((heads["copying"].notna() & heads["copying_z"].isna()).sum())
    if not count:
        return None
    text = say(
        "Copying of {count} heads has no z: their layers have too few pairs of heads with "
        "different keys and values to compare with. With one key-value head for all heads there "
        "is none.",
        count=integer(count),
    )
    return Html(f"<p>{words(text)}</p>", spoken(text))


def drawn_graph(circuits: Circuits) -> Html | None:
    """The strongest edges of the graph as a drawing, for the page; nothing without edges."""
    found = head_graph(circuits.graph)
    if found is None:
        return None
    caption = say(
        "The strongest compositions, from the head that writes to the later head that reads; "
        "thicker lines have a larger z. A notebook has their table only."
    )
    return Html(f"<p>{words(caption)}</p>", spoken(caption), chart_html(found, caption))


def compositions(circuits: Circuits) -> Html | None:
    """The edges of the graph, the largest z first."""
    graph = circuits.graph
    names = {
        side: [_name(edge, end) for _, edge in graph.iterrows()]
        for side, end in (("writer", "from"), ("reader", "to"))
    }
    return table_or_line(
        graph.assign(**names),
        {
            "component": ("component", None),
            "from_role": ("role", None),
            "writer": ("writes (layer.head)", None),
            "to_role": ("role", None),
            "reader": ("reads (layer.head)", None),
            "part": ("as", None),
            "kernel": ("shared directions", fixed),
            "z": ("z", fixed),
            "median_z": ("median z of all pairs", fixed),
            "composition": ("composition", fixed),
            "composition_null": ("composition of random heads", fixed),
        },
        "The strongest compositions, largest z first",
        otherwise="No edges: no head writes more of what a later head reads than by chance.",
        limit=LISTED,
    )


def about_edges(circuits: Circuits) -> Html | None:
    """What an edge of the graph means; nothing without any."""
    if circuits.graph.empty:
        return None
    text = say(
        "An edge says that a head writes into directions which a later head reads as its keys or "
        "values. z counts standard deviations above random subspaces, and only a z far above the "
        "median of all pairs is unusual. Shared directions count however weak they are; the "
        "composition weighs them. An edge is a path that exists in the weights, not proof that "
        "inputs use it."
    )
    return Html(f"<p>{words(text)}</p>", spoken(text))


def undefined(circuits: Circuits) -> Html | None:
    """The attention blocks whose heads are not defined, with the reason; nothing without any."""
    missing = circuits.blocks[circuits.blocks["missing"].notna()]
    if missing.empty:
        return None
    return table_or_line(
        missing.assign(missing=missing["missing"].map(short)),
        {
            "component": ("component", None),
            "role": ("role", None),
            "layer_index": ("layer", integer),
            "missing": ("reason", None),
        },
        "Attention blocks whose heads are not defined",
        otherwise="",
        limit=LISTED,
    )
