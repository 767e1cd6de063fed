"""Write the page of a comparison of two checkpoints, from the tables of compare.py.

    python workflow/scripts/compare_page.py --compare_dir results/compare/A-vs-B --html index.html

The page links to the files of the comparison's folder and to the pages of both models beside it, so
it belongs there.
"""

import logging
from pathlib import Path

from blockresearch.files import write_text
from blockresearch.language.catalogue import set_language
from blockresearch.report.differences.page import comparison_page
from blockresearch.run import cli

log = logging.getLogger("compare_page")


def main(options):
    set_language(options.language)
    write_text(comparison_page(Path(options.compare_dir)), options.html)
    log.info("%s", options.html)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--compare_dir", required=True, help="folder of a comparison")
    parser.add_argument("--html", required=True, help="page to write")
    cli.add_language(parser)
    cli.run(parser, main)
