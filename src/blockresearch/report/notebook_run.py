"""Run a notebook and turn it into a page; the bytes of both depend only on its content."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blockresearch import results
from blockresearch.files import write_text
from blockresearch.project import PACKAGE, PROJECT
from blockresearch.report.pages import policy
from blockresearch.text import visible

TEMPLATES = PACKAGE / "report" / "templates"

# Name -> label, in the order in which they are read.
REPORTS = {name: report.label for name, report in results.REPORTS.items()}

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


def cleaned(notebook: Any) -> Any:
    """The notebook without times, versions and random identifiers."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02d}"
        tags = cell.metadata.get("tags")
        cell.metadata = {"tags": tags} if tags else {}
    return notebook


def to_ipynb(notebook: Any) -> str:
    """The text of an .ipynb file."""
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def to_html(notebook: Any, name: str, model: str) -> str:
    """A page that needs no other file and no network; `name` is that of the notebook."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(
        extra_template_basedirs=[str(TEMPLATES)],
        template_name="notebook",
        exclude_input=True,
        exclude_anchor_links=True,
    )
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    page = {
        "name": name,
        "model": visible(model),
        "title": f"{REPORTS.get(name, name)} – {visible(model)}",
        "style": style,
        "policy": policy(styles=[style]),
        "reports": [{"name": key, "label": label} for key, label in REPORTS.items()],
    }
    html, _ = exporter.from_notebook_node(notebook, resources={"page": page})
    return html.strip() + "\n"


def write(notebook: Any, name: str, model: str, ipynb: Path, html: Path) -> None:
    """Write both files; each appears complete or not at all."""
    page = to_html(notebook, name, model)
    write_text(to_ipynb(notebook), ipynb)
    write_text(page, html)
