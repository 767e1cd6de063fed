"""Figures of pages as readers use them: by mouse, by keyboard, from an address, as files."""

import csv
import io
import re

import pytest

from tests.browser.conftest import HOSTILE
from tests.browser.test_pages import column, picture, ready, violations

pytestmark = pytest.mark.slow


def cell(page, row, at):
    return page.locator(f'.map .cell[data-row="{row}"][data-at="{at}"]')


def mapped(visit, site, address):
    page = ready(visit(f"{site.as_uri()}/{address}").page)
    page.wait_for_selector("#map[data-ready]")
    return page


def saved(page, button):
    """The text of the file that a button gives."""
    with page.expect_download() as download:
        button.click()
    return download.value.suggested_filename, download.value.path().read_text(encoding="utf-8")


def test_a_cell_names_its_value_under_the_mouse(site, visit):
    page = mapped(visit, site, "local--demo/index.html")
    cell(page, 2, 1).hover()
    text = page.locator("#map .status").inner_text()
    assert re.match(r"Layer 2, k_proj: standard deviation 0\.\d+, [\d.]+ × the median", text)
    page.locator("#map").get_by_label("Metric").select_option(label="stable rank")
    cell(page, 2, 1).hover()
    assert "stable rank" in page.locator("#map .status").inner_text()
    assert page.url.endswith("#metric=stable_rank")


def test_the_keyboard_moves_opens_and_closes(site, visit):
    page = mapped(visit, site, "local--demo/index.html")
    assert page.locator('.map [tabindex="0"]').count() == 1
    cell(page, 0, 0).focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.dataset.row") == "2"
    page.keyboard.press("Enter")
    panel = page.locator("#tensor")
    panel.get_by_role("heading", name="layers.2").wait_for()
    assert page.evaluate("document.activeElement.localName") == "h3"
    page.keyboard.press("Escape")
    assert panel.is_hidden() and "tensor=" not in page.url
    assert page.evaluate("document.activeElement.dataset.row") == "2"


@pytest.mark.parametrize("look", ["light", "dark", "narrow"])
def test_the_panel_of_a_matrix(site, visit, look):
    options = {"color_scheme": "dark"} if look == "dark" else {}
    width = 400 if look == "narrow" else 1280
    page = ready(visit(f"{site.as_uri()}/local--demo/index.html", width, **options).page)
    page.wait_for_selector("#map[data-ready]")
    cell(page, 1, 0).click()
    panel = page.locator("#tensor")
    panel.locator(".u-wrap").nth(1).wait_for()
    assert panel.locator("h3").inner_text() == "model.layers.1.self_attn.q_proj.weight"
    shown = panel.inner_text()
    for text in ("Largest weights", "NVFP4", "median of q_proj", "noise edge", "normal distr"):
        assert text in shown
    panel.locator("summary").click()
    assert "stable rank" in panel.locator("dl").inner_text()
    panel.locator(".chart-box").first.focus()
    page.keyboard.press("End")
    assert "weight: " in panel.locator(".readout").first.inner_text()
    name, text = saved(page, panel.get_by_role("button", name="SVG").last)
    assert name == "spectrum.svg" and "noise edge" in text and text.count("<path") > 5
    picture(page, f"tensor-{look}")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert violations(page) == []


def test_an_address_opens_a_matrix(site, visit):
    name = "model.layers.3.mlp.down_proj.weight"
    page = mapped(
        visit, site, f"local--demo/index.html#tensor={name}&metric=stable_rank&color=value"
    )
    page.locator("#tensor h3").wait_for()
    assert page.locator("#tensor h3").inner_text() == name
    assert page.locator("#map").get_by_label("Metric").input_value() == "stable_rank"
    assert "chosen" in page.locator(".map .chosen").get_attribute("class")
    assert column(page, 1) == [name], "the table shows its row"
    page.get_by_role("button", name="model.embed_tokens.weight").click()
    page.locator("#tensor h3", has_text="embed_tokens").wait_for()
    assert page.locator(".map .chosen").count() == 0


def test_the_map_and_the_table_as_files(site, visit):
    page = mapped(visit, site, "local--demo/index.html")
    exports = page.locator("#map .exports")
    name, text = saved(page, exports.get_by_role("button", name="CSV"))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert name == "local--demo-layers.csv" and {row["block"] for row in rows} >= {"q_proj"}
    name, text = saved(page, exports.get_by_role("button", name="SVG"))
    assert name == "local--demo-std.svg" and text.startswith("<svg") and "xmlns=" in text
    alone = visit(f"{site.as_uri()}/glossary.html").page
    alone.set_content(text)
    assert alone.locator("svg rect.cell").count() >= len(rows)
    picture(alone, "map-as-svg")
    page.get_by_label("Filter", exact=True).fill("q_proj layer>=4")
    name, text = saved(page, page.get_by_role("button", name="Download these rows (CSV)"))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["layer_index"] for row in rows] == ["4", "5"]


