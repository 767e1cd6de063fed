"""Open the page of all models, or of one, in the browser.

blockresearch open
blockresearch open Qwen/Qwen3-4B
"""

import argparse
import sys
from pathlib import Path

from blockresearch.command import options


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the model and the folder of results."""
    parser.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help="a model, or the name of its folder in the results",
    )
    options.add_results(parser)
    options.add_json(parser)


def main(chosen: argparse.Namespace) -> int:
    """Open the page, and print its path in any case."""
    import webbrowser

    from blockresearch.command import outcome

    page = page_of(Path(chosen.results or "results"), chosen.model)
    has_opened = webbrowser.open(page.resolve().as_uri())
    if chosen.json:
        outcome.print_json({"page": str(page), "opened": has_opened})
    else:
        print(page)
    if not has_opened:
        print("There is no browser here: open this file in one.", file=sys.stderr)
    return 0


def page_of(results: Path, model: str | None) -> Path:
    """The page of all models, or of the one given by its folder in the results or by its source.

    Raises ValueError if there is no such page.
    """
    page = results / (model or "") / "index.html"
    if model and not page.exists():
        from blockresearch.run.model import parse_model

        page = results / parse_model(model).name / "index.html"
    if not page.exists():
        raise ValueError(
            f"there is no page {page}: run `blockresearch run {model or 'MODEL'}` first, or name "
            "another folder with --results."
        )
    return page
