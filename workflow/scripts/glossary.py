"""Write the page of definitions: every block type and every column of every table.

python workflow/scripts/glossary.py --html results/glossary.html
"""

import logging
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])

from workflow.lib import cli, glossary, tables

log = logging.getLogger("glossary")


def main(options):
    tables.write_text(glossary.page(), options.html)
    log.info("%s", options.html)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--html", required=True, help="page to write")
    cli.run(parser, main)