def test_a_filter_names_what_it_does_not_know(site, visit):
    page = mapped(visit, site, "local--demo/index.html")
    search, problem = page.get_by_label("Filter", exact=True), page.locator(".problem").first
    for text, found in {
        "kurtosis>10": "there is no column kurtosis; did you mean excess_kurtosis?",
        "stable<20": "there is no column stable; did you mean stable_rank?",
        "zzzzzz>1": "there is no column zzzzzz.",
        "std>many": "many is not a number",
        "shape<5": "shape contains text; write shape=5.",
    }.items():
        search.fill(text)
        assert found in problem.inner_text()
        assert page.locator(".shown").inner_text().startswith("68 of 68")
    search.fill('"stable rank"<20 block_type=q_proj')
    assert problem.is_hidden()
    assert 0 < len(column(page, 1)) <= 6
    assert "filter=" in page.url
    page.locator("th", has_text="std").or_(page.locator("th", has_text="standard")).first.click()
    page.reload()
    ready(page)
    assert search.input_value() == '"stable rank"<20 block_type=q_proj'
    assert page.locator('th[aria-sort="descending"]').count() == 1


def test_components_roles_and_experts(site, visit):
    page = mapped(visit, site, "local--two-stacks/index.html")
    select = page.locator("#map").get_by_label("Component")
    assert select.locator("option").all_inner_texts() == ["encoder", "decoder"]
    select.select_option("decoder")
    picture(page, "map-of-experts")
    heads = page.locator('.map [role="columnheader"]').all_text_contents()
    at = heads.index("routed up_proj")
    cell(page, 1, at).click()
    panel = page.locator("#tensor")
    panel.locator("canvas.strip").wait_for()
    panel.get_by_label("Matrix (one of 4 in this cell)").select_option(index=2)
    panel.locator("h3", has_text="experts.2.up_proj").wait_for()
    assert violations(page) == []


def test_hostile_names_in_figures_are_text(site, visit):
    page = ready(visit(f"{site.as_uri()}/local--hostile/index.html").page)
    outside = page.locator("#map .outside button").all_inner_texts()
    assert HOSTILE[0] in outside
    page.locator("#map .outside button", has_text="<img").first.click()
    page.locator("#tensor h3").wait_for()
    assert page.locator("#tensor h3").inner_text() in outside


def test_without_scripts_and_on_paper_the_map_is_there(site, visit):
    page = visit(f"{site.as_uri()}/local--demo/index.html", java_script_enabled=False).page
    assert page.locator(".static").count() == 2 and page.locator(".static").first.is_visible()
    picture(page, "map-without-scripts")
    page = mapped(visit, site, "local--demo/index.html")
    assert not page.locator(".static").first.is_visible()
    page.emulate_media(media="print")
    assert page.locator(".static").first.is_visible()


REPORT = "local--demo/reports/{}.html"


def report(visit, site, name, width=1280, **options):
    page = visit(f"{site.as_uri()}/{REPORT.format(name)}", width, **options).page
    for kind in ("chart", "table", "token", "rows", "grid"):
        for figure in page.locator(f".{kind}-figure").all():
            figure.locator("xpath=self::*[@data-ready]").wait_for()
    return page


@pytest.mark.parametrize("name", ["10_summary_stats", "20_per_layer", "30_embedding_output"])
@pytest.mark.parametrize("look", ["light", "dark", "narrow"])
def test_reports_with_figures(site, visit, name, look):
    options = {"color_scheme": "dark"} if look == "dark" else {}
    page = report(visit, site, name, 400 if look == "narrow" else 1280, **options)
    picture(page, f"report-{name}-{look}")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert violations(page) == []


def test_a_chart_by_keyboard_legend_and_file(site, visit):
    page = report(visit, site, "20_per_layer")
    figure = page.locator(".chart-figure").first
    figure.locator(".chart-box").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    text = figure.locator(".readout").first.inner_text()
    assert text.startswith("layer (0 is next to the input): 1; q_proj: 0.0")
    only = figure.get_by_role("button", name="k_proj")
    only.click()
    assert only.get_attribute("aria-pressed") == "true"
    page.keyboard.press("Tab")
    figure.locator(".chart-box").first.focus()
    page.keyboard.press("ArrowRight")
    assert "q_proj" not in figure.locator(".readout").first.inner_text()
    name, text = saved(page, figure.get_by_role("button", name="CSV"))
    assert name == "depth.csv" and "q_proj" in text
    name, text = saved(page, figure.get_by_role("button", name="SVG"))
    assert name == "depth.svg" and text.startswith("<svg") and "spectral norm" in text


