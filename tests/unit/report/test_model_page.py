"""The page of a model: nothing from the model becomes markup."""

import base64
import gzip
import json
import re

from blockresearch.files import write_json
from blockresearch.report import model_page
from blockresearch.tables.io import frame
from tests.unit.report.hostile import NAMES, assert_harmless, write_results


def unpacked(html):
    text = re.search(r'id="data-parameters">(.*?)</script>', html, re.S)[1]
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
    html, numbers, scripts = model_page.model_page(write_results(tmp_path))
    page = assert_harmless(html)
    assert "onerror" not in dict(page.attributes)
    assert "alert(1)" in " ".join(page.texts)
    assert not scripts and "script-src &#39;sha256" in html
    names = names_of(unpacked(html))
    assert NAMES[0] in names and "a\\u202eb\\u200bc\\x00\\u2028d" in names
    json.dumps(numbers, allow_nan=False)


def test_plans_that_exist_are_on_the_page(tmp_path):
    folder = write_results(tmp_path)
    assert 'id="plans"' not in model_page.model_page(folder)[0]
    write_json({"suspects": [1, 2], "files": ["a.json"]}, folder / "plans/suspects_plan.json")
    html = model_page.model_page(folder)[0]
    assert "2 weights or places stand out" in html and "not models" in html
    assert 'href="plans/suspects/a.json"' in html


def test_parameters_are_rounded_in_natural_order():
    rows = [
        {"param_name": name, "std": 0.123456789, "mean": float("inf"), "numel": 10**12, "shape": []}
        for name in ("b.10.w", "b.2.w", "b.02.x", "#1")
    ]
    data = model_page.parameters(frame(rows, "params"))
    values = data["values"]
    assert names_of(data) == ["#1", "b.2.w", "b.02.x", "b.10.w"]
    assert values["std"] == [0.1235] * 4 and values["mean"] == [None] * 4
    assert values["numel"] == [10**12] * 4 and values["rank"] == [None] * 4
