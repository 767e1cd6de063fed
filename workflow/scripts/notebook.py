"""Run a notebook on the results of a model and write it with its outputs, and as a page.

    python workflow/scripts/notebook.py --notebook notebooks/10_summary_stats.ipynb \\
        --model_dir results/local--demo --ipynb report.ipynb --html report.html

The page needs no other file and no network.
"""

import json
import logging
from pathlib import Path

from blockresearch.files import read_json
from blockresearch.language.catalogue import set_language
from blockresearch.report.model import title
from blockresearch.report.notebook_run import run_in, write
from blockresearch.run import cli
from blockresearch.tables.labels import read_facts

log = logging.getLogger("notebook")


def main(options):
    set_language(options.language)
    folder = Path(options.model_dir)
    if not (folder / "manifest.json").is_file():
        raise ValueError(f"{options.model_dir} has no manifest.json: run the workflow first.")
    settings = {"settings": json.loads(options.settings)} if options.settings else {}
    name, executed = run_in(options.notebook, "model_dir", folder, settings)
    model = title(read_json(folder / "manifest.json"))
    facts = read_facts(folder / "params.parquet")
    write(executed, name, model, facts, Path(options.ipynb), Path(options.html))
    log.info("%s and %s", options.ipynb, options.html)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--notebook", required=True, help="notebook to run")
    parser.add_argument("--model_dir", required=True, help="folder with the results of a model")
    parser.add_argument("--settings", help="settings of the run to show (JSON object)")
    parser.add_argument("--ipynb", required=True, help="notebook with outputs to write")
    parser.add_argument("--html", required=True, help="page to write")
    cli.add_language(parser)
    cli.run(parser, main)
