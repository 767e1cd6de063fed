"""Options that several subcommands share."""

import argparse


def add_models(parser: argparse.ArgumentParser) -> None:
    """Add the models, one by one or as a list in a file."""
    parser.add_argument("model", nargs="*", metavar="MODEL", help="id, ID@REVISION, folder or file")
    parser.add_argument("--models", metavar="FILE", help="a text file with one model a line")


def add_workflow(parser: argparse.ArgumentParser) -> None:
    """Add what every call of Snakemake takes."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting of config/README.md; a key inside another one as clustering.k_max=6",
    )
    parser.add_argument(
        "--config", action="append", default=[], metavar="FILE", help="a YAML file of settings"
    )
    add_results(parser)
    parser.add_argument("--cores", type=positive, metavar="N", help="cores to use, or all")
    parser.add_argument("-n", "--dry-run", action="store_true", help="only list what would be done")
    add_json(parser)


def add_results(parser: argparse.ArgumentParser) -> None:
    """Add the folder of results."""
    parser.add_argument("--results", metavar="FOLDER", help="folder of results (default: results)")


def add_store(parser: argparse.ArgumentParser) -> None:
    """Add the store that all models of a run are added to."""
    parser.add_argument("--store", metavar="FOLDER", help="also add the models to this store")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the switch for programs that read the output."""
    parser.add_argument(
        "--json", action="store_true", help="print the result as JSON, everything else on stderr"
    )


def positive(text: str) -> int:
    """Argument type. Raises ArgumentTypeError if the integer is not at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value
