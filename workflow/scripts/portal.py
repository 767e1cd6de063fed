"""Write the page of all models analyzed so far, and the same list as JSON.

python workflow/scripts/portal.py --results results --html index.html --json index.json
"""

import logging
from pathlib import Path

from blockresearch.checkpoint import provenance
from blockresearch.checkpoint.records import file_key
from blockresearch.failures import failure, unfinished_logs
from blockresearch.files import read_json, write_json, write_text
from blockresearch.language.catalogue import set_language
from blockresearch.report import portal
from blockresearch.run import cli
from blockresearch.store.summaries import summaries

log = logging.getLogger("portal")


def main(options):
    """Write page and list."""
    set_language(options.language)
    results = Path(options.results)
    downloads = {folder for folder in results.glob("downloads/*/") if unfinished_logs(folder)}
    failures = {
        folder.name: found
        for folder in results.iterdir()
        if (folder / "manifest.json").is_file() or folder.name in options.also
        if (found := failure(folder, download_folders(folder, downloads)))
    }
    stored = summaries(Path(options.store)) if options.store else []
    page, entries = portal.portal(results, failures, provenance.program(), stored)
    write_text(page, options.html)
    write_json(entries, options.json)
    log.info("%d models in %s", len(entries), options.html)


def download_folders(folder, downloads):
    """Those of `downloads` that belong to the model in `folder`; none without a manifest."""
    try:
        # Without failed downloads a thousand manifests need not be read.
        files = read_json(folder / "manifest.json")["files"] if downloads else []
    except (OSError, ValueError, KeyError):
        return []
    return sorted(downloads & {folder.parent / "downloads" / file_key(file) for file in files})


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--results", required=True, help="folder with the models' folders")
    parser.add_argument("--also", nargs="*", default=[], help="models to list without a manifest")
    parser.add_argument("--store", help="store whose other models are listed as well")
    parser.add_argument("--html", required=True, help="page to write")
    parser.add_argument("--json", required=True, help="list to write")
    cli.add_language(parser)
    cli.run(parser, main)
