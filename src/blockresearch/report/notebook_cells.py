"""Functions for the cells of the notebooks: the tables of a model, and how to show things.

Everything shown as HTML goes through `pages.escape`; pictures are PNG.
"""

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from IPython.display import display

from blockresearch.files import read_json
from blockresearch.language import sentence
from blockresearch.language.catalogue import spoken
from blockresearch.language.recognition import recognized
from blockresearch.language.sentence import Sentence, declared, in_series, joined, with_messages
from blockresearch.model_config import ModelConfig
from blockresearch.report import environment
from blockresearch.report.figures.live import LIVE, NOTHING, Live, chart_html, figure_html
from blockresearch.report.figures.tables import is_live, table_data
from blockresearch.report.findings.record import Finding, from_records
from blockresearch.report.model import SHOWN, what
from blockresearch.report.pages import linked
from blockresearch.report.wording import (
    aligned,
    fixed,
    integer,
    number,
    percent,
    seconds,
    shape,
    size,
)
from blockresearch.report.words import escape, words
from blockresearch.tables.column import (
    NONE,
)
from blockresearch.tables.columns import (
    find_column,
)
from blockresearch.tables.io import read_pieces, read_rows, read_table
from blockresearch.text import short

__all__ = [
    "aligned",
    "cluster_cards",
    "definitions",
    "explain",
    "facts",
    "fixed",
    "headline",
    "integer",
    "lead",
    "neighbor_table",
    "number",
    "open_analysis",
    "output_sentence",
    "percent",
    "say",
    "seconds",
    "settings_facts",
    "shape",
    "show",
    "size",
    "table",
    "table_or_line",
]

ROWS = 25

CSS_PIXELS = 96  # per inch

# The page of the model, seen from a report.
MODEL_PAGE = "../index.html"


@dataclass(frozen=True)
class Analysis:
    """The results of one model: its folder, and its tables, each read on first use."""

    folder: Path

    def table(self, file: str, table: str) -> pd.DataFrame:
        """A table from the model's folder."""
        return read_table(self.folder / file, table)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        return read_json(self.folder / "manifest.json")

    @cached_property
    def audit(self) -> dict[str, Any]:
        return read_json(self.folder / "audit.json")

    @cached_property
    def findings(self) -> list[Finding]:
        return from_records(read_json(self.folder / "findings.json")["findings"])

    def about(self, *topics: str) -> list[Finding]:
        """The findings of some topics, most severe first."""
        return [finding for finding in self.findings if finding.topic in topics]

    @cached_property
    def summary(self) -> dict[str, Any]:
        facts = with_messages(read_json(self.folder / "embedding" / "summary.json"))
        # The reason inside a sentence is a text without a message.
        return {
            name: recognized(value) if isinstance(value, Sentence) else value
            for name, value in facts.items()
        }

    @cached_property
    def params(self) -> pd.DataFrame:
        return self.table("params.parquet", "params")

    @cached_property
    def matrices(self) -> pd.DataFrame:
        return self.table("matrices.parquet", "matrices")

    def spectra(self, names: Iterable[str | None]) -> pd.DataFrame:
        """Spectra of the tensors `names`; those of a large model would not fit into memory."""
        wanted = [name for name in names if name is not None]
        return read_rows(self.folder / "spectra.parquet", "spectra", "param_name", wanted)

    def histograms(self) -> Iterator[pd.DataFrame]:
        """The table histograms, a few hundred rows at a time, for the same reason."""
        return read_pieces(self.folder / "histograms.parquet", "histograms")

    @cached_property
    def layers(self) -> pd.DataFrame:
        return self.table("layers.parquet", "layers")

    @cached_property
    def coverage(self) -> pd.DataFrame:
        return self.table("coverage.parquet", "coverage")

    @cached_property
    def clusters(self) -> pd.DataFrame:
        return self.table("embedding/clusters.parquet", "clusters")

    @cached_property
    def clusters_summary(self) -> pd.DataFrame:
        return self.table("embedding/clusters_summary.parquet", "clusters_summary")

    @cached_property
    def elbow(self) -> pd.DataFrame:
        return self.table("embedding/elbow.parquet", "elbow")

    @cached_property
    def tokens(self) -> pd.DataFrame:
        return self.table("embedding/tokens.parquet", "tokens")

    @cached_property
    def output_tokens(self) -> pd.DataFrame:
        return self.table("embedding/output_tokens.parquet", "tokens")

    @cached_property
    def stages(self) -> pd.DataFrame:
        return environment.stages(self.folder / "benchmarks")

    @cached_property
    def projection(self) -> pd.DataFrame:
        return self.table("embedding/projection.parquet", "projection")


