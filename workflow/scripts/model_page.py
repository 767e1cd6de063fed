"""Write the page of a model: identity, findings, reports, figures, parameters, downloads.

    python workflow/scripts/model_page.py --model_dir results/local--demo --html index.html \\
        --overview overview.json

The page links to the files of the model's folder, so it belongs there. The overview holds the
numbers by which the page of all models compares this one with others.
"""

import logging
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])

from workflow.lib import cli, model_page, tables

log = logging.getLogger("model_page")


def main(options):
    page, numbers = model_page.model_page(Path(options.model_dir))
    tables.write_json(numbers, options.overview)
    tables.write_text(page, options.html)
    log.info("%s", options.html)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--model_dir", required=True, help="folder with the results of a model")
    parser.add_argument("--html", required=True, help="page to write")
    parser.add_argument("--overview", required=True, help="numbers to write")
    cli.run(parser, main)
