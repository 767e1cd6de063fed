"""Pages: nothing from a model becomes markup, and nothing is fetched from anywhere."""

import base64
import gzip
import json
import re
from html.parser import HTMLParser

import pytest

from blockresearch.failures import Failure
from blockresearch.files import write_json
from blockresearch.report import comparison, glossary, model_page, portal
from blockresearch.report.pages import escape, policy, script_json
from blockresearch.report.plots import style
from blockresearch.results import ALL
from blockresearch.tables.columns import SCHEMAS
from blockresearch.tables.io import frame, write_table

NAMES = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "$x$ {{ 7*7 }} \" onload='x'",
    "a\u202eb\u200bc\x00\u2028d",
    "&lt;b&gt;",
]


class Elements(HTMLParser):
    """Collects tags, attributes and texts of a page as a browser would see them."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.texts = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_data(self, data):
        self.texts.append(data)


def write_results(folder, names=NAMES, commit=None):
    manifest = {
        "model": NAMES[0],
        "model_id": NAMES[0] if commit else None,
        "model_path": NAMES[1],
        "revision": "main" if commit else None,
        "commit": commit,
        "created_at": "2026-01-02T03:04:05Z",
        "files": [
            {"path": NAMES[0], "size": 10, "sha256": "0" * 64, "git_sha1": None, "role": "shard"}
        ],
        "config": {"architectures": [NAMES[1]], "hidden_size": NAMES[0], "vocab_size": True},
        "embedding": names[0],
        "output": names[1],
        "tied": False,
        "totals": {"tensors": len(names), "parameters": 12345, "bytes": 24690},
    }
    finding = {
        "severity": "warning",
        "check": "all_zero",
        "where": names[0],
        "evidence": names[1],
        "meaning": names[2],
    }
    audit = {"counts": {"error": 0, "warning": 1, "note": 0}, "findings": [finding]}
    rows = [
        {
            "param_name": name,
            "component": name,
            "layer_index": number,
            "block_type": name,
            "shape": "[4, 4]",
            "dtype": "BF16",
            "numel": 16,
            "std": 0.1 * (number + 1),
            "finite_count": 16,
            "nan_count": 0,
            "posinf_count": 0,
            "neginf_count": 0,
        }
        for number, name in enumerate(names)
    ]
    params = frame(rows, "params")
    for path in ALL:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("x")
    write_json(manifest, folder / "manifest.json")
    write_json(audit, folder / "audit.json")
    write_json({"reason": names[0]}, folder / "embedding" / "summary.json")
    write_table(params, "params", folder / "params.parquet")
    write_table(frame([], "matrices"), "matrices", folder / "matrices.parquet")
    write_table(frame([], "layers"), "layers", folder / "layers.csv")
    write_table(frame([], "elbow"), "elbow", folder / "embedding" / "elbow.csv")
    write_table(
        frame([], "clusters_summary"),
        "clusters_summary",
        folder / "embedding" / "clusters_summary.csv",
    )
    return folder


def assert_harmless(html):
    page = Elements(html)
    assert page.tags.count("script") == html.count("<script")
    assert not any(name.startswith("on") for name, _ in page.attributes)
    links = [value for name, value in page.attributes if name in ("href", "src")]
    assert not [link for link in links if re.match(r"(?i)\s*(//|\w+:)", link)]
    assert not set("\u202e\u200b\x00\u2028") & set(html)
    return page


def unpacked(html):
    text = re.search(r'id="data">(.*?)</script>', html, re.S)[1]
    return json.loads(gzip.decompress(base64.b64decode(text)))


def names_of(data):
    """Names as the page's script puts them together."""
    names = []
    for packed in data["values"]["param_name"]:
        place, *numbers = packed if isinstance(packed, list) else [packed]
        name = data["texts"]["param_name"][place]
        for number in numbers:
            name = name.replace("#", str(number), 1)
        names.append(name)
    return names


def test_hostile_names_are_text_on_the_page(tmp_path):
    html, numbers = model_page.model_page(write_results(tmp_path))
    page = assert_harmless(html)
    assert "onerror" not in dict(page.attributes)
    assert page.tags.count("script") == 2 and "alert(1)" in " ".join(page.texts)
    names = names_of(unpacked(html))
    assert NAMES[0] in names and "a\\u202eb\\u200bc\\x00\\u2028d" in names
    json.dumps(numbers, allow_nan=False)


