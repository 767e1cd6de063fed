"""Write the page of a model: identity, findings, reports, figures, parameters, downloads.

    python workflow/scripts/model_page.py --model_dir results/local--demo --html index.html \\
        --comparison comparison.json --details details

The page links to the files of the model's folder, so it belongs there. The comparison contains the
numbers that the page of all models compares. The folder `details` contains the data of a page that
would be too large with it; it is empty for most models.
"""

import logging
import shutil
from pathlib import Path

from blockresearch.files import write_json, write_text
from blockresearch.language.catalogue import set_language
from blockresearch.report import model_page
from blockresearch.run import cli

log = logging.getLogger("model_page")


def main(options):
    set_language(options.language)
    page, numbers, scripts = model_page.model_page(Path(options.model_dir), options.comparisons)
    details = Path(options.details)
    shutil.rmtree(details, ignore_errors=True)
    details.mkdir(parents=True)
    for name, text in scripts.items():
        write_text(text, details / name)
    write_json(numbers, options.comparison)
    write_text(page, options.html)
    log.info("%s", options.html)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--model_dir", required=True, help="folder with the results of a model")
    parser.add_argument("--html", required=True, help="page to write")
    parser.add_argument("--comparison", required=True, help="numbers to write")
    parser.add_argument(
        "--comparisons", nargs="*", default=[], help="comparisons to link, besides those that exist"
    )
    parser.add_argument("--details", required=True, help="folder for the data beside the page")
    cli.add_language(parser)
    cli.run(parser, main)
