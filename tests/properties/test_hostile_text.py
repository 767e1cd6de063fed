"""Text from a model is text wherever it appears: pages, notebooks, tables, logs, pictures.

Pages are parsed as browsers do (html5lib). The elements and attributes of a page about hostile
names must be those of the same page about harmless ones.
"""

import csv
import json
import logging
import re

import html5lib
import numpy as np
import pytest

from blockresearch.files import write_json
from blockresearch.report import model_page, portal
from blockresearch.report.notebook_cells import cluster_cards, neighbor_table, table
from blockresearch.report.pages import escape, script_json
from blockresearch.report.plots.style import literal, save
from blockresearch.report.plots.tokens import embedding_figures
from blockresearch.run import cli
from blockresearch.tables import io
from blockresearch.tables.io import read_table, write_table
from blockresearch.tokens.analysis import analyze_embedding
from blockresearch.tokens.tokenizer import read_tokens
from tests.unit.report.hostile import write_results

HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "</title></style></table></td><img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    "<!--",
    "-->",
    "<!-- <script> -->",
    "<![CDATA[",
    "]]>",
    "</textarea><iframe srcdoc='<b>'>",
    "javascript:alert(1)",
    "{{ 7*7 }}{% raw %}",
    "${7*7}",
    "$\\frac{1}{0}$ $x",
    "\\unicode{x} \\(x\\) $$x$$",
    "[x](javascript:alert(1)) ![x](http://h/x.png) `x` **x**",
    "&lt;script&gt;&#60;b&#62;&amp;",
    "&#x3c;img src=x&#x3e",
    "</style><style>*{background:url(//h)}",
    "a\u202eb\u2066c\u200bd\ufeffe",
    "\x00\x01\x07\x1b[31m\x7f\x9b",
    "line\nbreak\r\n\u2028\u2029\x0b\x0c\x85",
    "\ud800 lone \udfff",
    "\ufdd0\ufffe\U0010ffff",
    "<b" + "a" * 100_000,
    "=1+1",
    "＝cmd|' /C calc'!A0",
    "+1\t-1",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "'=1",
    "-2+3",
    '"a","b"\n=c',
    "a;b|c",
    "nan",
    "",
    " ",
    "🙂\u0301\u0301\u0301" * 20,
]
HARMLESS = [f"name{number}" for number in range(len(HOSTILE))]
# Lone surrogates are refused in tensor names and made visible in tokens: no table holds them.
STORABLE = [name for name in HOSTILE if name.isascii() or "\ud800" not in name]


DATA = ("application/json", "application/octet-stream")  # types that no browser runs


def skeleton(html):
    """Elements of a page in their order with the names of their attributes, and its code."""
    tree = html5lib.parse(html, treebuilder="etree", namespaceHTMLElements=False)
    elements = [
        (element.tag if isinstance(element.tag, str) else "comment", sorted(element.attrib))
        for element in tree.iter()
    ]
    code = [
        element.text
        for element in tree.iter()
        if element.tag in ("script", "style") and element.get("type") not in DATA
    ]
    data = [e.text for e in tree.iter("script") if e.get("type") == "application/json"]
    return elements, code, data, "".join(tree.itertext())


def test_hostile_names_add_no_elements_to_pages(tmp_path, monkeypatch):
    made = {}
    for kind, names in (("hostile", STORABLE), ("harmless", HARMLESS[: len(STORABLE)])):
        # The manifest's texts come from the names of test_pages.
        monkeypatch.setattr("tests.unit.report.test_pages.NAMES", names)
        folder = write_results(tmp_path / kind / "model", names, commit="c" * 40)
        (folder / "index.html").write_text("x")
        made[kind] = (model_page.model_page(folder)[0], portal.portal(tmp_path / kind, {}, {})[0])
    for hostile, harmless in zip(made["hostile"], made["harmless"], strict=True):
        elements, code, data, text = skeleton(hostile)
        expected, expected_code, *_ = skeleton(harmless)
        assert elements == expected
        assert code == expected_code
        assert "alert(1)" in text
        assert not set("\x00\x1b\u202e\u200b\u2028") & set(hostile)
        for each in data:
            json.loads(each)


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_one_hostile_name_is_one_text(name):
    cell = f'<p title="{escape(name)}">{escape(name)}</p>'
    tree = html5lib.parseFragment(cell, treebuilder="etree", namespaceHTMLElements=False)
    (paragraph,) = list(tree)
    assert paragraph.tag == "p" and set(paragraph.attrib) == {"title"} and not list(paragraph)
    assert paragraph.text in (None, paragraph.get("title")) or paragraph.text == paragraph.get(
        "title"
    )
    data = html5lib.parseFragment(
        f'<script type="application/json">{script_json(name)}</script>',
        treebuilder="etree",
        namespaceHTMLElements=False,
    )
    (script,) = list(data)
    assert json.loads(script.text) == name


