"""Pages in Firefox, where Debian's is: loaded without errors, and used by mouse and keyboard."""

import os
import shutil

import pytest

from tests.browser.conftest import ARTIFACTS
from tests.browser.test_pages import OWN, REPORTS
from tests.tools.firefox import firefox

pytestmark = pytest.mark.slow

DOWN, RIGHT, ENTER, ESCAPE = "\ue015", "\ue014", "\ue007", "\ue00c"

READY = "document.querySelector('#map[data-ready]')"


@pytest.fixture(scope="module")
def tab():
    """A tab of the system's Firefox; without one the tests are skipped, in CI they fail."""
    path = shutil.which("firefox-esr") or shutil.which("firefox")
    if path is None:
        text = "missing for the tests of pages: firefox-esr (apt-get)"
        if os.environ.get("BROWSER_TESTS") == "required":
            pytest.fail(text)
        pytest.skip(text)
    with firefox(path) as opened:
        yield opened


@pytest.fixture
def open_page(site, tab):
    """Open a page of the site; the test fails on errors and warnings of the console."""

    def opened(path, width=1280):
        tab.problems.clear()
        tab.open(f"{site.as_uri()}/{path}", width)
        return tab

    yield opened
    assert tab.problems == []


@pytest.mark.parametrize("path", [*OWN, *REPORTS])
def test_a_page_loads_and_fits(open_page, path):
    for width in (1280, 400):
        page = open_page(path, width)
        page.wait("document.readyState == 'complete'")
        assert page.value("document.documentElement.scrollWidth <= innerWidth")
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        name = path.replace("/", "-").removesuffix(".html")
        (ARTIFACTS / f"firefox-{name}-{width}.png").write_bytes(page.picture())


def test_a_map_answers_mouse_and_keyboard(open_page):
    page = open_page("local--demo/index.html")
    page.wait(READY)
    page.point('.map .cell[data-row="2"][data-at="1"]')
    said = page.value("document.querySelector('#map .status').textContent")
    assert said.startswith("Layer 2, k_proj: standard deviation 0.")
    page.value('document.querySelector(\'.map .cell[data-row="0"][data-at="0"]\').focus()')
    page.press(DOWN, DOWN, RIGHT, ENTER)
    page.wait("document.querySelector('#tensor h3')")
    title = "document.querySelector('#tensor h3').textContent"
    assert page.value(title) == "model.layers.2.self_attn.k_proj.weight"
    page.press(ESCAPE)
    page.wait("document.querySelector('#tensor').hidden")


def test_a_click_opens_the_panel_of_a_matrix(open_page):
    page = open_page("local--demo/index.html")
    page.wait(READY)
    page.point('.map .cell[data-row="1"][data-at="0"]', click=True)
    page.wait("document.querySelectorAll('#tensor .u-wrap').length > 1")
    shown = page.value("document.querySelector('#tensor').innerText")
    for text in ("Largest weights", "NVFP4", "noise edge"):
        assert text in shown
    assert page.value("location.hash").startswith("#tensor=")


def test_a_table_filters(open_page):
    page = open_page("local--demo/index.html")
    page.wait(READY)
    page.value("document.querySelector('input[type=search]').focus()")
    page.press(*"kurtosis>10")
    page.wait("document.querySelector('.problem').innerText")
    assert "did you mean" in page.value("document.querySelector('.problem').innerText")
