"""Write the page of a training run, from the table of join_steps.

python workflow/scripts/dynamics_page.py --dynamics_dir results/dynamics/A --html index.html
"""

import logging
from pathlib import Path

from blockresearch.files import write_text
from blockresearch.language.catalogue import set_language
from blockresearch.report.dynamics.page import dynamics_page
from blockresearch.run import cli

log = logging.getLogger("dynamics_page")


def main(options):
    set_language(options.language)
    write_text(dynamics_page(Path(options.dynamics_dir)), options.html)
    log.info("%s", options.html)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--dynamics_dir", required=True, help="folder of a training run")
    parser.add_argument("--html", required=True, help="page to write")
    cli.add_language(parser)
    cli.run(parser, main)
