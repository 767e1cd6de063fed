"""List the results that were altered or deleted since a run wrote them.

    python workflow/scripts/verify.py --results results local--demo compare/B-vs-A

reads every result in these folders and compares it with the hashes that the run recorded.
"""

import logging

from blockresearch.run import cli, integrity

log = logging.getLogger("verify")


def main(options):
    altered, missing, unknown = integrity.verify(options.results, options.folders)
    for path in altered:
        print(f"altered: {path}")
    for path in missing:
        print(f"missing: {path}")
    for folder in unknown:
        print(f"no record: {folder}")
    if altered or missing:
        raise ValueError(
            f"{len(altered)} results are altered and {len(missing)} are missing: delete the "
            "altered ones and run again, which rebuilds both."
        )
    log.info("all recorded results are as they were made")


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--results", required=True, help="folder with the models' folders")
    parser.add_argument(
        "folders",
        nargs="+",
        metavar="FOLDER",
        help="folder in it of a model, a comparison or a training run",
    )
    cli.run(parser, main)
