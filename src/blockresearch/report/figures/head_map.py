"""Maps of layers and attention heads: colors show the values themselves."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from blockresearch.language.sentence import Sentence, say
from blockresearch.report.blocks import WORDS
from blockresearch.report.figures.layer_map import Metric, map_of
from blockresearch.report.figures.live import Drawing
from blockresearch.report.figures.static_map import live_map
from blockresearch.report.wording import by_component

METRICS = (
    Metric("copying", say("copying score"), say("1: writes what it reads"), "difference", 1.0),
    Metric("copying_z", say("z of the copying score"), "", "difference"),
    Metric("qk_symmetry", say("QK symmetry"), say("1: symmetric"), "difference", 1.0),
    Metric("qk_share", say("QK effective rank"), say("share of the size of a head"), "difference"),
    Metric("ov_share", say("OV effective rank"), say("share of the size of a head"), "difference"),
    Metric("slow_energy", say("slow frequencies"), say("share of the scores"), "difference"),
)


def head_map(heads: pd.DataFrame, keys: Sequence[str]) -> Drawing | None:
    """An interactive map of some metrics of the table attention_heads; None without values. Its
    cells open the cards of heads if the page has them."""
    drawn = heads_by_layer(heads)
    return live_map(drawn, keys) if drawn else None


def heads_by_layer(heads: pd.DataFrame) -> dict[str, Any] | None:
    """What `live_map` draws, as `map_of`, a column for each head; self and cross attention have
    columns of different names if a model has both."""
    several = heads["role"].nunique() > 1
    number = heads["head"].astype("Int64").astype(str)
    rows = in_cell_order(
        heads.assign(
            label=heads["role"] + " " + number if several else number,
            qk_share=heads["qk_effective_rank"] / heads["head_size"],
            ov_share=heads["ov_effective_rank"] / heads["head_size"],
        )
    )
    drawn = map_of(rows, METRICS, head_name)
    return {**drawn, "color": "value", "across": say("head"), "cards": True} if drawn else None


def in_cell_order(heads: pd.DataFrame) -> pd.DataFrame:
    """The table attention_heads in the order of the cells of its map."""
    components = by_component(heads["component"])
    places = heads.assign(place=heads["component"].map(components.index))
    order = places.sort_values(["place", "role", "head", "layer_index"], kind="stable").index
    return heads.loc[order].reset_index(drop=True)


def head_name(label: str) -> Sentence:
    """The name of a head: its number, perhaps with the kind of attention in front."""
    role, _, number = label.rpartition(" ")
    if role:
        return say("{role} head {number}", role=WORDS.get(role, role), number=number)
    return say("head {number}", number=number)
