"""Ask whether a checkpoint is sound, from its manifest and tables.

    python workflow/scripts/audit_model.py --manifest manifest.json --params params.parquet \\
        --coverage coverage.csv --out audit.json

Findings have a severity (error, warning, note), evidence, place and usual meaning.
"""

import logging
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])

from workflow.lib import audit, cli, dag, tables

log = logging.getLogger("audit_model")


LONGEST = 500


def main(options):
    result = audit.audit(
        dag.read_json(options.manifest),
        tables.read_table(options.params, "params"),
        tables.read_table(options.coverage, "coverage"),
    )
    for finding in result["findings"]:
        shown = {key: cli.printable(value)[:LONGEST] for key, value in finding.items()}
        log.info("%(severity)s %(check)s: %(where)s: %(evidence)s", shown)
    log.info("findings: %s", result["counts"])
    tables.write_json(result, options.out)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--manifest", required=True, help="manifest of the model")
    parser.add_argument("--params", required=True, help="table params")
    parser.add_argument("--coverage", required=True, help="table coverage")
    parser.add_argument("--out", required=True, help="findings to write (JSON)")
    cli.run(parser, main)