def test_tables_of_notebooks_are_text():
    frame = io.frame([{"param_name": name} for name in STORABLE], "coverage")
    html = table(frame, {"param_name": ("tensor <b>", None)}, "caption <i>").html
    harmless = io.frame([{"param_name": name} for name in HARMLESS], "coverage")
    same = table(harmless.head(len(STORABLE)), {"param_name": ("tensor", None)}, "caption").html
    assert skeleton(html)[0] == skeleton(same)[0]


def test_csv_holds_no_formula_and_gives_the_texts_back(tmp_path):
    data = io.frame([{"param_name": name} for name in STORABLE], "coverage")
    path = tmp_path / "coverage.csv"
    write_table(data, "coverage", path)
    with path.open(encoding="utf-8", newline="") as file:
        cells = [row["param_name"] for row in csv.DictReader(file)]
    assert not [cell for cell in cells if cell[:1] in set("=+-@\t\r\n＝＋－＠")]
    back = read_table(path, "coverage")["param_name"].tolist()
    assert [text for text in back if isinstance(text, str)] == [t for t in STORABLE if t]
    for form in ("json", "parquet"):
        write_table(data, "coverage", tmp_path / f"coverage.{form}")
        assert read_table(tmp_path / f"coverage.{form}", "coverage").equals(data)


def test_hostile_tokens_are_shown_as_text(tmp_path):
    vocabulary = {text: place for place, text in enumerate(dict.fromkeys(HOSTILE))}
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({"model": {"type": "BPE", "vocab": vocabulary}}))
    rows = np.random.default_rng(0).standard_normal((len(vocabulary), 6)).astype(np.float32)
    tokens = read_tokens(path, len(rows))
    analysis = analyze_embedding(rows, tokens, k_max=3, probe_tokens=HOSTILE)
    for name in ("clusters", "clusters_summary", "tokens"):
        file = tmp_path / f"{name}.csv"
        write_table(getattr(analysis, name), name, file)
        with file.open(encoding="utf-8", newline="") as lines:
            cells = [cell for line in csv.reader(lines) for cell in line]
        assert all(cell.isprintable() for cell in cells)
        numbers = re.compile(r"-?[\d.]+(e-?\d+)?")
        assert not [c for c in cells if c[:1] in "=+-@＝" and c and not numbers.fullmatch(c)]
        texts = "typical_tokens" if name == "clusters_summary" else "token"
        back = read_table(file, name)[texts].fillna("")  # CSV has no empty text
        assert back.tolist() == getattr(analysis, name)[texts].tolist()
    write_json(analysis.summary, tmp_path / "summary.json")
    for name, figure in embedding_figures(
        analysis.elbow,
        analysis.projection,
        analysis.clusters,
        analysis.clusters_summary,
        analysis.summary,
    ).items():
        save(figure, tmp_path / f"{name}.png")
    shown = cluster_cards(analysis.clusters_summary).html
    near = neighbor_table(analysis.tokens, range(len(rows)))
    shown += table(near, {"token": ("token", None), "near": ("near", None)}, "x").html
    tree = html5lib.parseFragment(shown, treebuilder="etree", namespaceHTMLElements=False)
    known = set(
        "ul li strong p bdi div table caption thead tbody tr th td DOCUMENT_FRAGMENT".split()
    )
    assert {element.tag for element in tree.iter()} <= known
    text = "".join(tree.itertext())
    assert "<script>alert(1)</script>" in text and "$\\\\frac{1}{0}$" in text.replace("␣", " ")
    assert not set("\x00\x1b\u202e\u200b\u2028") & set(shown)


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_logs_and_errors_are_one_printable_line(name):
    record = logging.LogRecord("x", logging.INFO, "x", 1, "reading %s", (name,), None)
    for line in (
        cli.PrintableLines("%(levelname)s %(message)s").format(record),
        cli.sentence(ValueError(name or "x")),
    ):
        assert line.isprintable() and "\n" not in line
        line.encode("utf-8")


def test_pictures_show_hostile_labels(tmp_path):
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.subplots()
    for number, name in enumerate(HOSTILE):
        axes.text(0, number, literal(name))
    figure.savefig(tmp_path / "labels.png")
    assert (tmp_path / "labels.png").stat().st_size > 1000