def test_portal_says_what_is_finished_and_what_failed(tmp_path):
    write_results(tmp_path / "one")
    write_results(tmp_path / "two", commit="c" * 40)
    page, numbers = model_page.model_page(tmp_path / "two")
    write_json(numbers, tmp_path / "two" / "comparison.json")
    for name in ("one", "two"):
        (tmp_path / name / "index.html").write_text("x")
    write_results(tmp_path / "unfinished")
    (tmp_path / "failed").mkdir()
    failures = {"failed": Failure("resolve_model", f"{NAMES[0]}: not there.")}
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "manifest.json").write_text('{"model_id":')
    (tmp_path / "no_model").mkdir()
    html, entries = portal.portal(tmp_path, failures)
    page = assert_harmless(html)
    assert {entry["folder"]: entry["status"] for entry in entries} == {
        "damaged": "unfinished",
        "failed": "failed",
        "one": "complete",
        "two": "complete",
        "unfinished": "unfinished",
    }
    one = next(entry for entry in entries if entry["folder"] == "one")
    assert one["model"] == NAMES[0] and one["type"] == NAMES[1] and one["parameters"] == 12345
    assert page.tags.count("input") == 2, "a search and one model with numbers to compare"
    assert f"resolve_model: {NAMES[0]}: not there." in " ".join(page.texts)
    assert portal.portal(tmp_path, failures)[0] == html


def test_a_failure_after_the_page_is_named(tmp_path):
    folder = write_results(tmp_path / "one")
    (folder / "index.html").write_text("x")
    assert portal.entry(folder)["status"] == "complete"
    failed = portal.entry(folder, Failure("analyze", "no space is left."))
    assert failed["status"] == "failed" and failed["reason"] == "analyze: no space is left."
    for reason in (None, "ended by SIGINT: the run was interrupted."):
        assert portal.entry(folder, Failure("merge", reason))["status"] == "unfinished"


def test_parameters_are_rounded_in_natural_order():
    rows = [
        {"param_name": name, "std": 0.123456789, "mean": float("inf"), "numel": 10**12}
        for name in ("b.10.w", "b.2.w", "b.02.x", "#1")
    ]
    data = model_page.parameters(frame(rows, "params"))
    values = data["values"]
    assert names_of(data) == ["#1", "b.2.w", "b.02.x", "b.10.w"]
    assert values["std"] == [0.1235] * 4 and values["mean"] == [None] * 4
    assert values["numel"] == [10**12] * 4 and values["rank"] == [None] * 4


def test_numbers_to_compare_are_those_of_the_tables():
    params = frame(
        [
            {"block_type": "q_proj", "numel": 30, "dtype": "F32", "shape": "[5, 6]"},
            {"block_type": "embedding", "numel": 10, "dtype": "BF16", "shape": "[5, 2]"},
            {"block_type": "norm", "numel": 60, "dtype": "F32", "shape": "[60]"},
        ],
        "params",
    )
    matrices = frame(
        [
            {"rows": 5, "cols": 6, "rank_ratio": 1.0, "stable_rank": 2.0, "max_over_rms": 9.0},
            {"rows": 5, "cols": 2, "rank_ratio": 0.5, "stable_rank": 4.0, "max_over_rms": 3.0},
        ],
        "matrices",
    )
    manifest = {"totals": {"parameters": 100, "tensors": 3, "bytes": 380}}
    audit = {"counts": {"error": 0, "warning": 2, "note": 0}}
    found = comparison.numbers(manifest, params, matrices, audit, {"rows": 5, "dimensions": 2})
    assert [found[key] for key in ("attention_share", "embedding_share", "other_share")] == [
        0.3,
        0.1,
        pytest.approx(0.6),
    ]
    assert found["dtypes"] == "F32, BF16" and found["full_rank_share"] == 0.5
    assert found["stable_rank"] == 3.0 and found["max_over_rms"] == 9.0
    assert found["alpha"] is None and found["warnings"] == 2 and found["layers"] is None
    texts = dict(zip([row.key for row in comparison.ROWS], comparison.written(found), strict=True))
    assert (
        texts["stable_rank"] == "3.00" and texts["alpha"] == "–" and texts["bytes"] == "380 bytes"
    )
    [blocks] = comparison.composition(params).values()
    assert [block.block_type for block in blocks] == ["embedding", "q_proj", "norm"]


def test_the_glossary_has_every_column_and_anchor():
    html = glossary.page()
    anchors = set(re.findall('id="(.*?)"', html))
    for table, schema in SCHEMAS.items():
        assert {glossary.anchor(table, column.name) for column in schema.columns} <= anchors
    assert "Σ<sub>σ &gt; t</sub> σ / Σ<sub>σ ≤ t</sub> σ / σ₁" in html and "_{" not in html
    assert {row.anchor for row in comparison.ROWS} - {""} <= anchors
    assert {glossary.anchor("params", name) for name in model_page.COLUMNS} <= anchors


def test_block_types_have_a_color_and_a_definition():
    assert set(glossary.BLOCK_TYPES) == set(style.BLOCKS)


@pytest.mark.parametrize("name", NAMES)
def test_escape_and_script_json(name):
    assert not set("<>\"'") & set(escape(name))
    assert not set("<>&\u2028") & set(script_json(name))
    if name.isprintable():
        assert json.loads(script_json(name)) == name


def test_policy_names_the_inline_texts_only():
    text = policy(styles=["a{}"], scripts=[])
    assert "default-src 'none'" in text and "script-src 'none'" in text
    assert "unsafe" not in text and "http" not in text