@dataclass(frozen=True)
class Html:
    """HTML output of a notebook; `text` is shown by viewers without HTML, `live` on the page."""

    html: str
    text: str
    live: str = ""

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        data = {"text/html": self.html, "text/plain": self.text}
        return {**data, LIVE: self.live} if self.live else data

    def __repr__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Picture:
    """A PNG picture with its alternative text; `live` is the HTML of the page for it."""

    png: bytes
    alt: str
    width: int
    height: int
    live: str = ""

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        data = {"image/png": base64.b64encode(self.png).decode(), "text/plain": self.alt}
        if self.live:
            data[LIVE] = self.live
        about = {"alt": self.alt, "width": self.width, "height": self.height}
        return data, {"image/png": about}


def open_analysis(model_dir: str) -> Analysis:
    """The results in the folder `model_dir`."""
    return Analysis(Path(model_dir))


def lead(first: str, findings: Iterable[Finding | str]) -> Html:
    """The first paragraph of a report: the model and the main findings."""
    found = list(findings)
    items = "".join(f"<li>{_sentence(finding)}</li>" for finding in found)
    texts = [finding if isinstance(finding, str) else finding.text for finding in found]
    return Html(
        f'<div class="lead"><p>{words(first)}</p><ul>{items}</ul></div>',
        "\n- ".join(map(spoken, [first, *texts])),
    )


def _sentence(finding: Finding | str) -> str:
    """A finding as HTML, with links to its tensors on the model's page."""
    if isinstance(finding, str):
        return words(finding)
    return linked(finding.text, [place.name for place in finding.tensors], MODEL_PAGE)


def explain(analysis: Analysis, *ids: str) -> None:
    """Show the findings of the rules `ids` as paragraphs, what to do included, if there are any."""
    found = [finding for name in ids for finding in analysis.findings if finding.id == name]
    html = "".join(f"<p>{_sentence(finding)} {words(finding.about)}</p>" for finding in found)
    texts = [spoken(joined(one.text, one.about)) for one in found]
    if found:
        display(Html(html, "\n".join(texts)))


def say(text: str) -> Html | None:
    """One paragraph; nothing without text."""
    return Html(f"<p>{words(text)}</p>", spoken(text)) if text else None


def show(figure: Any, caption: str, otherwise: str = "", live: Live | None = None) -> None:
    """Show a figure and its caption; without a figure, show the text `otherwise`.

    The page shows `live`, which has the same data, in the place of both.
    """
    from blockresearch.report.plots import style

    if figure is None:
        if otherwise:
            display(say(otherwise))
        return
    width, height = (round(side * CSS_PIXELS) for side in figure.get_size_inches())
    html = f'<p class="caption">{words(caption)}</p>'
    page, below = (chart_html(live, caption), NOTHING) if live else ("", "")
    display(Picture(style.png(figure), style.alternative(figure), width, height, page))
    display(Html(html, spoken(caption), below))


def facts(pairs: Iterable[tuple[str, str]], caption: str = "") -> Html:
    """A table of labels and values."""
    pairs = list(pairs)
    rows = "".join(
        f'<tr><th scope="row">{words(label)}</th><td class="text">{_value(value)}</td></tr>'
        for label, value in pairs
    )
    return Html(
        f'<div class="scroll" tabindex="0"><table class="facts">{_caption(caption)}'
        f"<tbody>{rows}</tbody></table></div>",
        "\n".join(f"{label}: {value}" for label, value in pairs),
    )


def table(
    data: pd.DataFrame,
    columns: Mapping[str, tuple[str, Callable[[Any], str] | None]],
    caption: str,
    limit: int = ROWS,
) -> Html:
    """The first `limit` rows of `data` as a table.

    `columns` maps each column to its heading and the format of its numbers (None: as text).
    """
    shown = data.head(limit)
    live = ""
    title = caption
    if len(data) > limit:
        caption = sentence.say(
            "{caption} (the first {limit} of {rows})",
            caption=declared(caption),
            limit=limit,
            rows=integer(len(data)),
        )
    heads = "".join(
        ('<th scope="col">' if form else '<th scope="col" class="text">') + f"{words(head)}</th>"
        for head, form in columns.values()
    )
    body = "".join(
        "<tr>" + "".join(_cell(row[name], form) for name, (_, form) in columns.items()) + "</tr>"
        for row in shown.to_dict("records")
    )
    html = (
        f'<div class="scroll" tabindex="0"><table>{_caption(caption)}'
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )
    if is_live(data):
        name = re.sub(r"\W+", "-", spoken(title)[:40]).strip("-").lower()
        live = figure_html("table-figure", table_data(data, columns, name), html, title)
    return Html(html, caption, live)


def table_or_line(
    data: pd.DataFrame,
    columns: Mapping[str, tuple[str, Callable[[Any], str] | None]],
    caption: str,
    otherwise: str,
    limit: int = ROWS,
) -> Html | None:
    """`table`, or the line `otherwise` if it would have no rows."""
    return table(data, columns, caption, limit) if len(data) else say(otherwise)


