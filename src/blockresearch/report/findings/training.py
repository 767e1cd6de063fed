"""Findings about training: tokens that look untrained, and an output layer like the embedding.

Tokens look untrained if they score like rows that are known to be (see `tokens.undertrained`): at
least the 5 % quantile of the reference rows. Control tokens as references are not known to be
untrained, so of these only a group that is nearly alike counts.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from blockresearch.language.sentence import declared, enumerated, in_series, joined, listed, say
from blockresearch.report.findings.record import Finding, Place
from blockresearch.report.wording import fixed, integer, number, percent, plural

# The score must rank a held-out reference above another token with this probability.
LEAST_AUC = 0.9

FEWEST_REFERENCES = 4

# Quantile of the scores of reference rows from which another token looks untrained.
REFERENCE_QUANTILE = 0.05

# Scores this close are those of rows that training left alike.
ALIKE = 0.005

# Rounding of a score.
ROUNDING = 1e-5

# A score that calls more of the rows untrained separates nothing.
MOST_UNTRAINED = 0.25

# Of a script with so many tokens, a share this large and so many times that of all other scripts.
SCRIPT_TOKENS, SCRIPT_SHARE, SCRIPT_FACTOR = 50, 0.1, 5.0

# Cosine between the two rows of a token that 95 % of the tokens must reach.
TWIN_COSINE, TWIN_TOKENS = 0.99, 100

SHOWN = 6

# What special tokens are for, by words in them; the first that matches.
PURPOSES = {
    "times": r"^<\|\d+\.\d\d\|>$",
    "tool calls": r"tool|function|python_tag|ipython",
    "fill-in-the-middle": r"fim|prefix|suffix|middle",
    "images, audio and video": r"vision|image|img|video|audio|box_|quad|object_ref|patch",
    "chat": r"im_start|im_end|_turn|eot|eom|header_id|inst\b|user|assistant|system|think",
    "languages": r"^<\|[a-z]{2,3}\|>$",
}

OTHER = "others"


def training_findings(
    manifest: Mapping[str, Any],
    params: pd.DataFrame,
    tokens: pd.DataFrame,
    output_tokens: pd.DataFrame,
    summary: Mapping[str, Any],
) -> Iterator[Finding]:
    """The findings about training, most important first."""
    yield from twin_tables(manifest, params, tokens, output_tokens)
    table = Place(str(manifest["embedding"]))
    untrained = looks_untrained(tokens, summary.get("undertrained") or {})
    if untrained is None:
        return
    yield from special_tokens(tokens, untrained, table)
    yield from scripts(tokens, untrained, table)
    yield from untrained_tokens(tokens, untrained, table)


def looks_untrained(tokens: pd.DataFrame, facts: Mapping[str, Any]) -> pd.Series | None:
    """Which rows of the table tokens look untrained; None if the score cannot tell.

    `facts` are those of the summary about the score.
    """
    reference = tokens["reference"].fillna(False).astype(bool)
    auc = facts.get("held_out_auc")
    if reference.sum() < FEWEST_REFERENCES or auc is None or auc < LEAST_AUC:
        return None
    scores = tokens["undertrained_score"].astype(float)
    level = least_score(tokens)
    if are_control_tokens(tokens) and float(scores[reference].max()) > level + 2 * ALIKE:
        return None
    found = scores.ge(level - ROUNDING).fillna(False)
    return found if found.mean() <= MOST_UNTRAINED else None


def are_control_tokens(tokens: pd.DataFrame) -> bool:
    """Whether all reference rows are special tokens, some of which training may have reached."""
    reference = tokens["reference"].fillna(False).astype(bool)
    return bool(tokens["kind"][reference].isin(["special", "added"]).all())


def least_score(tokens: pd.DataFrame) -> float:
    """The score from which a token looks untrained; NaN without reference rows."""
    reference = tokens["reference"].fillna(False).astype(bool)
    known = tokens["undertrained_score"][reference].astype(float).dropna()
    if are_control_tokens(tokens):
        return float(known.median()) - ALIKE
    return float(known.quantile(REFERENCE_QUANTILE))


def special_tokens(tokens: pd.DataFrame, untrained: pd.Series, table: Place) -> Iterator[Finding]:
    """Chat, tool and other special tokens that look untrained, and those that do not."""
    special = tokens["kind"].isin(["special", "added"]) & (tokens["category"] != "unused")
    special &= tokens["undertrained_score"].notna()
    if not (special & untrained).any():
        return
    purposes = tokens["token"][special].map(purpose)
    parts, trained, bad = [], [], set()
    for name in [*PURPOSES, OTHER]:
        own = purposes.index[purposes == name]
        odd = own[untrained[own]]
        if len(odd):
            bad.add(name)
            shown = enumerated([str(text) for text in tokens["token"][odd[:SHOWN]]])
            if len(odd) > SHOWN:
                count = integer(len(odd) - SHOWN)
                shown = say("{some} and {count} more", some=shown, count=count)
            part = say(
                "{use} ({odd} of {all}): {tokens}",
                use=declared(name),
                odd=len(odd),
                all=len(own),
                tokens=shown,
            )
            parts.append(part)
        elif len(own) and name != OTHER:
            trained.append(declared(name))
    is_used = bad & {"chat", "tool calls"}
    odd = tokens[special & untrained]
    text = say(
        "{tokens} of {total} looks untrained, by use: {uses}."
        if len(odd) == 1
        else "{tokens} of {total} look untrained, by use: {uses}.",
        tokens=plural(len(odd), "special token"),
        total=integer(special.sum()),
        uses=in_series(parts),
    )
    if trained:
        text = joined(text, say("Tokens for {uses} look trained.", uses=listed(trained)))
    yield Finding(
        "special_tokens",
        "training",
        "warning" if is_used else "notable",
        text,
        tuple(Place(table.name, None, int(number), None) for number in odd["token_id"].head(20)),
        "tokens.undertrained_score",
        float(len(odd)),
        float(special.sum()),
        why="A model cannot follow a template whose tokens it never saw in training, as in base "
        "models."
        if is_used
        else "A token that was never trained means nothing to the model.",
        action="Train these tokens before you use them, or use a checkpoint that was trained with "
        "them.",
    )


def purpose(token: Any) -> str:
    """What a special token is for: a key of PURPOSES, or OTHER."""
    text = str(token).lower()
    return next((name for name, words in PURPOSES.items() if re.search(words, text)), OTHER)


def scripts(tokens: pd.DataFrame, untrained: pd.Series, table: Place) -> Iterator[Finding]:
    """Scripts of which many more tokens look untrained than of all others."""
    written = tokens["script"].notna()
    rows = untrained[written].groupby(tokens["script"][written]).agg(["sum", "size", "mean"])
    others = rows[["sum", "size"]].sum() - rows[["sum", "size"]]
    rows = rows.assign(others=others["sum"] / others["size"].clip(lower=1))
    rows = rows[rows["size"] >= SCRIPT_TOKENS]
    is_odd = (rows["mean"] >= SCRIPT_SHARE) & (rows["mean"] >= SCRIPT_FACTOR * rows["others"])
    odd = rows[is_odd]
    if odd.empty or len(rows) < 2:
        return
    odd = odd.sort_values("mean", ascending=False).head(3)
    shown = [
        say(
            "{share} of {script} ({odd} of {all} tokens)",
            share=percent(row["mean"]),
            script=name,
            odd=integer(row["sum"]),
            all=integer(row["size"]),
        )
        for name, row in odd.iterrows()
    ]
    largest = rows["size"].idxmax()
    yield Finding(
        "scripts",
        "training",
        "warning" if odd["mean"].iloc[0] >= 0.5 else "notable",
        say(
            "Tokens that look untrained by script: {scripts}, against {share} of {largest}.",
            scripts=listed(shown),
            share=percent(rows["mean"][largest]),
            largest=largest,
        ),
        (table,),
        "tokens.undertrained_score",
        float(odd["mean"].iloc[0]),
        float(odd["others"].iloc[0]),
        why="Words in such a script are made in part of tokens that were hardly trained.",
        action="Test the model in languages of this script, or train it on such text.",
    )


def untrained_tokens(tokens: pd.DataFrame, untrained: pd.Series, table: Place) -> Iterator[Finding]:
    """How many ranked tokens look untrained, special ones left out."""
    special = tokens["kind"].isin(["special", "added"])
    ranked = tokens["undertrained_rank"].notna() & ~special
    found = tokens[ranked & untrained]
    if found.empty:
        return
    named = found[found["token"].fillna("") != ""].sort_values(["undertrained_rank", "token_id"])
    shown = [str(text) for text in named["token"].head(SHOWN)]
    text = say(
        "{tokens} of {total} looks untrained"
        if len(found) == 1
        else "{tokens} of {total} look untrained",
        tokens=plural(len(found), "ordinary token"),
        total=integer(ranked.sum()),
    )
    yield Finding(
        "untrained_tokens",
        "training",
        "note",
        say("{odd}, among them {tokens}.", odd=text, tokens=enumerated(shown))
        if shown
        else say("{odd}.", odd=text),
        tuple(Place(table.name, None, int(number), None) for number in named["token_id"].head(20)),
        "tokens.undertrained_score",
        float(len(found)),
        float(ranked.sum()),
        why="Such tokens can make a model behave strangely (Land and Bartolo 2024, "
        "arXiv:2405.05417). The score is a likeness to untrained rows, not a proof.",
        action="Prompt the model with them before you rely on it.",
    )


def twin_tables(
    manifest: Mapping[str, Any],
    params: pd.DataFrame,
    tokens: pd.DataFrame,
    output_tokens: pd.DataFrame,
) -> Iterator[Finding]:
    """An untied output layer that is nearly the embedding. Source: arXiv:1608.05859."""
    cosines = tokens["output_cosine"].dropna().astype(float)
    if len(cosines) < TWIN_TOKENS or not manifest["output"]:
        return
    low, high = float(cosines.quantile(0.05)), float(cosines.quantile(0.95))
    if low < TWIN_COSINE:
        return
    embedding, output = str(manifest["embedding"]), str(manifest["output"])
    own = params[params["param_name"] == output]
    count = float(own["numel"].sum())
    share = count / float(params["numel"].sum())
    pair = tokens.loc[cosines.index, "norm"].astype(float)
    lengths = (output_tokens["norm"].astype(float).reindex(cosines.index) / pair).dropna()
    both = params[params["param_name"].isin([embedding, output])]["content"].dropna()
    is_same = len(both) == 2 and both.nunique() == 1
    names = {"output": output, "embedding": embedding}
    text = say("{output} has the same bytes as {embedding}.", **names)
    if not is_same:
        text = say(
            "The rows of {output} and {embedding} are nearly parallel: cosine {low} to {high} "
            "(90 % of the tokens); rows of the output layer are {factor} times as long."
            if len(lengths)
            else "The rows of {output} and {embedding} are nearly parallel: cosine {low} to {high} "
            "(90 % of the tokens).",
            **names,
            low=fixed(low, 4),
            high=fixed(high, 4),
            factor=number(lengths.median()),
        )
    yield Finding(
        "twin_tables",
        "training",
        "notable",
        joined(text, say("It has {share} of the parameters.", share=percent(share))),
        (Place(output), Place(embedding)),
        "tokens.output_cosine",
        low,
        TWIN_COSINE,
        why="The model stores and computes with nearly the same table twice (tied weights: Press "
        "and Wolf 2017, arXiv:1608.05859).",
        action="Tie the two tables to save memory, after a test of the loss.",
    )
