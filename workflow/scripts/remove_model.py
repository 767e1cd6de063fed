"""Remove models from the results, and write the page of all models again.

    python workflow/scripts/remove_model.py --results results Qwen--Qwen3-4B

deletes the folder of each model and the comparisons that it is part of. With --weights FOLDER it
also deletes downloaded files that no other model uses. --dry_run only lists the folders. Models
that a run has added to a store stay there; a line says how to remove them.
"""

import logging
import shlex
import subprocess
import sys
from pathlib import Path

from blockresearch.files import read_json
from blockresearch.run import cli, removal

log = logging.getLogger("remove_model")


def main(options):
    results = Path(options.results)
    weights = Path(options.weights) if options.weights else None
    folders = removal.removable(results, options.models, weights)
    for folder in folders:
        print(folder)
    record = results / "store.json"
    stored = read_json(record) if record.exists() else {"store": None, "models": {}}
    if keys := [stored["models"][name] for name in options.models if name in stored["models"]]:
        log.info(
            "still in the store: `blockresearch store remove %s --store %s` removes them there",
            shlex.join(keys),
            shlex.quote(stored["store"]),
        )
    if options.dry_run:
        return
    removal.remove(folders)
    if (results / "index.html").exists():
        pages = ("--html", results / "index.html", "--json", results / "index.json")
        store = ("--store", stored["store"]) if stored["store"] else ()
        script = Path(__file__).with_name("portal.py")
        subprocess.run([sys.executable, script, "--results", results, *store, *pages], check=True)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--results", default="results", help="folder with the models' folders")
    parser.add_argument("--weights", help="folder of downloaded files, to delete those unused, too")
    parser.add_argument("--dry_run", action="store_true", help="list what would be deleted")
    parser.add_argument("models", nargs="+", metavar="MODEL", help="folder of a model in results")
    cli.run(parser, main)
