"""Models side by side on the page of all models."""

import shutil

import pytest

from blockresearch.files import write_json
from blockresearch.report import portal
from blockresearch.report.comparison import ROWS
from blockresearch.report.differences.page import comparison_page
from tests.browser.test_pages import violations
from tests.unit.report.differences.samples import difference, pair, write_comparison
from tests.unit.report.hostile import write_results

pytestmark = pytest.mark.slow


def column(label, *values):
    """A kind of matrix in as many layers as there are values."""
    metrics = dict.fromkeys(("stable_rank", "spectral_norm", "kurtosis_excess"), values)
    layers = list(range(len(values)))
    place = {"component": "text", "label": label, "layers": layers, "count": len(values)}
    return {**place, "std": values, **metrics}


@pytest.fixture
def models(tmp_path):
    """Three models: 2 and 4 layers, and a copy of the first with twice the numbers."""
    depths = {
        "a": [column("q_proj", 1.0, 2.0), column("moe", 1.0, 1.0)],
        "b": [column("q_proj", 1.0, 1.5, 3.0, 8.0)],
        "c": [column("q_proj", 2.0, 4.0)],
    }
    for place, (name, depth) in enumerate(depths.items()):
        write_results(tmp_path / name)
        numbers = {row.key: None for row in ROWS} | {
            "parameters": 1000 * (place + 1),
            "zero_share": 0.1,
            "nvfp4_sqnr_db": 20.0 + place,
            "stable_rank": 10.0 if place else 40.0,
        }
        write_json(
            {"numbers": numbers, "figures": [], "depth": depth, "provenance": {}},
            tmp_path / name / "comparison.json",
        )
        (tmp_path / name / "index.html").write_text("x")
    html, _ = portal.portal(tmp_path, {}, {})
    (tmp_path / "index.html").write_text(html, encoding="utf-8")
    return f"{(tmp_path / 'index.html').as_uri()}#compare="


def cells(page, label):
    row = page.locator("#side-by-side tbody tr:not(.group)", has_text=label).first
    return row.locator("td").all_inner_texts()


def test_two_models_with_difference_and_ratio(models, visit):
    page = visit(models + "a,b").page
    assert cells(page, "parameters") == ["1,000", "2,000", "+1,000", "× 2"]
    assert cells(page, "exact zeros") == ["10.0 %", "10.0 %", "0 points", "× 1"]
    assert cells(page, "NVFP4") == ["20.0 dB", "21.0 dB", "+1 dB", "+1 dB"]
    page.get_by_label("order").select_option("difference")
    first = page.locator("#side-by-side tbody tr").first.inner_text()
    assert first.startswith("stable rank, median") and "&order=difference" in page.url
    page.get_by_label("compared with (A)").select_option("b")
    assert "#compare=b,a" in page.url and cells(page, "parameters")[:2] == ["2,000", "1,000"]


def test_more_than_two_models_relative_to_the_first(models, visit):
    page = visit(models + "c,a,b&view=ratio").page
    assert cells(page, "parameters") == ["3,000", "× 0.333", "× 0.667"]
    page.get_by_label("other models").select_option("minus")
    assert cells(page, "parameters") == ["3,000", "−2,000", "−1,000"]
    page.reload()
    assert cells(page, "parameters") == ["3,000", "−2,000", "−1,000"]


def test_models_of_different_depth_by_relative_depth(models, visit):
    page = visit(models + "a,b").page
    charts = page.locator("#over-depth figure")
    assert charts.count() == 1 and charts.locator("polyline").count() == 2
    # The last layers: 2 and 8, then the first ones, which are equal.
    rows = page.locator("#over-depth tbody tr").all_inner_texts()
    assert [row.split("\t")[:3] for row in rows] == [["q_proj", "1", "3"], ["q_proj", "0", "0"]]
    assert rows[0].endswith("× 4") and "moe" in page.locator("#over-depth .caption").inner_text()
    # Under the keyboard and the mouse: the values of both at a relative depth.
    charts.locator("svg").focus()
    page.keyboard.press("End")
    values = charts.locator(".readout").inner_text()
    assert "Relative depth 1: " in values and "2 (layer 1)" in values and "8 (layer 3)" in values
    charts.locator("svg").hover(position={"x": 60, "y": 30})
    assert "(layer 0)" in charts.locator(".readout").inner_text()


