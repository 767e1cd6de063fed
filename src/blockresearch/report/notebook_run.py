"""Run a notebook and turn it into a page; the bytes of both depend only on its content."""

import copy
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from blockresearch import results
from blockresearch.files import write_text
from blockresearch.language.catalogue import TAGS, languages, spoken, translated
from blockresearch.language.sentence import say
from blockresearch.project import PACKAGE, PROJECT
from blockresearch.report.citation import ending
from blockresearch.report.figures.live import LIVE
from blockresearch.report.figures.scripts import BASE, REPORT_FIGURES, STYLES
from blockresearch.report.headings import ids, with_ids
from blockresearch.report.pages import policy, read_template, script_json, script_messages
from blockresearch.report.words import in_each, plain, words
from blockresearch.text import visible

log = logging.getLogger(__name__)

TEMPLATES = PACKAGE / "report" / "templates"

# Name -> label, in the order in which they are read.
REPORTS = {name: report.label for name, report in results.REPORTS.items()}
ON_DEMAND = {name: report.label for name, report in results.ON_DEMAND.items()}

# Reports that do not belong to one model: they stand alone.
ALONE = {"40_compare": say("Comparison"), "45_dynamics": say("Training run")}

# A heading of a markdown cell, or the beginning of a paragraph: what stands before its text.
BEFORE_TEXT = re.compile(r"#* *")

ANSI = re.compile(r"\x1b\[[0-9;]*m")


class NotebookError(ValueError):
    """A cell failed; the message names notebook, cell and error, `traceback` has the rest."""

    def __init__(self, message: str, traceback: str):
        super().__init__(message)
        self.traceback = traceback


def run(notebook: Path, parameters: Mapping[str, Any]) -> Any:
    """The notebook with its outputs, executed in the repository's root by this process.

    Raises NotebookError if a cell fails.
    """
    from papermill import execute_notebook
    from papermill.exceptions import PapermillExecutionError

    from blockresearch.report import notebook_engine

    try:
        executed = execute_notebook(
            notebook.resolve(),
            None,
            parameters=dict(parameters),
            engine_name=notebook_engine.NAME,
            kernel_name="python3",
            cwd=PROJECT,
            progress_bar=False,
        )
    except PapermillExecutionError as error:
        raise NotebookError(
            f"{notebook}: cell {error.exec_count} failed with {error.ename}: "
            f"{visible(str(error.evalue))[:300]}.",
            ANSI.sub("", "\n".join(error.traceback)),
        ) from None
    return cleaned(executed)


def run_in(
    notebook: str, parameter: str, folder: Path, more: Mapping[str, Any] | None = None
) -> tuple[str, Any]:
    """The name of a notebook, of ours or the path of one, and it with its outputs for the results
    in `folder`; the traceback of a cell that fails is logged.

    Raises NotebookError if a cell fails.
    """
    ours = PROJECT / notebook
    path = ours if ours.is_file() else Path(notebook)
    place = folder.resolve()
    if place.is_relative_to(PROJECT):
        # The same bytes wherever the project is.
        place = place.relative_to(PROJECT)
    try:
        return path.stem, run(path, {parameter: str(place), **(more or {})})
    except NotebookError as error:
        log.error("%s", error.traceback)
        raise


