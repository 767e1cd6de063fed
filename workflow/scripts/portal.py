"""Write the page of all models analyzed so far, and the same as a list for programs.

python workflow/scripts/portal.py --results results --html index.html --json index.json
"""

import logging
from pathlib import Path

from blockresearch.files import write_json, write_text
from blockresearch.report import portal
from blockresearch.run import cli

log = logging.getLogger("portal")


def main(options):
    page, entries = portal.portal(Path(options.results))
    write_text(page, options.html)
    write_json(entries, options.json)
    log.info("%d models in %s", len(entries), options.html)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--results", required=True, help="folder that holds the models' folders")
    parser.add_argument("--html", required=True, help="page to write")
    parser.add_argument("--json", required=True, help="list to write")
    cli.run(parser, main)
