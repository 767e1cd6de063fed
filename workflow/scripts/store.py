"""Add the results of models to a store, and write which models of it they are.

python workflow/scripts/store.py --results results --store store --out store.json Qwen--Qwen3-4B
"""

import logging
from pathlib import Path

from blockresearch.files import write_json
from blockresearch.run import cli
from blockresearch.store.add import add

log = logging.getLogger("store")


def main(options):
    folders = [Path(options.results, name) for name in options.models]
    added = add(counted(folders), Path(options.store))
    models = {folder.name: one.key for folder, one in zip(folders, added, strict=True)}
    write_json({"store": options.store, "models": models}, options.out)
    log.info("%d models added to %s", len(models), options.store)


def counted(folders):
    """The folders, with a line of the log for each."""
    for count, folder in enumerate(folders, 1):
        log.info("%d of %d: %s", count, len(folders), folder.name)
        yield folder


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--results", required=True, help="folder with the models' folders")
    parser.add_argument("--store", required=True, help="folder of the store")
    parser.add_argument("--out", required=True, help="JSON file to write")
    parser.add_argument("models", nargs="+", metavar="MODEL", help="folder of a model in results")
    cli.run(parser, main)