def cluster_cards(overview: pd.DataFrame, limit: int = 60) -> Html:
    """Each cluster of the table clusters_summary as a card: size, typical tokens, their kinds."""
    cards, lines = [], []
    most_central = sentence.say("Most central:")
    for row in overview.head(limit).to_dict("records"):
        title = sentence.say(
            "Cluster {number}: {size} tokens",
            number=integer(row["cluster"]),
            size=integer(row["size"]),
        )
        about = [row[name] for name in ("categories", "scripts") if not _is_missing(row[name])]
        if not _is_missing(row["leading_space"]):
            begin = sentence.say("{share} begin a word", share=percent(row["leading_space"]))
            about.append(begin)
        kinds = words(in_series(about)) if about else ""
        # Each token by itself, so that right-to-left text does not reorder its neighbors.
        tokens, central = (
            " ".join(f"<bdi>{escape(token)}</bdi>" for token in str(row[name]).split("  "))
            for name in ("typical_tokens", "central_tokens")
        )
        cards.append(
            f"<li><strong>{words(title)}</strong><p class='tokens'>{tokens}</p>"
            f"<p>{words(most_central)} {central}</p><p>{kinds}</p></li>"
        )
        lines.append(f"{spoken(title)}: {row['typical_tokens']}")
    return Html(f'<ul class="cards">{"".join(cards)}</ul>', "\n".join(lines))


def neighbor_table(tokens: pd.DataFrame, ids: Iterable[int]) -> pd.DataFrame:
    """The tokens of `ids` with their nearest tokens as one text, from the table tokens."""
    texts = tokens["token"].fillna("")
    rows = []
    for token_id in ids:
        row = tokens.iloc[token_id]
        near = row["neighbours"] if isinstance(row["neighbours"], list) else []
        named = [texts[other] or f"⟨{other}⟩" for other in near]
        rows.append({**row.to_dict(), "near": "  ".join(named)})
    return pd.DataFrame(rows, columns=[*tokens.columns, "near"])


def definitions(table: str, names: Sequence[str]) -> Html:
    """Definitions of columns of a table, collapsed until clicked."""
    columns = [find_column(table, name) for name in names]
    rows = "".join(
        f"<dt>{escape(column.name)}</dt><dd>{words(column.meaning)}"
        f"{'' if column.unit in ('', NONE) else f' [{words(column.unit)}]'}</dd>"
        for column in columns
    )
    text = "\n".join(f"{column.name}: {spoken(column.meaning)}" for column in columns)
    summary = words(sentence.say("Definitions of these columns (table {name})", name=table))
    return Html(f"<details><summary>{summary}</summary><dl>{rows}</dl></details>", text)


def settings_facts(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Settings as labels and values, nested ones with a dot."""
    pairs = []
    for name, value in sorted(settings.items()):
        if isinstance(value, Mapping):
            pairs += [(f"{name}.{inner}", text) for inner, text in settings_facts(value)]
        else:
            chosen = sentence.say("chosen by the elbow rule")
            pairs.append((name, chosen if value is None else str(value)))
    return pairs or [(sentence.say("settings"), sentence.say("the defaults of the scripts"))]


def output_sentence(manifest: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """The output layer, and whether its rows are described."""
    if manifest["output"]:
        text = sentence.say(
            "The output layer is a separate matrix, {name}.", name=short(manifest["output"])
        )
        reason = summary.get("output_reason")
        return joined(text, reason) if reason else text
    if manifest["tied"]:
        stated = manifest["config"].get("tie_word_embeddings") is True
        return sentence.say(
            "The output layer is the token embedding (tied weights), so all of the above applies "
            "to it."
            if stated
            else "The output layer is the token embedding (no separate one is stored), so all of "
            "the above applies to it."
        )
    return sentence.say("The checkpoint stores no output layer over tokens.")


def headline(analysis: Analysis, found: Iterable[Finding | str]) -> Html:
    """What the model is, then at most three findings."""
    return lead(what(analysis.manifest, analysis.params), list(found)[:SHOWN])


def _caption(text: str) -> str:
    return f"<caption>{words(text)}</caption>" if text else ""


def _value(text: str) -> str:
    """A value of a table: a sentence in the languages of the page, anything else as it is."""
    return words(text) if isinstance(text, Sentence) else escape(text)


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and value != value)


def _cell(value: Any, form: Callable[[Any], str] | None) -> str:
    text = "–" if _is_missing(value) else form(value) if form else value
    return f"<td>{_value(text)}</td>" if form else f'<td class="text">{_value(text)}</td>'


def adds_one_to_norms(manifest: Mapping[str, Any]) -> bool:
    """Whether the norms of the model multiply by 1 + weight."""
    return ModelConfig(manifest["config"]).adds_one_to_norms
