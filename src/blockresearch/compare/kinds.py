"""What changed in the matrices whose elements agree with the base: one rule for each kind.

The rules are tried in the order of KINDS, and the last one always fits. Each gets the changed
matrices (rows of differences, token tables left out) and the number of all matrices.
"""

from collections.abc import Sized

import pandas as pd

from blockresearch.compare.verdict import Verdict
from blockresearch.language.sentence import Sentence, in_series, joined, say

# Share of the changed matrices that must agree.
MOST = 0.8

# A rank is low if it is at most this share of the shorter side.
LOW_RANK = 0.25

# Share of codes that changed, and their median in units in the last place, of a sparse change.
# Source: arXiv:2511.08567, on updates by reinforcement learning stored in BF16.
SPARSE, FEW_UNITS = 0.3, 1

# Cosine of a direction with the shared one, and what may be left along it after it was removed.
SAME_DIRECTION, REMOVED = 0.95, 0.1

# Share of the changed matrices whose rows or columns are scaled (methods scale only some of the
# projections), and what a factor for each may leave beside the whole change.
SOME, SCALED = 0.4, 0.5

# Decibels within which a copy is one of plain rounding.
PLAIN_DB = 0.3


def _one_direction(matrices: pd.DataFrame, total: int) -> Verdict | None:
    same = matrices[
        (matrices["shared_direction"] >= SAME_DIRECTION)
        & (matrices["shared_direction_left"] <= REMOVED)
    ]
    if len(same) < MOST * len(matrices):
        return None
    text = say(
        "One direction was removed from what {count} of {changed} changed matrices (of {total}) "
        "write to the residual stream, as abliteration does: at most {left} of it is left; "
        "{size}.",
        **_counts(same, matrices, total),
        left=f"{same['shared_direction_left'].max():.1%}",
        size=_size(matrices),
    )
    return Verdict("one_direction", text, len(same) / len(matrices), MOST)


def _low_rank(matrices: pd.DataFrame, total: int) -> Verdict | None:
    ranks = matrices["delta_storage_rank"]
    low = ranks[(ranks > 0) & (ranks <= LOW_RANK * matrices[["rows", "cols"]].min(axis=1))]
    rank = low.mode().iloc[0] if len(low) else None
    same, count = int((low == rank).sum()), len(matrices)
    if same < MOST * count:
        return None
    text = say(
        "A change of rank {rank} in {count} of {changed} changed matrices (of {total}), as a "
        "merged LoRA leaves it; {size}.",
        **_counts(range(same), matrices, total),
        rank=rank,
        size=_size(matrices),
    )
    return Verdict("low_rank", text, same / count, MOST)


def _sparse(matrices: pd.DataFrame, total: int) -> Verdict | None:
    few = matrices[(matrices["changed"] <= SPARSE) & (matrices["ulp_median"] <= FEW_UNITS)]
    if len(few) < MOST * len(matrices):
        return None
    text = say(
        "A sparse change: in {count} of {changed} changed matrices (of {total}) at most {limit} "
        "of the stored codes changed (median {median}), most of them by one unit in the last "
        "place; {size}.",
        **_counts(few, matrices, total),
        limit=f"{SPARSE:.0%}",
        median=f"{few['changed'].median():.2%}",
        size=_size(matrices),
    )
    return Verdict("sparse", text, len(few) / len(matrices), MOST)


def _pruned(matrices: pd.DataFrame, total: int) -> Verdict | None:
    """Elements set to zero, all others as they were."""
    zeroed = matrices[(matrices["zeroed"] > 0) & (matrices["zeroed"] >= matrices["changed"])]
    if len(zeroed) < MOST * len(matrices):
        return None
    text = say(
        "Pruned: in {count} of {changed} changed matrices (of {total}) elements became zero "
        "(median {median}), and no other changed; {size}.",
        **_counts(zeroed, matrices, total),
        median=f"{zeroed['zeroed'].median():.1%}",
        size=_size(matrices),
    )
    return Verdict("pruned", text, len(zeroed) / len(matrices), MOST)


