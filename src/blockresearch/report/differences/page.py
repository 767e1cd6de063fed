"""The page of a comparison: what kind of change it is, where, how large, and what is missing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from blockresearch.language.sentence import Sentence, say
from blockresearch.report.citation import ending
from blockresearch.report.differences.adapter import FILES, adapter_sentence, not_kept
from blockresearch.report.differences.changed import changed_texts, text_of
from blockresearch.report.differences.depth import profile_drawing, profile_rows
from blockresearch.report.differences.heat import Heat, heat_maps, overlap, rank, relative
from blockresearch.report.differences.pair import ALONE, PairResults, compared_shares
from blockresearch.report.figures import scripts
from blockresearch.report.figures.change_map import change_map
from blockresearch.report.pages import render
from blockresearch.report.wording import integer, percent, shape, size
from blockresearch.text import short, visible

# Rows of the tables on the page; the files have all.
MOST_CHANGED, MOST_HEADS, MOST_TOKENS, MOST_ALONE = 40, 12, 60, 60

# If less of a side was compared, its layers are compared by curves over depth only.
PARTIAL = 0.5

# Leading directions that agree but for this share are not told apart on the map.
LEAST_TURNED = 0.01

# What the status of a pair means, in the order of the page.
STATUSES = {
    "matched": say("same name, or the same place in the model, and the same shape"),
    "renamed": say("another name"),
    "moved": say("same bytes at another place"),
    "copied": say("same bytes once more"),
    "resized": say("another number of rows (vocabulary); compared by token"),
    "reshaped": say("same elements in another shape"),
    "untied": say("stored separately, while the base uses its embedding"),
    "tied": say("replaced by the embedding"),
    "only_base": say("only in the base: not compared"),
    "only_other": say("only on the other side: not compared"),
}

DOWNLOADS = {
    "differences.csv": say("one row per matched matrix, most columns are not on this page (CSV)"),
    "differences.parquet": say("the same (Parquet), with the singular values of Δ"),
    "pairs.csv": say("every tensor of both sides, matched or not (CSV)"),
    "pairs.parquet": say("the same (Parquet)"),
    "subspaces.csv": say("agreement of the leading directions of each changed matrix (CSV)"),
    "subspaces.parquet": say("the same (Parquet)"),
    "heads.csv": say("what changed in each attention head (CSV)"),
    "heads.parquet": say("the same (Parquet)"),
    "lineage.csv": say("whether both sides can have started independently, by layer (CSV)"),
    "lineage.parquet": say("the same (Parquet)"),
    "profiles.csv": say("spread of the attention weights over depth on both sides (CSV)"),
    "profiles.parquet": say("the same (Parquet)"),
    "mixture.csv": say("weights of a merge, if its parents were named (CSV)"),
    "mixture.parquet": say("the same (Parquet)"),
    "vocabulary.csv": say("tokens that were added, removed or renumbered (CSV)"),
    "vocabulary.parquet": say("the same (Parquet)"),
    "autopsy.json": say("the sentences above with their rules, numbers and thresholds"),
    "plans/adapter_plan.json": say("the plan of an adapter: ranks, errors, what it cannot keep"),
    "plans/repair_plan.json": say(
        "the plan of a repair: directions of Δ beyond noise and rounding"
    ),
    "plans/repaired_model.json": say("the repaired model: what was written"),
    "reports/40_compare.ipynb": say("notebook of the report"),
}


def comparison_page(folder: Path) -> str:
    """The page of the comparison whose results are in `folder`, as HTML."""
    found = PairResults(folder)
    other, base = found.names
    drawn = change_map(found.differences, found.subspaces, f"../../{quote(base)}/index.html")
    return render(
        "comparison.html.j2",
        *(scripts.BASE + scripts.REPORT_LAYERS if drawn else ()),
        style_names=scripts.STYLES,
        title=say("{other} compared with {base}", other=visible(other), base=visible(base)),
        other=other,
        base=base,
        sides=_sides(found.facts),
        headline=found.headline(),
        is_partial=min(compared_shares(found.pairs)) < PARTIAL,
        verdicts=[verdict["text"] for verdict in found.verdicts[1:]],
        live_map=drawn.html if drawn else "",
        maps=_maps(found.differences, found.subspaces),
        changed=_changed(found.differences),
        heads=_heads(found.heads),
        number_of_heads=len(found.heads),
        matrices=int(found.differences["delta_spectral_norm"].notna().sum()),
        unchanged=int((found.differences["delta_norm"] == 0).sum()),
        pairs=len(found.differences),
        statuses=_statuses(found.pairs),
        alone=_alone(found.pairs),
        number_alone=int(found.pairs["status"].isin(ALONE).sum()),
        profiles=profile_rows(found.profiles),
        profile_drawing=profile_drawing(found.profiles),
        vocabulary=_vocabulary(found.vocabulary),
        resized=_resized(found.pairs),
        tokens=found.vocabulary.head(MOST_TOKENS).to_dict("records"),
        number_of_tokens=len(found.vocabulary),
        adapter=found.adapter and adapter_sentence(found.adapter),
        not_kept=not_kept(found.adapter or {}),
        adapter_files=[FILES + name for name in (found.adapter or {}).get("files", ())],
        downloads=[
            {"path": path, "text": text, "size": size((folder / path).stat().st_size)}
            for path, text in DOWNLOADS.items()
            if (folder / path).is_file()
        ],
        integer=integer,
        ending=ending(found.facts),
    )


def _sides(facts: Mapping[str, str]) -> list[tuple[Sentence, str, str, str]]:
    """Both sides: what it is, folder of its results, version, date of the version."""
    return [
        (
            label,
            facts[f"{prefix}model"],
            facts.get(f"{prefix}commit", "")[:10],
            facts.get(f"{prefix}commit_date", "")[:10],
        )
        for label, prefix in ((say("base"), "base_"), (say("other side"), ""))
    ]


def _maps(
    differences: pd.DataFrame, subspaces: pd.DataFrame
) -> list[tuple[Sentence, Sentence, list[Heat]]]:
    """The maps of the page: title, explanation, and a map for each component."""
    maps = [
        (
            say("Relative change"),
            say("‖Δ‖ / ‖A‖ of each matrix, Δ being the other side minus the base A."),
            heat_maps(differences, "relative_change", relative),
        ),
        (
            say("Rank of the change"),
            say(
                "Singular values of Δ that rounding to the stored types cannot explain. What a "
                "merged LoRA leaves is small and the same everywhere."
            ),
            heat_maps(differences, "delta_storage_rank", rank),
        ),
        (
            say("Overlap of the leading directions"),
            say(
                "Agreement of the 8 leading left singular vectors of both sides; the stronger the "
                "color, the less. Unchanged matrices are left out."
            ),
            heat_maps(_turned(subspaces), "turned", overlap, LEAST_TURNED),
        ),
    ]
    return [each for each in maps if each[2]]


def _turned(subspaces: pd.DataFrame) -> pd.DataFrame:
    """The matrices with the share of their leading directions that is not shared."""
    turned = (1 - subspaces["left_overlap_8"].astype(float)).clip(lower=0)
    return subspaces.assign(turned=turned, delta_spectral_norm=1.0)


def _heads(heads: pd.DataFrame) -> list[dict[str, str]]:
    """The attention heads that changed most in one of their projections, as texts."""
    changes = [f"{letter}_relative_change" for letter in "qkvo"]
    most = heads[changes].astype(float).max(axis=1)
    order = most[most > 0].sort_values(ascending=False, kind="stable").index[:MOST_HEADS]
    return [
        {
            "place": f"{row['component']} {row['layer_index']}",
            "head": f"{row['head']} ({row['kv_head']})",
            **{
                letter: f"{text_of(row[f'{letter}_relative_change'], relative)}"
                f" / {text_of(row[f'{letter}_overlap'], percent)}"
                for letter in "qkvo"
            },
        }
        for row in heads.loc[order].to_dict("records")
    ]


def _changed(differences: pd.DataFrame) -> list[dict[str, Any]]:
    """The matrices that changed most, relative to their size, as texts."""
    order = differences[differences["relative_change"] > 0].sort_values(
        "relative_change", ascending=False, kind="stable"
    )
    return [changed_texts(row) for row in order.head(MOST_CHANGED).to_dict("records")]


def _statuses(pairs: pd.DataFrame) -> list[tuple[str, Sentence, str, str]]:
    """How tensors were matched: status, meaning, number, elements."""
    sizes = (pairs["rows"] * pairs["cols"]).fillna(pairs["other_rows"] * pairs["other_cols"])
    counts = pairs["status"].value_counts()
    found = sizes.fillna(0).groupby(pairs["status"]).sum()
    return [
        (name.replace("_", " "), STATUSES[name], integer(counts[name]), integer(found[name]))
        for name in STATUSES
        if name in counts
    ]


def _alone(pairs: pd.DataFrame) -> list[dict[str, str]]:
    """Tensors that only one side has."""
    own = pairs[pairs["status"].isin(ALONE)].head(MOST_ALONE)
    rows = []
    for row in own.to_dict("records"):
        side = "" if row["status"] == "only_base" else "other_"
        name = row["param_name"] if side == "" else row["other_name"]
        sides = [row[f"{side}rows"], row[f"{side}cols"]]
        rows.append(
            {
                "name": short(str(name)),
                "where": row["status"].replace("_", " "),
                "shape": shape([int(each) for each in sides if not pd.isna(each)]),
                "note": "" if pd.isna(row["note"]) else str(row["note"]),
            }
        )
    return rows


def _resized(pairs: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Token tables with another number of rows: name, rows of the base and of the other side."""
    own = pairs[pairs["status"] == "resized"]
    return [
        (short(row["param_name"]), integer(row["rows"]), integer(row["other_rows"]))
        for row in own.to_dict("records")
    ]


def _vocabulary(vocabulary: pd.DataFrame) -> Sentence:
    """How many tokens were added, removed or renumbered."""
    counts = vocabulary["status"].value_counts()
    return say(
        "{added} tokens were added, {removed} removed, and {renumbered} have another row.",
        **{
            name: integer(counts.get(name, 0))  # type: ignore[arg-type]
            for name in ("added", "removed", "renumbered")
        },
    )
