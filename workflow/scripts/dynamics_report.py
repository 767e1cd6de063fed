"""Run the notebook of a training run and write it with its outputs, and as a page.

    python workflow/scripts/dynamics_report.py --notebook notebooks/45_dynamics.ipynb \\
        --dynamics_dir results/dynamics/A --ipynb 45_dynamics.ipynb --html 45_dynamics.html
"""

import logging
from pathlib import Path

from blockresearch.language.catalogue import set_language
from blockresearch.report.notebook_run import run_in, write
from blockresearch.run import cli
from blockresearch.tables.labels import read_facts

log = logging.getLogger("dynamics_report")


def main(options):
    set_language(options.language)
    folder = Path(options.dynamics_dir)
    name, executed = run_in(options.notebook, "dynamics_dir", folder)
    facts = read_facts(folder / "dynamics.parquet")
    write(executed, name, folder.resolve().name, facts, Path(options.ipynb), Path(options.html))
    log.info("%s and %s", options.ipynb, options.html)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--notebook", required=True, help="notebook to run")
    parser.add_argument("--dynamics_dir", required=True, help="folder of a training run")
    parser.add_argument("--ipynb", required=True, help="notebook with outputs to write")
    parser.add_argument("--html", required=True, help="page to write")
    cli.add_language(parser)
    cli.run(parser, main)
