"""What kind of change a comparison shows: rules on its tables, most telling first.

Each rule states what it counted and its threshold. A rule sees what a change is, not how it was
made: the same low rank in all changed matrices is what a merged adapter leaves, but other methods
could leave it too.
"""

from collections.abc import Iterator

import pandas as pd

from blockresearch.compare.embeddings import ALIKE, UNRELATED, Agreement
from blockresearch.compare.evidence import UNITS
from blockresearch.compare.folder import Comparison
from blockresearch.compare.kinds import KINDS, MOST
from blockresearch.compare.lineage import NOT_INDEPENDENT, combined_log10_p
from blockresearch.compare.verdict import Verdict, first_of, listed_names
from blockresearch.language.sentence import Sentence, joined, say

# Residual of a mixture beside that of the nearest parent.
MIXED = 0.2

TOKEN_TABLES = ("embed_tokens", "lm_head")

# What matrices are whose elements do not agree with the base.
RELATIONS = {
    "transposed": say("They are the transposed matrices of the base."),
    "rows_interleaved": say("The rows of each head are in the other rotary order."),
    "rows_permuted": say("They have the rows of the base in another order."),
    "columns_permuted": say("They have the columns of the base in another order."),
    "expert_permuted": say("They belong to another expert of the base."),
    "negated": say("They have the opposite sign."),
    "rotated": say(
        "They were rotated: the singular values agree with the base, and no row or column does."
    ),
    "unrelated": say(
        "They have nothing in common with the base: no row, no column, no singular values."
    ),
}


def autopsy(found: Comparison, mixture: pd.DataFrame | None = None) -> list[Verdict]:
    """Sentences about what changed, the headline first; `mixture` is the table of that name."""
    verdicts = [
        *_of_places(found.pairs),
        *_of_mixture(mixture),
        *_of_weights(found.pairs, found.differences),
        *_of_structure(found.pairs),
        *_of_lineage(found.lineage, found.differences, found.pairs),
        *_of_embeddings(found.embeddings),
    ]
    if any(own.rule == "mixture" for own in verdicts):
        # A merge explains a change that no rule for a single matrix does.
        verdicts = [own for own in verdicts if own.rule != "broad"]
    none = say("No tensor of one side has a partner on the other.")
    return verdicts or [Verdict("none", none, 0, 1)]


def _of_places(pairs: pd.DataFrame) -> Iterator[Verdict]:
    """Layers that have another number or occur once more, and other tensors that moved."""
    found = pairs[pairs["status"].isin(["moved", "copied"])]
    in_layers = found["layer_index"].notna() & found["other_layer_index"].notna()
    other_layer = in_layers & (found["layer_index"] != found["other_layer_index"]).fillna(False)
    inside = found.loc[~other_layer & (found["status"] == "moved"), "other_name"]
    found = found[other_layer]
    for status, text in (
        ("moved", say("These layers of the base have another number, byte for byte:")),
        ("copied", say("These layers of the base occur once more, byte for byte:")),
    ):
        own = found[found["status"] == status]
        layers = sorted({(int(b), int(a)) for a, b in _layer_pairs(own)})
        if layers:
            text = say("{what} {runs}.", what=text, runs=_runs(layers))
            yield Verdict(f"layers_{status}", text, len(layers), 1)
    if len(inside):
        text = say(
            "{count} tensors have the bytes of another place: {names}.",
            count=len(inside),
            names=listed_names(inside),
        )
        yield Verdict("moved", text, len(inside), 1)


def _layer_pairs(found: pd.DataFrame) -> Iterator[tuple[int, int]]:
    yield from zip(found["layer_index"], found["other_layer_index"], strict=True)


def _runs(layers: list[tuple[int, int]]) -> Sentence:
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

    found = [
        say(
            "{base} as {other}",
            base=named(run[0][1], run[-1][1]),
            other=named(run[0][0], run[-1][0]),
        )
        for run in runs
    ]
    return first_of(found)