def cleaned(notebook: Any) -> Any:
    """The notebook without times, versions and random identifiers."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02d}"
        tags = cell.metadata.get("tags")
        cell.metadata = {"tags": tags} if tags else {}
    return notebook


def paragraphs(source: str, write: Callable[[str], str]) -> str:
    """The source of a markdown cell with the text of each heading and paragraph as written."""
    parts = [" ".join(part.split()) for part in source.split("\n\n")]
    marks = [BEFORE_TEXT.match(part).group() for part in parts]  # type: ignore[union-attr]
    return "\n\n".join(
        mark + write(part[len(mark) :]) for mark, part in zip(marks, parts, strict=True)
    )


def with_texts(notebook: Any, write: Callable[[str], str]) -> Any:
    """A copy of the notebook whose markdown cells have their texts as written."""
    result = copy.deepcopy(notebook)
    for cell in result.cells:
        if cell.cell_type == "markdown":
            cell.source = paragraphs(cell.source, write)
    return result


def without_empty_sections(notebook: Any) -> Any:
    """A copy of the notebook without the texts of sections whose cells have no output.

    A section reaches from one heading to the next; the first, with the title, always stays. Its
    code stays too: later cells may need what it defines.
    """
    sections: list[list[Any]] = [[]]
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and cell.source.startswith("#"):
            sections.append([])
        sections[-1].append(cell)
    result = copy.copy(notebook)
    result.cells = [
        cell
        for place, section in enumerate(sections)
        for cell in section
        if place < 2 or cell.cell_type == "code" or any(each.get("outputs") for each in section)
    ]
    return result


def to_ipynb(notebook: Any) -> str:
    """The text of an .ipynb file, without what is for the page alone."""
    notebook = with_texts(without_empty_sections(notebook), spoken)
    for output in _outputs(notebook):
        output.get("data", {}).pop(LIVE, None)
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def to_html(notebook: Any, name: str, model: str, facts: Mapping[str, str] | None = None) -> str:
    """A page that needs no other file and no network; `name` is that of the notebook.

    `facts` say where its numbers come from (see `citation`).
    """
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(
        extra_template_basedirs=[str(TEMPLATES)],
        template_name="notebook",
        exclude_input=True,
        exclude_anchor_links=True,
    )
    exporter.environment.filters |= {"words": words, "plain": plain}
    exporter.environment.globals["say"] = say
    names = _scripts(notebook)
    styles = [read_template(each) for each in ("style.css", *(STYLES if names else ()))]
    if names or len(languages()) > 1:
        names = ["language.js", *names]
    scripts = [read_template(each) for each in names]
    page = {
        "name": name,
        "model": visible(model),
        "title": f"{plain((REPORTS | ON_DEMAND | ALONE)[name])} – {visible(model)}",
        "lang": TAGS[languages()[0]],
        "styles": styles,
        "scripts": scripts,
        "is_bilingual": len(languages()) > 1,
        "live": LIVE,
        "messages": script_json(script_messages(scripts)),
        "policy": policy(styles=styles, scripts=scripts),
        "ending": ending(facts or {}),
        # Those that stand alone have no links, and others do not link to one that may not exist.
        "reports": [
            {"name": key, "label": label}
            for key, label in (REPORTS | ON_DEMAND).items()
            if name in REPORTS | ON_DEMAND and (key in REPORTS or key == name)
        ],
    }
    notebook = without_empty_sections(notebook)
    # Ids are the same in every language.
    named = list(ids(cell.source for cell in notebook.cells if cell.cell_type == "markdown"))
    # A paragraph contains markup, which `words` would show as text.
    notebook = with_texts(
        notebook, lambda text: in_each(lambda language: translated(text, language))
    )
    html, _ = exporter.from_notebook_node(notebook, resources={"page": page})
    return with_ids(html.strip(), named) + "\n"


def _outputs(notebook: Any) -> Iterator[Any]:
    return (output for cell in notebook.cells for output in cell.get("outputs", ()))


def _scripts(notebook: Any) -> list[str]:
    """The scripts that the figures and tables of the page need."""
    live = "".join(output.get("data", {}).get(LIVE, "")[:200] for output in _outputs(notebook))
    found = [name for kind, names in REPORT_FIGURES.items() if kind in live for name in names]
    return list(dict.fromkeys([*BASE, *found])) if found else []


def write(
    notebook: Any, name: str, model: str, facts: Mapping[str, str], ipynb: Path, html: Path
) -> None:
    """Write both files; each appears complete or not at all."""
    page = to_html(notebook, name, model, facts)
    write_text(to_ipynb(notebook), ipynb)
    write_text(page, html)
