"""Write the page of all models analysed so far, and the same as a list for programs.

python workflow/scripts/portal.py --results results --html index.html --json index.json
"""

import logging
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])

from workflow.lib import cli, portal, tables

log = logging.getLogger("portal")


def main(options):
    page, entries = portal.portal(Path(options.results))
    tables.write_text(page, options.html)
    tables.write_json(entries, options.json)
    log.info("%d models in %s", len(entries), options.html)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--results", required=True, help="folder that holds the models' folders")
    parser.add_argument("--html", required=True, help="page to write")
    parser.add_argument("--json", required=True, help="list to write")
    cli.run(parser, main)