def _of_mixture(table: pd.DataFrame | None) -> Iterator[Verdict]:
    if table is None or table.empty:
        return
    moved = table[table["nearest_residual"] > 0]
    mixed = moved[moved["residual"] <= MIXED * moved["nearest_residual"]]
    if moved.empty or len(mixed) < MOST * len(moved):
        return
    weights = pd.DataFrame(mixed["weights"].tolist())
    names = str(mixed["parents"].iloc[0]).split("; ")
    terms = [say("{weight} × the base", weight=f"{weights[0].median():.3g}")]
    terms += [
        say("{weight} × {name}", weight=f"{weights[place].median():.3g}", name=name)
        for place, name in zip(weights.columns[1:], names[1:], strict=True)
    ]
    while len(terms) > 1:
        terms[:2] = [say("{first} + {last}", first=terms[0], last=terms[1])]
    text = say(
        "A merge: {count} of {total} changed matrices are {terms} (medians). This leaves "
        "{residual} of their norm, the nearest parent alone {alone}.",
        count=len(mixed),
        total=len(moved),
        terms=terms[0],
        residual=f"{100 * mixed['residual'].median():.2g}%",
        alone=f"{100 * mixed['nearest_residual'].median():.2g}%",
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
            which = say(
                "{count} of {total} matrices do not agree with the base: {names}.",
                count=len(own),
                total=total,
                names=listed_names(own),
            )
            yield Verdict(relation, joined(which, text), len(own), 1)
    rest = changed[changed["relation"].isna()]
    is_table = rest["projection"].isin(TOKEN_TABLES)
    matrices = rest[rest["delta_spectral_norm"].notna() & ~is_table]
    if rest.empty:
        alone = pairs["status"].isin(["only_base", "only_other", "resized", "copied"]).any()
        text = say("All weights are equal: no element changed.")
        if len(faults):
            text = say("All other weights are equal: no element changed.")
        elif alone:
            text = say("All weights that both sides have are equal: no element changed.")
        yield Verdict("equal", text, 0, 0)
    elif is_table.all():
        text = say(
            "Only token tables changed: {names}; {equal} tensors are equal.",
            names=listed_names(rest["param_name"]),
            equal=len(differences) - len(rest),
        )
        yield Verdict("only_token_tables", text, len(rest), 0)
    elif matrices.empty:
        text = say(
            "No matrix changed, only {count} norms, biases or token tables: {names}.",
            count=len(rest),
            names=listed_names(rest["param_name"]),
        )
        yield Verdict("only_values", text, len(rest), 0)
    else:
        yield next(filter(None, (rule(matrices, total) for rule in KINDS)))


def _of_structure(pairs: pd.DataFrame) -> Iterator[Verdict]:
    """What is missing, new, copied, resized or tied."""
    copied = pairs[pairs["copy_of"].notna()]
    if len(copied):
        twins = [
            say("{copy} of {source}", copy=copy, source=source)
            for copy, source in zip(copied["other_name"], copied["copy_of"], strict=True)
        ]
        text = say(
            "{count} tensors have the bytes of another tensor of the base: {names}.",
            count=len(copied),
            names=first_of(twins),
        )
        yield Verdict("copied", text, len(copied), 0)
    for status, names, text in (
        ("resized", "param_name", say("These have another number of rows (vocabulary):")),
        ("untied", "other_name", say("These are stored, while the base uses its embedding:")),
        ("tied", "param_name", say("These are replaced by the embedding:")),
        ("only_base", "param_name", say("These exist only in the base:")),
        ("only_other", "other_name", say("These exist only on the other side:")),
    ):
        own = pairs[pairs["status"] == status]
        if len(own):
            named = _with_rows(own) if status == "resized" else listed_names(own[names])
            text = say("{what} {names}.", what=text, names=named)
            yield Verdict(status, text, len(own), 0)


def _with_rows(resized: pd.DataFrame) -> Sentence:
    """The first tensors with their numbers of rows on both sides."""
    return first_of(
        [
            say("{name} ({base} → {other})", name=name, base=f"{base:,}", other=f"{other:,}")
            for name, base, other in zip(
                resized["param_name"], resized["rows"], resized["other_rows"], strict=True
            )
        ]
    )


def _not_comparable(pairs: pd.DataFrame) -> Iterator[Verdict]:
    """That hidden units of both sides have no common length, so that none can be matched."""
    # Biases are named after the projection as well.
    is_matrix = pairs["rows"].fillna(pairs["other_rows"]) > 1
    units = pairs[pairs["projection"].isin(UNITS) & is_matrix]
    base = units.loc[units["status"] == "only_base", "cols"]
    other = units.loc[units["status"] == "only_other", "other_cols"]
    if base.empty or other.empty or set(base) & set(other):
        return
    text = say(
        "Whether both started independently is not comparable: hidden units have {base} weights in "
        "the base and {other} on the other side.",
        base=f"{int(base.iloc[0]):,}",
        other=f"{int(other.iloc[0]):,}",
    )
    yield Verdict("not_comparable", text, len(base), 0)


def _of_embeddings(found: Agreement | None) -> Iterator[Verdict]:
    """Whether embeddings of different widths arrange the same tokens alike."""
    if found is None:
        return
    is_alike = found.cka >= ALIKE
    judgment = (
        say("The embeddings are more alike than those of unrelated models.")
        if is_alike
        else say("The embeddings do not show a common origin.")
    )
    text = say(
        "{judgment} The rows of {tokens} shared tokens have a linear CKA of {cka} across widths of "
        "{base} and {other}; unrelated models were seen to reach {unrelated}, shuffled tokens give "
        "{null} at most.",
        judgment=judgment,
        tokens=f"{found.tokens:,}",
        cka=f"{found.cka:.2f}",
        base=f"{found.widths[0]:,}",
        other=f"{found.widths[1]:,}",
        unrelated=f"{UNRELATED:.2f}",
        null=f"{found.null:.2g}",
    )
    rule = "embeddings_alike" if is_alike else "embeddings_apart"
    yield Verdict(rule, text, found.cka, ALIKE)


def _of_lineage(
    lineage: pd.DataFrame, differences: pd.DataFrame, pairs: pd.DataFrame
) -> Iterator[Verdict]:
    """Whether both can have started independently, unless their weights are equal."""
    values = lineage["up_log10_p"].fillna(lineage["gate_log10_p"]).dropna()
    if values.empty:
        yield from _not_comparable(pairs)
    if values.empty or not (differences["delta_norm"] > 0).any():
        return
    together = combined_log10_p(values)
    if together <= NOT_INDEPENDENT:
        text = say(
            "Not independent: by chance, the hidden units of {count} layers would agree so well in "
            "their order with probability {p}.",
            count=len(values),
            p=f"10^{together:.0f}",
        )
        yield Verdict("not_independent", text, together, NOT_INDEPENDENT)
        return
    between = lineage["units_log10_p"].dropna()
    together = combined_log10_p(between) if len(between) else 0.0
    if together <= NOT_INDEPENDENT:
        text = say(
            "Not independent: the hidden units were shuffled, and by chance, gate and up would "
            "agree so well on the order with probability {p}.",
            p=f"10^{together:.0f}",
        )
        yield Verdict("shuffled_units", text, together, NOT_INDEPENDENT)