def test_rows_of_points_by_mouse_keyboard_and_file(site, visit):
    page = report(visit, site, "10_summary_stats")
    figure = page.locator(".rows-figure").nth(1)
    readout = figure.locator(".readout").first
    figure.locator(".chart-box").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert re.match(r"q_proj: median [\d.]+; [\d.]+ to [\d.]+$", readout.inner_text())
    page.keyboard.press("ArrowRight")
    assert "self_attn.q_proj.weight" in readout.inner_text()
    name, text = saved(page, figure.get_by_role("button", name="CSV"))
    assert name == "outliers.csv" and text.count("self_attn.q_proj.weight,q_proj") == 12
    name, text = saved(page, figure.get_by_role("button", name="SVG"))
    assert text.startswith("<svg") and ">q_proj<" in text
    box = figure.locator(".rows").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 6 + 2.5 * 22)
    assert readout.inner_text().startswith("k_proj: ") and "k_proj.weight" in readout.inner_text()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 6 + 2.5 * 22)
    page.wait_for_url("**/index.html#tensor=*")


def test_a_grid_of_numbers_by_keyboard_and_file(site, visit):
    page = report(visit, site, "10_summary_stats")
    figure = page.locator(".grid-figure")
    figure.locator('[tabindex="0"]').focus()
    for key in ("ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    assert re.fullmatch(
        r"q_proj, FP8, one scale: [\d.]+ dB", figure.locator(".status").inner_text()
    )
    name, text = saved(page, figure.get_by_role("button", name="CSV"))
    assert name == "low-bit-formats.csv" and "\nq_proj," in text


def test_a_table_of_a_report_filters_and_saves(site, visit):
    page = report(visit, site, "20_per_layer")
    table = page.locator(".table-figure").last
    table.get_by_label("Filter", exact=True).fill("q_proj layer<3")
    assert table.locator(".shown").inner_text() == "3 of 42 rows"
    repeated = table.locator(".live-part caption")
    assert repeated.bounding_box()["width"] <= 1, "the text is below"
    table.get_by_role("button", name="stable rank").click()
    assert "sort=-stable_rank" in page.url and "filter=" in page.url
    table.get_by_label("Filter", exact=True).fill("spectralnorm>1")
    assert "did you mean spectral_norm?" in table.locator(".problem").inner_text()
    table.get_by_label("Filter", exact=True).fill("q_proj layer<3")
    name, text = saved(page, table.get_by_role("button", name="Download these rows (CSV)"))
    assert name.endswith(".csv") and text.count("q_proj") == 3


def test_tokens_are_found_with_their_neighbors(site, visit):
    page = report(visit, site, "30_embedding_output")
    figure = page.locator(".token-figure")
    figure.get_by_label("Find a token").fill("the")
    assert "tokens contain this text" in figure.inner_text()
    figure.get_by_role("button", name="the", exact=True).first.click()
    assert re.search(r"Token \d+, cluster \d", figure.locator(".status").inner_text())
    assert "token=" in page.url
    assert "Nearest tokens" in figure.inner_text()
    figure.locator("canvas").focus()
    before = figure.locator(".status").inner_text()
    page.keyboard.press("ArrowRight")
    assert figure.locator(".status").inner_text() != before
    box = figure.locator("canvas").bounding_box()
    for step in range(20):
        page.mouse.move(box["x"] + box["width"] * (0.4 + step / 100), box["y"] + box["height"] / 2)
    assert "Token" in figure.locator(".status").inner_text()
    figure.get_by_label("Cluster 0").uncheck()
    name, text = saved(page, figure.get_by_role("button", name="CSV"))
    assert name == "token-map.csv" and text.startswith("token_id,token,cluster")
    page.reload()
    figure.locator(".status bdi").wait_for()
    page.emulate_media(media="print")
    assert figure.locator("img.static").is_visible()


def test_tokens_of_a_hostile_model_are_text(site, visit):
    page = visit(f"{site.as_uri()}/local--hostile/reports/30_embedding_output.html").page
    figure = page.locator(".token-figure[data-ready]")
    figure.get_by_label("Find a token").fill("onerror")
    assert any("<img␣src=x" in text for text in figure.locator("button").all_inner_texts())


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_maps_of_a_report_name_their_values(site, visit, scheme):
    page = ready(
        visit(f"{site.as_uri()}/local--demo/reports/20_per_layer.html", color_scheme=scheme).page
    )
    figure = page.locator(".map-figure").nth(1)
    page.wait_for_selector(".map-figure[data-ready] >> nth=-1")
    inside = figure.locator('.cell[data-row="2"][data-at="1"]')
    inside.hover()
    text = figure.locator(".status").inner_text()
    assert re.match(r"Layer 2, k_proj: spectral norm σ?", text)
    figure.get_by_label("Metric").select_option(label="stable rank")
    assert page.url.endswith("#map2-metric=stable_rank")
    inside.focus()
    page.keyboard.press("ArrowDown")
    assert figure.locator(".status").inner_text().startswith("Layer 3, k_proj: stable rank")
    assert not violations(page)