def _scaled(matrices: pd.DataFrame, total: int) -> Verdict | None:
    apart = (1 - matrices["cosine"] ** 2).clip(lower=0) ** 0.5
    sides = {
        "columns": matrices["column_scaled_residual"] <= SCALED * apart,
        "rows": matrices["row_scaled_residual"] <= SCALED * apart,
    }
    scaled = matrices[sides["columns"] | sides["rows"]]
    if len(scaled) < SOME * len(matrices):
        return None
    left = scaled[["column_scaled_residual", "row_scaled_residual"]].min(axis=1).median()
    counts = {
        **_counts(scaled, matrices, total),
        **{"size": _size(scaled), "left": f"{100 * left:.2g}%"},
    }
    if sides["columns"].sum() >= sides["rows"].sum():
        text = say(
            "Scaled: in {count} of {changed} changed matrices (of {total}) a factor for each "
            "column explains most of the change, as AWQ, SmoothQuant or folded norms leave it; "
            "{size}, and {left} if these factors are taken out.",
            **counts,
        )
    else:
        text = say(
            "Scaled: in {count} of {changed} changed matrices (of {total}) a factor for each row "
            "explains most of the change, as folded scales leave it; {size}, and {left} if these "
            "factors are taken out.",
            **counts,
        )
    return Verdict("scaled", text, len(scaled) / len(matrices), SOME)


def _quantized(matrices: pd.DataFrame, total: int) -> Verdict | None:
    formats = matrices["grid_format"].dropna()
    name = formats.mode().iloc[0] if len(formats) else None
    same = matrices[matrices["grid_format"] == name]
    if len(same) < MOST * len(matrices):
        return None
    losses = (same["grid_sqnr_db"] - same["sqnr_db"]).dropna()
    loss = float(losses.median()) if len(losses) else None
    text = say(
        "A copy rounded to {format}: {count} of {changed} changed matrices (of {total}), with a "
        "signal-to-noise ratio of {ratio} dB (median).",
        **_counts(same, matrices, total),
        format=name,
        ratio=f"{same['sqnr_db'].median():.1f}",
    )
    if loss is not None and abs(loss) <= PLAIN_DB:
        text = joined(text, say("Plain rounding gives the same."))
    elif loss is not None:
        more = say("Plain rounding gives {ratio} dB.", ratio=f"{same['grid_sqnr_db'].median():.1f}")
        text = joined(text, more)
    return Verdict("quantized", text, len(same) / len(matrices), MOST)


def _other_types(matrices: pd.DataFrame, total: int) -> Verdict | None:
    coded = matrices[matrices["compared_as"].isna()]
    if len(coded) < MOST * len(matrices):
        return None
    ratios, schemes = coded["sqnr_db"], coded["other_scheme"].dropna()
    text = say(
        "{count} of {changed} changed matrices (of {total}) are stored in types whose codes "
        "cannot be compared ({types}), such as a quantized copy: the signal-to-noise ratio is "
        "{median} dB (median), at least {least} dB.",
        **_counts(coded, matrices, total),
        types=(schemes if len(schemes) else coded["other_dtype"]).mode().iloc[0],
        median=f"{ratios.median():.1f}",
        least=f"{ratios.min():.1f}",
    )
    return Verdict("other_types", text, len(coded) / len(matrices), MOST)


def _noise(matrices: pd.DataFrame, total: int) -> Verdict | None:
    is_full = matrices["delta_storage_rank"] >= matrices[["rows", "cols"]].min(axis=1) / 2
    alike = matrices[(matrices["delta_spikes"] == 0) & is_full.fillna(False)]
    if len(alike) < MOST * len(matrices):
        return None
    text = say(
        "In {count} of {changed} changed matrices (of {total}) the change looks like independent "
        "noise: of full rank, no direction beyond noise; {size}.",
        **_counts(alike, matrices, total),
        size=_size(matrices),
    )
    return Verdict("noise", text, len(alike) / len(matrices), MOST)


def _broad(matrices: pd.DataFrame, total: int) -> Verdict:
    ranks = matrices["delta_storage_rank"].dropna()
    about = [_size(matrices)]
    if len(ranks):
        about += [
            say("its rank is {least} to {largest}", least=ranks.min(), largest=ranks.max()),
        ]
    text = say(
        "{changed} of {total} matrices changed in no simple way, as full fine-tuning leaves "
        "them; {about}.",
        changed=len(matrices),
        total=total,
        about=in_series(about),
    )
    return Verdict("broad", text, len(matrices) / total, 0)


# In the order in which they are tried; the last one always fits.
KINDS = (
    *(_one_direction, _low_rank, _pruned, _sparse),
    *(_scaled, _quantized, _other_types, _noise, _broad),
)


def _counts(found: Sized, matrices: pd.DataFrame, total: int) -> dict[str, int]:
    """How many of the changed matrices a rule found, how many changed, how many there are."""
    return {"count": len(found), "changed": len(matrices), "total": total}


def _size(matrices: pd.DataFrame) -> Sentence:
    size = 100 * matrices["relative_change"].median()
    shown = f"{size:.2g}%" if size < 99.5 else f"{size:.0f}%"
    return say("the median relative change is {size}", size=shown)
