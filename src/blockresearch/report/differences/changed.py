"""One changed matrix or tensor of a comparison, as the texts of a row of a table."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import pandas as pd

from blockresearch.language.sentence import Sentence, joined, say
from blockresearch.report.differences.heat import relative
from blockresearch.report.wording import aligned, integer, number, percent
from blockresearch.text import short

# How the elements of a matrix lie to those of the base if they do not agree with them in place.
RELATIONS = {
    "transposed": say("transposed"),
    "rows_interleaved": say("rows in the other rotary order"),
    "rows_permuted": say("rows in another order"),
    "columns_permuted": say("columns in another order"),
    "expert_permuted": say("another expert"),
    "negated": say("opposite sign"),
    "rotated": say("rotated"),
    "unrelated": say("nothing in common"),
}


def changed_texts(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the table differences as texts; `link` is the tensor in an address of the base's
    page."""
    return {
        "name": short(_named(row)),
        "link": quote(str(row["param_name"])),
        "change": relative(float(row["relative_change"])),
        "codes": percent(row["changed"]),
        "units": text_of(row["ulp_median"], integer),
        "rank": text_of(row["delta_storage_rank"], integer),
        "largest": _largest(row),
        "what": what_changed(row),
    }


def _named(row: Mapping[str, Any]) -> str:
    part = "" if pd.isna(row["slice"]) else f" {row['slice']}"
    return f"{row['param_name']}{part}"


def text_of(value: Any, form: Callable[[Any], str]) -> str:
    """A value as `form` writes it, or a dash."""
    return "–" if pd.isna(value) else form(value)


def _largest(row: Mapping[str, Any]) -> str:
    if pd.isna(row["max_change"]):
        return "–"
    place = ""
    if not pd.isna(row["max_change_row"]):
        place = f" [{row['max_change_row']}, {row['max_change_col']}]"
    return number(row["max_change"]) + place


def what_changed(row: Mapping[str, Any]) -> Sentence:
    """What changed in a matched pair, from its row of the table differences."""
    if row["delta_norm"] == 0:
        return say("equal in every element")
    relation, cosine = row.get("relation"), row["cosine"]
    if isinstance(relation, str):
        # The rank of such a Δ says nothing: it is the difference of unlike elements.
        return say(
            "{relation}; cosine {cosine}",
            relation=RELATIONS.get(relation, relation),
            cosine=aligned(cosine),
        )
    facts = []
    smaller = min(int(row["rows"]), int(row["cols"]))
    rank_of, low_bit = row["delta_storage_rank"], row["grid_format"]
    if not pd.isna(low_bit):
        ratio = aligned(row["sqnr_db"])
        facts.append(say("rounded to {format}, {decibel} dB", format=low_bit, decibel=ratio))
    elif not pd.isna(rank_of) and 0 < rank_of <= smaller / 4:
        energy = row["delta_energy_8"]
        told = "" if pd.isna(energy) else percent(energy)
        facts.append(
            say("rank {rank} of {smaller}", rank=integer(rank_of), smaller=integer(smaller))
            if not told
            else say(
                "rank {rank} of {smaller}, {energy} of its energy in 8 directions",
                rank=integer(rank_of),
                smaller=integer(smaller),
                energy=told,
            )
        )
    elif not pd.isna(rank_of) and rank_of == 0:
        facts.append(say("no larger than rounding"))
    elif not pd.isna(row["delta_spikes"]) and row["delta_spikes"] == 0:
        facts.append(say("no direction beyond noise"))
    elif not pd.isna(rank_of) and smaller > 1:
        facts.append(say("full rank") if rank_of >= smaller else say("broad"))
    if not pd.isna(row["compared_as"]) and not pd.isna(row["ulp_median"]) and row["changed"] < 0.3:
        facts.append(say("sparse: {share} of the codes", share=percent(row["changed"])))
    if pd.isna(low_bit) and pd.isna(row["compared_as"]) and not pd.isna(row["sqnr_db"]):
        facts.append(say("{decibel} dB as a copy", decibel=aligned(row["sqnr_db"])))
    if not pd.isna(cosine) and cosine < 0.9:
        facts.append(say("cosine {cosine}", cosine=aligned(cosine)))
    return joined(*_separated(facts)) if facts else say("values changed")


def _separated(facts: Sequence[Sentence]) -> list[Sentence]:
    return [*(say("{fact};", fact=fact) for fact in facts[:-1]), facts[-1]]
