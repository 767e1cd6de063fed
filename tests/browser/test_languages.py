"""Pages in Chinese, and pages in two languages with a switch that is remembered."""

import re

import nbformat
import pandas as pd
import pytest

from blockresearch import results
from blockresearch.files import write_text
from blockresearch.language.catalogue import set_language
from blockresearch.report import glossary, model_page, notebook_cells, notebook_run
from blockresearch.report.plots.style import message, save
from tests.browser.test_pages import ready, violations
from tests.unit.report.hostile import write_results

pytestmark = pytest.mark.slow

# Texts of a page that show nothing but Latin letters: names of tensors, files and columns only.
SENTENCE = re.compile(r"[a-z]{3,} [a-z]{2,} [a-z]{2,}")


@pytest.fixture
def made(tmp_path):
    """A function that writes the page of a model in a language and returns its address."""

    def write(language):
        set_language(language)
        folder = write_results(tmp_path / "model", names=["a.weight", "b.weight", "c.weight"])
        for path in (*results.LAYER_FIGURES, *results.EMBEDDING_FIGURES):
            save(message("picture"), folder / path)
        html, *_ = model_page.model_page(folder)
        write_text(html, folder / "index.html")
        write_text(glossary.page({}), tmp_path / "glossary.html")
        return (folder / "index.html").as_uri()

    yield write
    set_language("en")


def visible_text(page):
    return page.evaluate("document.body.innerText")


def test_a_page_in_chinese_has_no_english_sentences(made, visit):
    page = ready(visit(made("zh")).page)
    lines = [line for line in visible_text(page).splitlines() if SENTENCE.search(line)]
    assert lines == [] and page.locator("html").get_attribute("lang") == "zh-Hans"
    assert page.locator("#language").count() == 0


def test_the_reader_switches_and_is_remembered(made, visit):
    page = ready(visit(made("both"), locale="en-US").page)
    assert "Findings" in visible_text(page) and "主要发现" not in visible_text(page)
    page.locator("#language").click()
    page.wait_for_selector("html[data-language=zh]")
    ready(page)
    assert "主要发现" in visible_text(page) and "Findings" not in visible_text(page)
    page.locator("caption", has_text="参数，每行一个张量").wait_for(state="attached")
    page.locator("nav a", has_text="术语表").click()
    page.wait_for_selector("html[data-language=zh]")
    assert "稳定秩" in visible_text(page)


def test_a_table_of_a_report_has_one_caption(tmp_path, visit):
    set_language("both")
    try:
        rows = pd.DataFrame({"layer": range(100)})
        table = notebook_cells.table(rows, {"layer": ("layer", str)}, "Files that were used")
        output = nbformat.v4.new_output("display_data", table._repr_mimebundle_())
        cell = nbformat.v4.new_code_cell(outputs=[output])
        html = notebook_run.to_html(nbformat.v4.new_notebook(cells=[cell]), "00_setup", "m")
    finally:
        set_language("en")
    write_text(html, tmp_path / "report.html")
    page = visit((tmp_path / "report.html").as_uri(), locale="zh-CN").page
    page.locator(".table-figure[data-ready]").wait_for()
    caption = page.locator(".window caption")
    assert caption.text_content() == "使用的文件"
    assert caption.bounding_box()["width"] <= 1, "the same text stands below the table"


@pytest.mark.parametrize("language", ["zh", "both"])
def test_pages_in_chinese_are_accessible(made, visit, language):
    page = ready(visit(made(language), locale="zh-CN").page)
    assert "主要发现" in visible_text(page), "the browser's language comes first"
    assert violations(page) == []
