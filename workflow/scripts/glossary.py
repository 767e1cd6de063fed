"""Write the page of definitions: every block type and every column of every table.

python workflow/scripts/glossary.py --html results/glossary.html
"""

import logging

from blockresearch.checkpoint import provenance
from blockresearch.files import write_text
from blockresearch.language.catalogue import set_language
from blockresearch.report import glossary
from blockresearch.run import cli

log = logging.getLogger("glossary")


def main(options):
    set_language(options.language)
    write_text(glossary.page(provenance.program()), options.html)
    log.info("%s", options.html)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--html", required=True, help="page to write")
    cli.add_language(parser)
    cli.run(parser, main)
