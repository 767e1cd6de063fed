"""Audit the integrity of a checkpoint, from its manifest and tables.

    python workflow/scripts/audit_model.py --manifest manifest.json --params params.parquet \\
        --coverage coverage.parquet --out audit.json

Each finding has a severity (error, warning, note), a place, evidence and the usual cause.
"""

import logging

from blockresearch.audit import audit
from blockresearch.checkpoint.manifest import read_manifest
from blockresearch.files import write_json
from blockresearch.run import cli
from blockresearch.tables.io import read_table
from blockresearch.tables.labels import read_facts
from blockresearch.text import visible

log = logging.getLogger("audit_model")


LONGEST = 500


def main(options):
    result = audit.audit(
        read_manifest(options.manifest),
        read_table(options.params, "params"),
        read_table(options.coverage, "coverage"),
    )
    for finding in result["findings"]:
        shown = {key: visible(value)[:LONGEST] for key, value in finding.items()}
        log.info("%(severity)s %(check)s: %(where)s: %(evidence)s", shown)
    log.info("findings: %s", result["counts"])
    write_json({**result, "provenance": read_facts(options.params)}, options.out)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--manifest", required=True, help="manifest of the model")
    parser.add_argument("--params", required=True, help="table params")
    parser.add_argument("--coverage", required=True, help="table coverage")
    parser.add_argument("--out", required=True, help="findings to write (JSON)")
    cli.run(parser, main)
