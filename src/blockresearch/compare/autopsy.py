"""What kind of change a comparison shows: rules on its tables, most telling first.

Each rule states what it counted and its threshold. A rule sees what a change is, not how it was
made: the same low rank in all changed matrices is what a merged adapter leaves, but other methods
could leave it too.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from blockresearch.compare.folder import Comparison
from blockresearch.compare.lineage import NOT_INDEPENDENT, combined_log10_p

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

# Residual of a mixture beside that of the nearest parent.
MIXED = 0.2

NAMED = 3

TOKEN_TABLES = ("embed_tokens", "lm_head")

RELATIONS = {
    "transposed": "are the transposed matrices of the base",
    "rows_interleaved": "have the rows of each head in the other rotary order (halves and pairs)",
    "rows_permuted": "are those of the base with rows in another order",
    "columns_permuted": "are those of the base with columns in another order",
    "expert_permuted": "are those of another expert of the base",
    "negated": "are those of the base with the opposite sign",
    "rotated": "have the singular values of the base and no row or column of it: they were rotated",
    "unrelated": "have nothing in common with their namesakes: no row, no column, no spectrum",
}


@dataclass(frozen=True)
class Verdict:
    """One sentence about a comparison.

    `rule` is its name, `value` what was counted, `threshold` what it had to reach.
    """

    rule: str
    text: str
    value: float
    threshold: float


def autopsy(found: Comparison, mixture: pd.DataFrame | None = None) -> list[Verdict]:
    """Sentences about what changed, the headline first; `mixture` is the table of that name."""
    verdicts = [
        *_of_places(found.pairs),
        *_of_mixture(mixture),
        *_of_weights(found.pairs, found.differences),
        *_of_structure(found.pairs),
        *_of_lineage(found.lineage, found.differences),
    ]
    return verdicts or [Verdict("none", "No tensor of one side has a partner on the other.", 0, 1)]


def _of_places(pairs: pd.DataFrame) -> Iterator[Verdict]:
    """Layers that have another number or occur once more, and other tensors that moved."""
    found = pairs[pairs["status"].isin(["moved", "copied"])]
    in_layers = found["layer_index"].notna() & found["other_layer_index"].notna()
    other_layer = in_layers & (found["layer_index"] != found["other_layer_index"]).fillna(False)
    inside = found.loc[~other_layer & (found["status"] == "moved"), "other_name"]
    found = found[other_layer]
    for status, text in (
        ("moved", "have another number"),
        ("copied", "occur once more"),
    ):
        own = found[found["status"] == status]
        layers = sorted({(int(b), int(a)) for a, b in _layer_pairs(own)})
        if layers:
            text = f"{len(layers)} layers of the base {text}, byte for byte: {_runs(layers)}."
            yield Verdict(f"layers_{status}", text, len(layers), 1)
    if len(inside):
        text = f"{len(inside)} tensors have the bytes of another place: {_listed(inside)}."
        yield Verdict("moved", text, len(inside), 1)


def _layer_pairs(found: pd.DataFrame) -> Iterator[tuple[int, int]]:
    yield from zip(found["layer_index"], found["other_layer_index"], strict=True)


def _runs(layers: list[tuple[int, int]]) -> str:
    """Layers (on the other side, of the base) as ranges with the same offset."""
    runs: list[list[tuple[int, int]]] = []
    for place in layers:
        last = runs[-1][-1] if runs else None
        if last and (last[0] + 1, last[1] + 1) == place:
            runs[-1].append(place)
        else:
            runs.append([place])

    def named(first: int, last: int) -> str:
        return str(first) if first == last else f"{first}–{last}"

    sentences = [
        f"{named(run[0][1], run[-1][1])} as {named(run[0][0], run[-1][0])}" for run in runs
    ]
    return ", ".join(sentences[:NAMED]) + (
        f" and {len(runs) - NAMED} more ranges" if len(runs) > NAMED else ""
    )


def _of_mixture(table: pd.DataFrame | None) -> Iterator[Verdict]:
    if table is None or table.empty:
        return
    moved = table[table["nearest_residual"] > 0]
    mixed = moved[moved["residual"] <= MIXED * moved["nearest_residual"]]
    if moved.empty or len(mixed) < MOST * len(moved):
        return
    weights = pd.DataFrame(mixed["weights"].tolist())
    terms = " + ".join(
        f"{weights[place].median():.3g} × " + ("the base" if place == 0 else f"parent {place}")
        for place in weights
    )
    text = (
        f"A merge: {len(mixed)} of {len(moved)} changed matrices are {terms} (medians), with a "
        f"residual of {mixed['residual'].median():.2g}, while the nearest one alone leaves "
        f"{mixed['nearest_residual'].median():.2g}."
    )
    yield Verdict("mixture", text, len(mixed) / len(moved), MOST)


def _of_weights(pairs: pd.DataFrame, differences: pd.DataFrame) -> Iterator[Verdict]:
    """Matrices whose elements do not agree, then the one rule that fits the other changes."""
    if differences.empty:
        return
    changed = differences[differences["delta_norm"] > 0]
    total = int(differences["delta_spectral_norm"].notna().sum())
    faults = changed[changed["relation"].notna()]
    for relation, text in RELATIONS.items():
        own = faults.loc[faults["relation"] == relation, "param_name"]
        if len(own):
            text = f"{len(own)} of {total} matrices {text}: {_listed(own)}."
            yield Verdict(relation, text, len(own), 1)
    rest = changed[changed["relation"].isna()]
    is_table = rest["projection"].isin(TOKEN_TABLES)
    matrices = rest[rest["delta_spectral_norm"].notna() & ~is_table]
    names, count = _listed(rest["param_name"]), len(rest)
    if rest.empty:
        alone = pairs["status"].isin(["only_base", "only_other"]).any()
        what = "All other weights" if len(faults) else "All weights"
        what = f"{what} that both sides have" if alone else what
        yield Verdict("equal", f"{what} are equal: no element changed.", 0, 0)
    elif is_table.all():
        text = f"Only token tables changed: {names}; {len(differences) - count} tensors are equal."
        yield Verdict("only_token_tables", text, count, 0)
    elif matrices.empty:
        text = f"No matrix changed, only {count} norms, biases or token tables: {names}."
        yield Verdict("only_values", text, count, 0)
    else:
        yield next(filter(None, (rule(matrices, total) for rule in KINDS)))


def _one_direction(matrices: pd.DataFrame, total: int) -> Verdict | None:
    same = matrices[
        (matrices["shared_direction"] >= SAME_DIRECTION)
        & (matrices["shared_direction_left"] <= REMOVED)
    ]
    if len(same) < MOST * len(matrices):
        return None
    text = (
        f"One direction was removed from what {len(same)} of {len(matrices)} changed matrices (of "
        f"{total}) write to the residual stream, as abliteration does: at most "
        f"{same['shared_direction_left'].max():.1%} of it is left; {_size(matrices)}."
    )
    return Verdict("one_direction", text, len(same) / len(matrices), MOST)


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


def _pruned(matrices: pd.DataFrame, total: int) -> Verdict | None:
    """Elements set to zero, all others as they were."""
    zeroed = matrices[(matrices["zeroed"] > 0) & (matrices["zeroed"] >= matrices["changed"])]
    if len(zeroed) < MOST * len(matrices):
        return None
    text = (
        f"Pruned: in {len(zeroed)} of {len(matrices)} changed matrices (of {total}) elements "
        f"became zero (median {zeroed['zeroed'].median():.1%}), and no other changed; "
        f"{_size(matrices)}."
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
    side = max(sides, key=lambda name: int(sides[name].sum()))
    left = scaled[["column_scaled_residual", "row_scaled_residual"]].min(axis=1).median()
    text = (
        f"Scaled: in {len(scaled)} of {len(matrices)} changed matrices (of {total}) a factor for "
        f"each of the {side} explains the change, as AWQ, SmoothQuant or folded norms leave it; "
        f"what remains is {left:.2g} of the matrix (median)."
    )
    return Verdict("scaled", text, len(scaled) / len(matrices), SOME)


def _quantized(matrices: pd.DataFrame, total: int) -> Verdict | None:
    formats = matrices["grid_format"].dropna()
    name = formats.mode().iloc[0] if len(formats) else None
    same = matrices[matrices["grid_format"] == name]
    if len(same) < MOST * len(matrices):
        return None
    losses, beside = (same["grid_sqnr_db"] - same["sqnr_db"]).dropna(), ""
    if len(losses):
        loss = float(losses.median())
        is_plain = abs(loss) <= PLAIN_DB
        beside = f", {'as' if is_plain else f'{loss:.1f} dB below'} plain rounding"
    text = (
        f"A copy rounded to {name}: {len(same)} of {len(matrices)} changed matrices (of {total}), "
        f"with a signal-to-noise ratio of {same['sqnr_db'].median():.1f} dB (median){beside}."
    )
    return Verdict("quantized", text, len(same) / len(matrices), MOST)


def _other_types(matrices: pd.DataFrame, total: int) -> Verdict | None:
    coded = matrices[matrices["compared_as"].isna()]
    if len(coded) < MOST * len(matrices):
        return None
    ratios, schemes = coded["sqnr_db"], coded["other_scheme"].dropna()
    stored = f" ({schemes.mode().iloc[0]})" if len(schemes) else ""
    text = (
        f"{len(coded)} of {len(matrices)} changed matrices (of {total}) are stored in "
        f"types{stored} whose codes cannot be compared, such as a quantized copy: the "
        f"signal-to-noise ratio is {ratios.median():.1f} dB (median), at least "
        f"{ratios.min():.1f} dB."
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
        f"{len(matrices)} of {total} matrices changed in no simple way, as full fine-tuning "
        f"leaves them{told}; {_size(matrices)}."
    )
    return Verdict("broad", text, len(matrices) / total, 0)


# In the order in which they are tried; the last one always fits.
KINDS = (
    *(_one_direction, _low_rank, _pruned, _sparse),
    *(_scaled, _quantized, _other_types, _noise, _broad),
)


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
        ("resized", "param_name", "have another number of rows (vocabulary)"),
        ("untied", "other_name", "are stored separately, while the base uses its embedding"),
        ("tied", "param_name", "are replaced by the embedding"),
        ("only_base", "param_name", "exist only in the base"),
        ("only_other", "other_name", "exist only on the other side"),
    ):
        own = pairs.loc[pairs["status"] == status, names]
        if len(own):
            yield Verdict(status, f"{len(own)} tensors {text}: {_listed(own)}.", len(own), 0)


def _of_lineage(lineage: pd.DataFrame, differences: pd.DataFrame) -> Iterator[Verdict]:
    """Whether both can have started independently, unless their weights are equal."""
    values = lineage["up_log10_p"].fillna(lineage["gate_log10_p"]).dropna()
    if values.empty or not (differences["delta_norm"] > 0).any():
        return
    together = combined_log10_p(values)
    what = f"the order of hidden units in {len(values)} layers"
    if together <= NOT_INDEPENDENT:
        text = f"Not independent: {what} agrees with probability 10^{together:.0f} by chance."
        yield Verdict("not_independent", text, together, NOT_INDEPENDENT)
        return
    between = lineage["units_log10_p"].dropna()
    together = combined_log10_p(between) if len(between) else 0.0
    if together <= NOT_INDEPENDENT:
        text = (
            "Not independent: the hidden units were shuffled, and gate and up agree on how with "
            f"probability 10^{together:.0f} by chance."
        )
        yield Verdict("shuffled_units", text, together, NOT_INDEPENDENT)


def _listed(names: pd.Series) -> str:
    first = ", ".join(map(str, names.head(NAMED)))
    return first + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
