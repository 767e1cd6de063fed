"""Keep results of many models in one store, and ask it with SQL.

    blockresearch store add results --store store
    blockresearch store sql "select model, count(*) from matrices group by all" --store store

A store to read may be a folder or an address (s3://, hf://, https://); see docs/store.md.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blockresearch.command import options

if TYPE_CHECKING:
    import pyarrow as pa

DEFAULT = "store"

# Folders that a line names.
NAMED = 10

SILENCE_SECONDS = 5

# Integers below are exact in double precision.
EXACT = 2**53

# Characters of a cell on the screen.
WIDEST = 60


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what can be done with a store."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(
        name: str, work: Callable[[argparse.Namespace], int], place: str
    ) -> argparse.ArgumentParser:
        text = (work.__doc__ or "").strip()
        own = actions.add_parser(name, help=text.splitlines()[0].rstrip("."), description=text)
        own.add_argument("--store", default=DEFAULT, help=f"{place} (default: %(default)s)")
        own.set_defaults(work=work)
        return own

    adding = action("add", add, "folder of the store")
    adding.add_argument("folder", nargs="+", metavar="FOLDER", help="results of a model, or of all")
    adding.add_argument(
        "--tables", nargs="+", default=[], metavar="TABLE", help="large tables to add as well"
    )
    options.add_json(adding)
    removing = action("remove", remove, "folder of the store")
    removing.add_argument("model", nargs="+", metavar="MODEL", help="its name in the store")
    options.add_json(removing)
    options.add_json(action("list", list_models, "folder or address"))
    asking = action("sql", sql, "folder or address")
    asking.add_argument("question", metavar="SQL", help="the question")
    options.add_json(asking)
    action("shell", shell, "folder or address")
    action("publish", publish, "folder of the store")


def main(chosen: argparse.Namespace) -> int:
    """Do what was chosen."""
    return int(chosen.work(chosen))


def add(chosen: argparse.Namespace) -> int:
    """Add the results of models; results of the same weights are replaced."""
    from blockresearch.command import outcome
    from blockresearch.run.model import TAKEN
    from blockresearch.store.add import add as add_results
    from blockresearch.store.add import models_in

    folders, others = models_in(map(Path, chosen.folder))
    # Not the pages, comparisons and logs that every folder of results has.
    left_out = [path for path in others if not TAKEN.fullmatch(path.name)]
    if left_out:
        names = ", ".join(path.name for path in left_out[:NAMED])
        more = f" and {len(left_out) - NAMED} more" if len(left_out) > NAMED else ""
        print(f"left out, without complete results of a model: {names}{more}", file=sys.stderr)
    done = add_results(_counted(folders), Path(chosen.store), chosen.tables)
    if chosen.json:
        outcome.print_json([{"model": one.key, "files": one.row["files"]} for one in done])
    for one in [] if chosen.json else done:
        print(f"{one.key}: {len(one.row['files'])} tables in {chosen.store}")
    return 0


def _counted(folders: list[Path]) -> Iterator[Path]:
    """The folders, with a line on standard error if some seconds have passed since the last."""
    last = time.monotonic()
    for count, folder in enumerate(folders, 1):
        if time.monotonic() - last > SILENCE_SECONDS:
            last = time.monotonic()
            print(f"{count} of {len(folders)}: {folder.name}", file=sys.stderr, flush=True)
        yield folder


def remove(chosen: argparse.Namespace) -> int:
    """Remove models by their names in the store, as `list` prints them."""
    from blockresearch.command import outcome
    from blockresearch.store.remove import remove as remove_models

    files = remove_models(chosen.model, Path(chosen.store))
    if chosen.json:
        outcome.print_json({"removed": list(map(str, files))})
    else:
        print("\n".join(map(str, files)))
    return 0


def list_models(chosen: argparse.Namespace) -> int:
    """List the models of a store."""
    from blockresearch.store.query import models

    found = models(chosen.store)
    names = ("model", "family", "parameters", "licence", "created_at")
    return _answer(
        found.select([name for name in names if name in found.column_names]), chosen.json
    )


def sql(chosen: argparse.Namespace) -> int:
    """Answer SQL over the tables of all models."""
    from blockresearch.store.query import ask, connect

    return _answer(ask(connect(chosen.store), chosen.question), chosen.json)


def shell(chosen: argparse.Namespace) -> int:
    """Answer questions until the input ends; each ends with a semicolon."""
    from blockresearch.store.partitions import StoreError
    from blockresearch.store.query import ask, connect

    connection = connect(chosen.store)
    print("Tables: show tables; columns: describe matrices; end: Ctrl-D.", file=sys.stderr)
    question = ""
    while True:
        try:
            question += input("... " if question else "sql> ") + "\n"
        except EOFError:
            return 0
        if question.rstrip().endswith(";"):
            try:
                _answer(ask(connection, question), False)
            except StoreError as error:
                print(f"error: {error}", file=sys.stderr)
            question = ""


def publish(chosen: argparse.Namespace) -> int:
    """Write a dataset card beside the tables, ready to be uploaded to the hub."""
    from blockresearch.store.publish import publish as write_card

    print(write_card(Path(chosen.store)))
    print(
        f"Look at it, then: hf upload OWNER/NAME {chosen.store} --repo-type dataset "
        "--exclude .lock",
        file=sys.stderr,
    )
    return 0


def _answer(table: "pa.Table", is_json: bool) -> int:
    """Print a table: as JSON all of it with exact numbers, otherwise columns that fit a screen."""
    from blockresearch.command import outcome
    from blockresearch.text import visible

    rows = [{name: _plain(value) for name, value in row.items()} for row in table.to_pylist()]
    if is_json:
        outcome.print_json(rows)
        return 0

    def cell(value: object) -> str:
        if value is None:
            return ""
        if isinstance(value, float):
            return f"{value:.0f}" if value.is_integer() and abs(value) < EXACT else f"{value:.6g}"
        text = visible(str(value))
        return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"

    cells = [[cell(value) for value in row.values()] for row in rows]
    columns = list(zip(table.column_names, *cells, strict=True))
    widths = [max(map(len, column)) for column in columns]
    for line in zip(*columns, strict=True):
        print(
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        )
    return 0


def _plain(value: Any) -> Any:
    """A value as JSON has it: numbers, texts, lists, None; infinities are texts, as in tables."""
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value if value is None or isinstance(value, int | float | str) else str(value)
