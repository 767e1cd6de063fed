"""Report 25 as readers use it: maps of heads by mouse and keyboard, cards, the drawn graph."""

import re
import shutil

import pytest

from tests.browser.test_pages import picture, violations
from tests.conftest import ROOT
from tests.workflow.conftest import copy_of_the_project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The page of the demo's report on circuits."""
    project = copy_of_the_project(tmp_path_factory.mktemp("circuits"))
    shutil.copytree(ROOT / "resources/demo", project.folder / "demo")
    settings = ("model=demo", "analyses=[tensors,embedding,circuits]", "clustering={k_max: 8}")
    run = project.snakemake("--config", *settings)
    assert run.code == 0, run.text
    return project.folder / "results/local--demo/reports/25_circuits.html"


def drawn(visit, report, width=1200, **options):
    page = visit(report.as_uri(), width, **options).page
    page.wait_for_selector(".map-figure[data-ready]")
    return page


def test_a_head_names_its_score_under_the_mouse(report, visit):
    page = drawn(visit, report)
    figure = page.locator(".map-figure").first
    figure.locator('.cell[data-row="2"][data-at="1"]').hover()
    status = figure.locator(".status")
    assert re.match(r"Layer 2, head 1: copying score −?0\.\d+, median of", status.inner_text())
    figure.get_by_label("Metric").select_option(label="QK symmetry")
    figure.locator('.cell[data-row="2"][data-at="1"]').hover()
    assert "QK symmetry" in status.inner_text()


def test_the_keyboard_moves_between_heads(report, visit):
    page = drawn(visit, report)
    figure = page.locator(".map-figure").first
    assert figure.locator('.cell[tabindex="0"]').count() == 1
    figure.locator('.cell[data-row="0"][data-at="0"]').focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    assert figure.locator(".status").inner_text().startswith("Layer 1, head 2: ")


def test_a_head_opens_its_card_by_mouse_or_keyboard(report, visit):
    page = drawn(visit, report)
    for place, figure in enumerate(page.locator(".map-figure:has(.opened)").all()[:3]):
        figure.locator('.cell[data-row="2"][data-at="1"]').click()
        card = figure.locator(".opened li")
        assert card.locator("strong").inner_text() == "Layer 2, head 1"
        for word in ("Copying", "Attends from", "and writes"):
            assert word in card.inner_text()
        assert card.locator("bdi").count() == 48
        page.keyboard.press("Escape")
        assert card.count() == 0
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        assert card.locator("strong").inner_text() == "Layer 2, head 2"
        if not place:
            picture(page, "circuits-card")
            assert violations(page) == []


@pytest.mark.parametrize("look", ["light", "dark", "narrow"])
def test_cards_and_the_graph_are_readable(report, visit, look):
    options = {"color_scheme": "dark"} if look == "dark" else {}
    page = drawn(visit, report, 400 if look == "narrow" else 1200, **options)
    cards = page.locator("ul.cards > li")
    assert cards.count() == 6
    for word in ("Copying", "Attends from", "and writes"):
        assert word in cards.first.inner_text()
    graph = page.locator('svg[aria-label="Strongest compositions of heads"]')
    lines, heads = graph.locator("line"), graph.locator("circle")
    assert lines.count() == 40 and heads.count() > 5
    box = graph.bounding_box()
    for each in (lines.first, heads.first):
        own = each.bounding_box()
        assert box["x"] <= own["x"] and own["y"] + own["height"] <= box["y"] + box["height"]
    assert " writes " in lines.first.locator("title").text_content()
    # Lines and heads stand out from the page.
    colors = page.evaluate(
        "[document.body, document.querySelector('svg circle')].map(e =>"
        " getComputedStyle(e)).map((s, i) => i ? s.fill : s.backgroundColor)"
    )
    bright = [sum(map(int, re.findall(r"\d+", color)[:3])) for color in colors]
    assert abs(bright[0] - bright[1]) > 300
    picture(page, f"circuits-{look}")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert violations(page) == []
