"""Pages as readers meet them: in a real browser, from a folder and from a static server."""

import json
import re
import time
from urllib.parse import unquote, urldefrag

import numpy as np
import pandas as pd
import pytest

from blockresearch import results
from blockresearch.files import write_text
from blockresearch.report import model_page
from blockresearch.tables.io import columns, frame, typed, write_table
from tests.browser.conftest import ARTIFACTS, HOSTILE
from tests.unit.report.hostile import write_results

pytestmark = pytest.mark.slow

OWN = ("index.html", "glossary.html", "local--demo/index.html", "local--hostile/index.html")
REPORTS = tuple(
    f"local--{model}/{path}" for model in ("demo", "hostile") for path in results.REPORT_PAGES
)
COMPARED = "index.html#compare=local--demo,local--hostile"


def ready(page):
    """The page, once its table of parameters is drawn."""
    if page.locator(".window").count():
        page.wait_for_selector(".window[data-ready]")
    return page


def picture(page, name):
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"{name}.png", full_page=True)


def violations(page):
    """Serious and critical findings of axe, as (rule, first element)."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        (one["id"], one["nodes"][0]["html"][:200])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("path", [*OWN, *REPORTS, COMPARED])
@pytest.mark.parametrize("scheme", ["file", "http"])
def test_a_page_loads_alone_and_without_errors(site, server, visit, path, scheme):
    page = ready(visit((site.as_uri() + "/" if scheme == "file" else server) + path).page)
    page.wait_for_load_state("networkidle")
    blank = "images => images.filter(i => !i.naturalWidth).map(i => i.src)"
    assert page.eval_on_selector_all("img", blank) == []
    assert "alert" not in page.evaluate("[...document.scripts].map(s => s.src).join()")


@pytest.mark.parametrize("path", [*OWN, *REPORTS, COMPARED])
@pytest.mark.parametrize("look", ["light", "dark", "narrow"])
def test_a_page_is_accessible_and_fits(site, visit, path, look):
    options = {"color_scheme": "dark"} if look == "dark" else {}
    width = 400 if look == "narrow" else 1200
    page = ready(visit(f"{site.as_uri()}/{path}", width, **options).page)
    picture(page, re.sub(r"\W+", "-", path.replace(".html", "")) + f"-{look}")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    dark = sum(map(int, re.findall(r"\d+", background)[:3])) < 200
    assert dark == (look == "dark")
    assert violations(page) == []


@pytest.mark.parametrize("model", ["two-stacks", "vectors"])
def test_pages_of_other_kinds_of_models(site, visit, model):
    for path in ("index.html", *results.REPORT_PAGES):
        page = ready(visit(f"{site.as_uri()}/local--{model}/{path}").page)
        picture(page, re.sub(r"\W+", "-", f"local-{model}-{path.replace('.html', '')}"))
        blank = "images => images.filter(i => !i.naturalWidth).map(i => i.src)"
        assert page.eval_on_selector_all("img", blank) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert violations(page) == []


def test_axe_would_find_something(site, visit):
    page = visit(f"{site.as_uri()}/glossary.html").page
    page.evaluate("document.body.append(document.createElement('button'))")
    assert [rule for rule, _ in violations(page)] == ["button-name"]


@pytest.mark.parametrize("path", OWN)
def test_links_lead_somewhere(site, visit, path):
    page = ready(visit(f"{site.as_uri()}/{path}").page)
    for link in page.eval_on_selector_all("a[href]", "links => links.map(l => l.href)"):
        file, anchor = urldefrag(link)
        target = site / unquote(file).removeprefix(unquote(site.as_uri()) + "/")
        assert target.is_file(), link
        if anchor and not anchor.startswith(("compare=", "tensor=")):
            assert f'id="{anchor}"' in target.read_text(encoding="utf-8"), link


def column(page, place):
    return page.locator(f".window tbody tr[aria-rowindex] td:nth-child({place})").all_inner_texts()


def test_the_table_sorts_by_mouse_and_keyboard(site, visit):
    page = ready(visit(f"{site.as_uri()}/local--demo/index.html").page)
    table = page.locator(".window")
    head = table.get_by_role("columnheader", name="parameters")
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    sizes = [int(text.replace(",", "")) for text in column(page, 6)]
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) > 3
    name = table.get_by_role("columnheader", name="tensor")
    name.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert name.get_attribute("aria-sort") == "ascending"
    assert head.get_attribute("aria-sort") == "none"
    assert column(page, 1) == sorted(column(page, 1), key=model_page.natural)
    table.locator("th:has(button[title^='numerical rank'])").get_by_role("button").click()
    assert column(page, 12)[0] != "–", "missing numbers come last"


def test_the_table_filters_by_name_number_and_type(site, visit):
    page = ready(visit(f"{site.as_uri()}/local--demo/index.html").page)
    page.get_by_label("Filter", exact=True).fill("q_proj layer>=4")
    assert (
        page.locator("#parameter-table .shown").inner_text().startswith("2 of 68 tensors, 61,440")
    )
    assert page.locator(".window table").get_attribute("aria-rowcount") == "3"
    page.get_by_label("Filter", exact=True).fill("")
    page.locator("#parameter-table .controls").get_by_label("block type").select_option(
        label="embedding"
    )
    assert column(page, 1) == ["model.embed_tokens.weight"]
    page.get_by_label("Filter", exact=True).fill("nothing is called so")
    assert column(page, 1) == [] and page.locator(
        "#parameter-table .shown"
    ).inner_text().startswith("0 of 68")


def test_a_link_in_a_finding_shows_its_tensor(site, visit):
    page = visit(f"{site.as_uri()}/local--demo/reports/20_per_layer.html").page
    link = page.locator(".lead a").first
    name = link.text_content()
    link.click()
    assert ready(page).url.endswith(f"index.html#tensor={name}")
    assert column(page, 1) == [name]


def test_the_table_is_printed_whole(site, visit):
    page = ready(visit(f"{site.as_uri()}/local--demo/index.html").page)
    assert len(column(page, 1)) < 68
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert len(column(page, 1)) == 68
    page.emulate_media(media="print")
    picture(page, "print-demo")


def test_hostile_names_are_text(site, visit):
    page = ready(visit(f"{site.as_uri()}/local--hostile/index.html").page)
    names = column(page, 1)
    assert HOSTILE[0] in names and HOSTILE[1] in names and HOSTILE[3] in names
    assert any("a\\u202eb\\u200bc {{ 7*7 }}" in name for name in names)
    clusters = visit(f"{site.as_uri()}/local--hostile/reports/30_embedding_output.html").page
    assert "<img src=x onerror=alert(1)>" in clusters.locator("body").inner_text()
    audit = visit(f"{site.as_uri()}/local--hostile/reports/00_setup.html").page
    assert "<img src=x onerror=alert(1)>" in audit.locator("body").inner_text()


FROM_DATA = """() => [...document.querySelectorAll('*')].filter(e =>
    [...e.attributes].some(a => /^on/.test(a.name) || /^\\s*javascript:/i.test(a.value))
    || ['iframe', 'object', 'embed', 'base', 'form'].includes(e.localName)
    || e.localName === 'img' && !/^(data:image|[a-z]+[.]png|figures)/.test(e.getAttribute('src'))
    || e.localName === 'script' && e.type !== 'application/json' && /alert[(]/.test(e.text)
    || e.localName === 'style' && /display:none}<|^[*]/.test(e.textContent)
    || e.localName === 'a' && /alert/.test(e.href.replace(/#tensor=.*/, '')))
    .map(e => e.outerHTML.slice(0, 200))"""


@pytest.mark.parametrize("path", [*(page for page in (*OWN, *REPORTS) if "demo" not in page)])
def test_nothing_on_a_page_is_made_from_data(site, visit, path):
    page = ready(visit(f"{site.as_uri()}/{path}").page)
    assert page.evaluate(FROM_DATA) == []


def test_the_portal_names_a_failed_model_and_searches(site, visit):
    page = visit(f"{site.as_uri()}/index.html").page
    row = page.locator("#models tbody tr", has_text="broken")
    assert "failed" in row.inner_text() and "resolve_model: " in row.inner_text()
    assert row.locator("input, a").count() == 0
    page.get_by_label("Search").fill("demo")
    assert page.locator("#models tbody tr:visible").count() == 1
    assert page.locator("#shown").inner_text() == "1 of 5 models"


def test_the_address_keeps_the_compared_models(site, visit):
    page = visit(f"{site.as_uri()}/index.html").page
    assert page.locator("#comparison").is_hidden()
    page.get_by_label("compare demo").check()
    assert page.locator("#shown").inner_text() == "5 of 5 models; tick another one to compare"
    page.get_by_label("compare hostile").check()
    assert page.url.endswith("#compare=local--demo,local--hostile")
    line = page.locator("#side-by-side tr", has_text="parameters").first
    assert line.locator("td").all_inner_texts()[0] == "2,444,704"
    assert page.locator("#pictures img").count() >= 4
    page.reload()
    assert page.locator("#side-by-side thead th").all_inner_texts()[-2:] == ["B − A", "B / A"]
    page.get_by_role("button", name="Clear").click()
    assert page.locator("#comparison").is_hidden() and "#" not in page.url
    strange = visit(f"{site.as_uri()}/index.html#compare=%zz,<img src=x>,local--demo").page
    assert strange.locator("#comparison").is_hidden()


def test_snakemakes_report_opens_and_names_every_model(site, visit):
    report = visit(f"{site.as_uri()}/report/report.html")
    page = report.page
    page.wait_for_selector("text=local--demo")
    # Snakemake's page holds a copy of Tailwind, which warns that it is one.
    report.problems[:] = [text for text in report.problems if "Tailwind CSS" not in text]
    picture(page, "snakemake-report")
    page.get_by_text("local--demo").first.click()
    page.get_by_text("layers", exact=True).first.click()
    page.wait_for_selector("text=stable rank")
    picture(page, "snakemake-report-layers")


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """The page of a model with 90,000 tensors, as a mixture of 500 experts has in 60 layers."""
    folder = write_results(tmp_path_factory.mktemp("large"))
    random = np.random.default_rng(0)
    data = frame(
        [
            {
                "param_name": f"model.layers.{layer}.mlp.experts.{expert}.{name}.weight",
                "component": "text",
                "layer_index": layer,
                "block_type": ("moe", "router", "norm")[expert % 3],
                "shape": [2048, 7168],
                "dtype": "BF16",
                "numel": 2048 * 7168,
                "rank": 2048 - int(random.integers(3)),
            }
            for layer in range(60)
            for expert in range(500)
            for name in ("gate_proj", "up_proj", "down_proj")
        ],
        "params",
    )
    for name in model_page.COLUMNS:
        if data[name].isna().all():
            numbers = random.lognormal(0, 1, len(data)) / 50
            is_count = isinstance(data[name].dtype, pd.Int64Dtype)
            data[name] = (1e4 * numbers).astype(int) if is_count else numbers
    for name in ("nan_count", "posinf_count", "neginf_count", "finite_count"):
        data[name] = 0
    write_table(data, "params", folder / "params.parquet")
    names = data["param_name"]
    matrices = data[["param_name", "component", "layer_index", "block_type", "std"]].assign(
        slice="",
        expert_index=names.str.extract(r"experts\.(\d+)")[0].astype(int),
        projection=names.str.extract(r"(\w+)_proj")[0],
        block_type="moe",
        role="routed",
        rows=2048,
        cols=7168,
    )
    lists = {
        "matrices": matrices,
        "spectra": pd.DataFrame({"singular_values": [[4.0, 2.0, 1.0]] * len(names)}),
        "histograms": pd.DataFrame(
            {"codes": [[0x3F80, 0x4000]] * len(names), "counts": [[3, 4]] * len(names)}
        ).assign(dtype="BF16"),
    }
    for table, own in lists.items():
        own = own.assign(param_name=names, slice="").reindex(columns=columns(table))
        write_table(typed(own, table), table, folder / f"{table}.parquet")
    page = folder / "index.html"
    html, _, scripts = model_page.model_page(folder)
    write_text(html, page)
    for name, text in scripts.items():
        write_text(text, folder / "details" / name)
    return page


def test_ninety_thousand_rows(large, visit):
    """Seconds and bytes go to a file: a machine that is busy must not fail the test."""
    assert large.stat().st_size < 500_000
    start = time.perf_counter()
    page = ready(visit(large.as_uri()).page)
    opened = time.perf_counter() - start
    in_page = page.evaluate("performance.now()") / 1000
    assert len(column(page, 1)) < 100, "only rows in sight are drawn"
    timed = """([find, event, value]) => {
      const field = document.querySelector(find), start = performance.now();
      if (value !== null) field.value = value;
      field.dispatchEvent(new Event(event));
      document.querySelector(".window").getBoundingClientRect();
      return performance.now() - start;
    }"""
    steps = {
        "search": ["#parameter-table .controls input", "input", "experts.77."],
        "condition": ["#parameter-table .controls input", "input", "layer>=30 std>0.02"],
        "everything": ["#parameter-table .controls input", "input", ""],
        "choice": ["#parameter-table .controls select", "change", "1"],
        "no_choice": ["#parameter-table .controls select", "change", ""],
        "sort_by_name": [".window th:nth-child(1) button", "click", None],
        "sort_by_number": [".window th:nth-child(8) button", "click", None],
        "sort_the_other_way": [".window th:nth-child(8) button", "click", None],
    }
    spent = {name: round(page.evaluate(timed, step), 1) for name, step in steps.items()}
    page.locator("#parameter-table .controls input").fill("experts.77.down layer=59")
    assert column(page, 1) == ["model.layers.59.mlp.experts.77.down_proj.weight"]
    page.locator("#parameter-table .controls input").fill("")
    page.evaluate("document.querySelector('.window').scrollTop = 1e9")
    last = page.locator(".window tr[aria-rowindex='90001']")
    last.wait_for(state="attached")
    figures = {"rows": 90_000, "bytes": large.stat().st_size, "opened_s": round(opened, 2)}
    figures["opened_in_page_s"] = round(in_page, 2)
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    text = json.dumps(figures | {"milliseconds": spent}, indent=1)
    (ARTIFACTS / "ninety_thousand_rows.json").write_text(text + "\n")


def test_details_of_ninety_thousand_matrices(large, visit):
    """Only the details of the matrices that are opened are loaded, from a folder."""
    page = visit(large.as_uri()).page
    page.wait_for_selector("#map[data-ready]")
    scripts = (
        "[...document.scripts].map(s => s.getAttribute('src')).filter(s => /details-/.test(s))"
    )
    assert page.evaluate(scripts) == []
    page.locator('.map .cell[data-row="59"][data-at="2"]').click()
    page.locator("#tensor canvas.strip").wait_for()
    assert page.evaluate(scripts) == ["details/details-44.js"]
    page.get_by_label("Matrix (one of 500 in this cell)").select_option(index=499)
    heading = page.locator("#tensor h3", has_text="experts.499")
    heading.wait_for()
    assert heading.inner_text() == "model.layers.59.mlp.experts.499.up_proj.weight"
    picture(page, "ninety-thousand-matrices")
    assert violations(page) == []
