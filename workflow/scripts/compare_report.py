"""Run the notebook of a comparison and write it with its outputs, and as a page.

    python workflow/scripts/compare_report.py --notebook notebooks/40_compare.ipynb \\
        --compare_dir results/compare/A-vs-B --ipynb 40_compare.ipynb --html 40_compare.html
"""

import logging
from pathlib import Path

from blockresearch.language.catalogue import set_language
from blockresearch.report.notebook_run import run_in, write
from blockresearch.run import cli
from blockresearch.tables.labels import read_facts

log = logging.getLogger("compare_report")


def main(options):
    set_language(options.language)
    folder = Path(options.compare_dir)
    name, executed = run_in(options.notebook, "compare_dir", folder)
    facts = read_facts(folder / "pairs.parquet")
    write(executed, name, folder.resolve().name, facts, Path(options.ipynb), Path(options.html))
    log.info("%s and %s", options.ipynb, options.html)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--notebook", required=True, help="notebook to run")
    parser.add_argument("--compare_dir", required=True, help="folder of a comparison")
    parser.add_argument("--ipynb", required=True, help="notebook with outputs to write")
    parser.add_argument("--html", required=True, help="page to write")
    cli.add_language(parser)
    cli.run(parser, main)