def test_the_map_of_a_comparison_answers(tmp_path, visit):
    rows = [difference(f"l{n}", n, relative_change=n / 100) for n in range(3)]
    folder = write_comparison(tmp_path / "a-vs-b", rows, [pair("l0")])
    (folder / "index.html").write_text(comparison_page(folder), encoding="utf-8")
    page = visit((folder / "index.html").as_uri()).page
    cell = page.locator('.map .cell[data-row="2"]')
    cell.hover()
    assert "relative change 0.02" in page.locator(".map-figure .status").inner_text()
    cell.focus()
    page.keyboard.press("ArrowUp")
    assert page.locator(".map-figure .status").inner_text().startswith("Layer 1, q_proj")
    colors = page.locator(".map .cell").evaluate_all(
        "all => all.map((one) => one.getAttribute('fill'))"
    )
    assert colors[0].startswith("url") and colors[1:] == ["#440154", "#fde725"]
    with page.expect_download() as saved:
        page.get_by_role("button", name="CSV").click()
    assert "q_proj" in saved.value.path().read_text()


def test_a_cell_of_the_map_opens_its_rows(tmp_path, visit):
    rows = [difference(f"l{n}", n, relative_change=n / 100) for n in range(3)]
    folder = write_comparison(tmp_path / "a-vs-b", rows, [pair("l0")])
    (folder / "index.html").write_text(comparison_page(folder), encoding="utf-8")
    page = visit((folder / "index.html").as_uri()).page
    opened = page.locator(".map-figure .opened")
    page.locator('.map .cell[data-row="2"]').click()
    assert "Layer 2, q_proj" in opened.inner_text()
    assert opened.locator("tbody td").first.inner_text() == "l2"
    assert opened.locator("tbody td").nth(1).inner_text() == "2 %"
    assert opened.get_by_role("link").get_attribute("href").endswith("/index.html#tensor=l2")
    assert violations(page) == []
    # By the keyboard: open, close, and the focus is back on the cell.
    page.locator('.map .cell[data-row="1"]').focus()
    page.keyboard.press("Enter")
    assert opened.locator("tbody td").first.inner_text() == "l1"
    assert page.evaluate("document.activeElement.closest('.opened') !== null")
    page.keyboard.press("Escape")
    assert opened.inner_text() == ""
    assert page.evaluate("document.activeElement.dataset.row") == "1"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_comparisons_are_accessible_and_fit(models, tmp_path, visit, scheme, width):
    folder = write_comparison(
        tmp_path / "compare/a-vs-b",
        [difference(f"l{n}", n, relative_change=10.0**-n, delta_storage_rank=n) for n in range(9)],
        [pair("l0"), pair("only", "only_base")],
        [{"status": "added", "token": "ไทย", "other_id": 3}],
    )
    (folder / "index.html").write_text(comparison_page(folder), encoding="utf-8")
    for address in ((folder / "index.html").as_uri(), models + "a,b,c"):
        page = visit(address, width, color_scheme=scheme).page
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert violations(page) == []


def test_a_long_list_shows_the_first_hundred(tmp_path, visit):
    write_results(tmp_path / "model-000")
    for place in range(1, 130):
        shutil.copytree(tmp_path / "model-000", tmp_path / f"model-{place:03}")
    html, _ = portal.portal(tmp_path, {}, {})
    (tmp_path / "index.html").write_text(html, encoding="utf-8")
    page = visit((tmp_path / "index.html").as_uri()).page
    visible = page.locator("#models tbody tr:visible")
    assert visible.count() == 100
    assert page.locator("#shown").inner_text() == "130 of 130 models"
    page.get_by_label("Search").fill("no such model")
    assert page.locator("#all").is_hidden()
    page.get_by_label("Search").fill("")
    page.get_by_role("button", name="Show all 130").click()
    assert visible.count() == 130
