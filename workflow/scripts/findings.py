"""Write the findings of a model: what its tables say, in sentences with numbers and tensors.

    python workflow/scripts/findings.py --model_dir results/local--demo --out findings.json

Each finding has a severity (warning, notable, note), a text, the tensors it is about, a value and
its reference, why it matters and what to do. docs/findings.md explains the rules.
"""

import logging
from pathlib import Path

from blockresearch.files import write_json
from blockresearch.report.findings.collect import of_folder
from blockresearch.report.findings.record import as_records
from blockresearch.run import cli
from blockresearch.tables.labels import read_facts
from blockresearch.text import visible

log = logging.getLogger("findings")


def main(options):
    folder = Path(options.model_dir)
    found = of_folder(folder)
    for finding in found:
        log.info("%s %s: %s", finding.severity, finding.id, visible(finding.text))
    facts = read_facts(folder / "params.parquet")
    write_json({"findings": as_records(found), "provenance": facts}, options.out)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--model_dir", required=True, help="folder with the results of a model")
    parser.add_argument("--out", required=True, help="findings to write (JSON)")
    cli.run(parser, main)
