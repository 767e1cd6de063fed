"""The page of a comparison."""

import re

from blockresearch.report.differences.page import comparison_page
from tests.unit.report.differences.samples import difference, pair, write_comparison
from tests.unit.report.hostile import NAMES, assert_harmless


def text_of(html):
    return re.sub(r"\s+", " ", " ".join(assert_harmless(html).texts))


def test_the_page_begins_with_autopsy_and_share(tmp_path):
    folder = write_comparison(
        tmp_path / "a-vs-b",
        [difference("layers.0.q", 0, relative_change=0.25, delta_storage_rank=4)],
        [pair("layers.0.q"), pair("extra", "only_other", note="new <head>")],
    )
    html = comparison_page(folder)
    text = text_of(html)
    assert "Something changed. 100 % of the parameters of the base and 50.0 %" in text
    assert "rank 4 of 32" in text and "new <head>" in text and "25 %" in text
    assert 'href="../../org--base/index.html#tensor=layers.0.q"' in html
    assert "cccccccccc" in text and "Both sides have the same tokens" in text


def test_heads_and_leading_directions_are_shown(tmp_path):
    turned = {"component": "text", "layer_index": 0, "block_type": "q_proj", "left_overlap_8": 0.75}
    head = {"component": "text", "layer_index": 3, "head": 5, "kv_head": 1}
    heads = [head | {"q_relative_change": 0.5, "q_overlap": 0.9}, head | {"head": 6}]
    folder = write_comparison(tmp_path / "x", [], [pair("a")], subspaces=[turned], heads=heads)
    text = text_of(comparison_page(folder))
    assert "Overlap of the leading directions" in text and "75.00 %" in text
    assert "text 3 5 (1) 50 % / 90.0 % – / –" in text and "6 (1)" not in text


def test_profiles_are_curves_beside_their_null(tmp_path):
    row = {"component": "text", "projection": "k_proj", "base_std": [1, 2], "other_std": [2, 3, 4]}
    row |= {"profile_correlation": 0.987, "null_correlation": 0.654}
    folder = write_comparison(tmp_path / "c", [], [pair("a")], profiles=[row])
    page = comparison_page(folder)
    assert "2 / 3" in page and "0.99" in page and "0.65" in page
    assert page.count("<svg") == 1


def test_hostile_names_are_text(tmp_path):
    rows = [difference(name, n, name, relative_change=0.1) for n, name in enumerate(NAMES)]
    tokens = [{"status": "added", "token": name, "other_id": n} for n, name in enumerate(NAMES)]
    folder = write_comparison(
        tmp_path / "x", rows, [pair(name, "only_base") for name in NAMES], tokens, NAMES[0]
    )
    assert "onerror" not in dict(assert_harmless(comparison_page(folder)).attributes)


def test_nothing_in_common_is_a_page_too(tmp_path):
    folder = write_comparison(tmp_path / "x", [], [pair("a", "only_base")])
    html = comparison_page(folder)
    assert "No element of a matched tensor changed." in text_of(html)
    assert "as in another architecture" in html
    assert html.count('href="../../index.html#compare=local--tuned,org--base"') == 2
