"""Results of a model with hostile names, and what a browser sees of a page."""

import re
from html.parser import HTMLParser

from blockresearch.files import write_json
from blockresearch.report.findings.record import Finding, Place, as_records
from blockresearch.results import ALL
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
            "shape": [4, 4],
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
    insight = Finding("rule", "values", "warning", names[0], (Place(names[0]),), why=names[1])
    write_json({"findings": as_records([insight])}, folder / "findings.json")
    write_json({"reason": names[0]}, folder / "embedding" / "summary.json")
    write_table(params, "params", folder / "params.parquet")
    write_table(frame([], "matrices"), "matrices", folder / "matrices.parquet")
    write_table(frame([], "layers"), "layers", folder / "layers.parquet")
    write_table(frame([], "elbow"), "elbow", folder / "embedding" / "elbow.parquet")
    for table in ("spectra", "histograms"):
        write_table(frame([], table), table, folder / f"{table}.parquet")
    write_table(
        frame([], "clusters_summary"),
        "clusters_summary",
        folder / "embedding" / "clusters_summary.parquet",
    )
    return folder


def assert_harmless(html):
    page = Elements(html)
    assert page.tags.count("script") == html.count("<script")
    assert not any(name.startswith("on") for name, _ in page.attributes)
    links = [value for name, value in page.attributes if name in ("href", "src")]
    assert not [link for link in links if re.match(r"(?i)\s*(//|\w+:)", link)]
    assert not set("\u202e\u200b\x00\u2028") & set(html)
    assert not re.search(r"<h[1-6](?![^>]* id=)", html), "a heading without an id"
    return page
