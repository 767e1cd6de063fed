"""Pages: nothing from a model becomes markup, and nothing is fetched from anywhere."""

import json
import re
from html.parser import HTMLParser

import pytest

from workflow.lib import artefacts, pages, tables
from workflow.lib.markup import escape, policy, script_json

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
            "nan_count": 0,
            "posinf_count": 0,
            "neginf_count": 0,
        }
        for number, name in enumerate(names)
    ]
    params = tables.frame(rows, "params")
    for path in artefacts.ALL:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("x")
    tables.write_json(manifest, folder / "manifest.json")
    tables.write_json(audit, folder / "audit.json")
    tables.write_json({"reason": names[0]}, folder / "embedding" / "summary.json")
    tables.write_table(params, "params", folder / "params.parquet")
    tables.write_table(tables.frame([], "matrices"), "matrices", folder / "matrices.parquet")
    tables.write_table(tables.frame([], "layers"), "layers", folder / "layers.csv")
    tables.write_table(
        tables.frame([], "clusters_summary"),
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


def test_hostile_names_are_text_on_the_page(tmp_path):
    html = pages.model_page(write_results(tmp_path))
    page = assert_harmless(html)
    assert "onerror" not in dict(page.attributes)
    assert page.tags.count("script") == 2 and "alert(1)" in " ".join(page.texts)
    data = json.loads(re.search(r'id="data">(.*?)</script>', html, re.S)[1])
    assert data["values"]["param_name"][0] == NAMES[0]
    assert data["values"]["param_name"][3] == "a\\u202eb\\u200bc\\x00\\u2028d"


def test_portal_lists_finished_models_only(tmp_path):
    write_results(tmp_path / "one")
    write_results(tmp_path / "two", commit="c" * 40)
    (tmp_path / "one" / "index.html").write_text("x")
    (tmp_path / "two" / "index.html").write_text("x")
    write_results(tmp_path / "unfinished")
    html, entries = pages.portal(tmp_path)
    assert_harmless(html)
    assert [entry["folder"] for entry in entries] == ["one", "two"]
    assert entries[0] | {"findings": None} == {
        "model": NAMES[0],
        "revision": None,
        "commit": None,
        "folder": "one",
        "status": "complete",
        "type": NAMES[1],
        "parameters": 12345,
        "bytes": 24690,
        "created_at": "2026-01-02T03:04:05Z",
        "findings": None,
    }
    assert entries[1]["commit"] == "c" * 40
    assert pages.portal(tmp_path)[0] == html


def test_numbers_are_rounded_and_infinities_missing():
    rows = [{"param_name": "w", "std": 0.123456789, "mean": float("inf"), "numel": 10**12}]
    data = pages.parameters(tables.frame(rows, "params"))
    values = data["values"]
    assert (values["std"], values["mean"], values["numel"]) == ([0.12346], [None], [10**12])
    assert values["rank"] == [None]


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
