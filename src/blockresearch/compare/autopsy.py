"""What kind of change a comparison shows: rules on its tables, most telling first.

Each rule states what it counted and its threshold. A rule sees what a change is, not how it was
made: the same low rank in all changed matrices is what a merged adapter leaves, but other methods
could leave it too.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

# Share of the changed matrices that must agree.
MOST = 0.8

# A rank is low if it is at most this share of the shorter side.
LOW_RANK = 0.25

# Share of codes that changed, and their median in units in the last place, of a sparse change.
# Source: arXiv:2511.08567, on updates by reinforcement learning stored in BF16.
SPARSE, FEW_UNITS = 0.3, 1

NAMED = 3


@dataclass(frozen=True)
class Verdict:
    """One sentence about a comparison.

    `rule` is its name, `value` what was counted, `threshold` what it had to reach.
    """

    rule: str
    text: str
    value: float
    threshold: float


def autopsy(pairs: pd.DataFrame, differences: pd.DataFrame) -> list[Verdict]:
    """Sentences about what changed from the tables pairs and differences, the headline first."""
    found = [*_of_weights(pairs, differences), *_of_structure(pairs)]
    return found or [Verdict("none", "No tensor of one side has a partner on the other.", 0, 1)]


def _of_weights(pairs: pd.DataFrame, differences: pd.DataFrame) -> Iterator[Verdict]:
    """The one rule that fits what changed in the matched tensors."""
    if differences.empty:
        return
    changed = differences[differences["delta_norm"] > 0]
    is_table = changed["projection"].isin(["embed_tokens", "lm_head"])
    matrices = changed[changed["delta_spectral_norm"].notna() & ~is_table]
    total = int(differences["delta_spectral_norm"].notna().sum())
    names, count = _listed(changed["param_name"]), len(changed)
    if changed.empty:
        alone = pairs["status"].isin(["only_base", "only_other"]).any()
        what = "All weights that both sides have" if alone else "All weights"
        yield Verdict("equal", f"{what} are equal: no element changed.", 0, 0)
    elif is_table.all():
        text = f"Only token tables changed: {names}; {len(differences) - count} tensors are equal."
        yield Verdict("only_token_tables", text, count, 0)
    elif matrices.empty:
        text = f"No matrix changed, only {count} norms, biases or token tables: {names}."
        yield Verdict("only_values", text, count, 0)
    else:
        yield next(filter(None, (rule(matrices, total) for rule in KINDS)))


def _low_rank(matrices: pd.DataFrame, total: int) -> Verdict | None:
    ranks = matrices["delta_storage_rank"]
    low = ranks[(ranks > 0) & (ranks <= LOW_RANK * matrices[["rows", "cols"]].min(axis=1))]
    rank = low.mode().iloc[0] if len(low) else None
    same, count = int((low == rank).sum()), len(matrices)
    if same < MOST * count:
        return None
    text = (
        f"A change of rank {rank} in {same} of {count} changed matrices (of {total}), as a merged "
        f"LoRA leaves it; {_size(matrices)}."
    )
    return Verdict("low_rank", text, same / count, MOST)


def _sparse(matrices: pd.DataFrame, total: int) -> Verdict | None:
    few = matrices[(matrices["changed"] <= SPARSE) & (matrices["ulp_median"] <= FEW_UNITS)]
    if len(few) < MOST * len(matrices):
        return None
    text = (
        f"A sparse change: in {len(few)} of {len(matrices)} changed matrices (of {total}) at most "
        f"{SPARSE:.0%} of the stored codes changed (median {few['changed'].median():.2%}), most of "
        f"them by one unit in the last place; {_size(matrices)}."
    )
    return Verdict("sparse", text, len(few) / len(matrices), MOST)


def _other_types(matrices: pd.DataFrame, total: int) -> Verdict | None:
    coded = matrices[matrices["compared_as"].isna()]
    if len(coded) < MOST * len(matrices):
        return None
    ratios = coded["sqnr_db"]
    text = (
        f"{len(coded)} of {len(matrices)} changed matrices (of {total}) are stored in types whose "
        f"codes cannot be compared, such as a quantized copy: the signal-to-noise ratio is "
        f"{ratios.median():.1f} dB (median), at least {ratios.min():.1f} dB."
    )
    return Verdict("other_types", text, len(coded) / len(matrices), MOST)


def _noise(matrices: pd.DataFrame, total: int) -> Verdict | None:
    is_full = matrices["delta_storage_rank"] >= matrices[["rows", "cols"]].min(axis=1) / 2
    alike = matrices[(matrices["delta_spikes"] == 0) & is_full.fillna(False)]
    if len(alike) < MOST * len(matrices):
        return None
    text = (
        f"In {len(alike)} of {len(matrices)} changed matrices (of {total}) the change looks like "
        f"independent noise: of full rank, no direction beyond those of noise; {_size(matrices)}."
    )
    return Verdict("noise", text, len(alike) / len(matrices), MOST)


def _broad(matrices: pd.DataFrame, total: int) -> Verdict:
    ranks = matrices["delta_storage_rank"].dropna()
    told = f"; ranks of the change from {ranks.min()} to {ranks.max()}" if len(ranks) else ""
    text = (
        f"{len(matrices)} of {total} matrices changed, in no simple way{told}; {_size(matrices)}."
    )
    return Verdict("broad", text, len(matrices) / total, 0)


# In the order in which they are tried; the last one always fits.
KINDS = (_low_rank, _sparse, _other_types, _noise, _broad)


def _size(matrices: pd.DataFrame) -> str:
    return f"the median relative change is {matrices['relative_change'].median():.2g}"


def _of_structure(pairs: pd.DataFrame) -> Iterator[Verdict]:
    """What is missing, new, copied, resized or tied."""
    copied = pairs[pairs["copy_of"].notna()]
    if len(copied):
        text = (
            f"{len(copied)} tensors have the bytes of another tensor of the base: "
            + _listed(copied["other_name"] + " of " + copied["copy_of"])
            + "."
        )
        yield Verdict("copied", text, len(copied), 0)
    for status, names, text in (
        ("moved", "other_name", "moved to another place with the same bytes"),
        ("resized", "param_name", "have another number of rows (vocabulary)"),
        ("untied", "other_name", "are stored separately, while the base uses its embedding"),
        ("tied", "param_name", "are replaced by the embedding"),
        ("only_base", "param_name", "exist only in the base"),
        ("only_other", "other_name", "exist only on the other side"),
    ):
        own = pairs.loc[pairs["status"] == status, names]
        if len(own):
            yield Verdict(status, f"{len(own)} tensors {text}: {_listed(own)}.", len(own), 0)


def _listed(names: pd.Series) -> str:
    first = ", ".join(map(str, names.head(NAMED)))
    return first + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
