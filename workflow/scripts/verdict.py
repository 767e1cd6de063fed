"""Print the audit result of each model, and fail if a finding is too severe.

    python workflow/scripts/verdict.py --fail_on error results/*/audit.json

With --fail_on error (or warning) the exit code is 1 if a model has findings of that severity or
worse; --out is written only if there are none.
"""

import logging
from pathlib import Path

from blockresearch.audit.audit import SEVERITIES
from blockresearch.files import read_json, write_text
from blockresearch.run import cli
from blockresearch.text import visible

log = logging.getLogger("verdict")


def main(options):
    grave = SEVERITIES[: SEVERITIES.index(options.fail_on) + 1] if options.fail_on else ()
    failed, lines = [], []
    for path in options.audits:
        counts = read_json(path)["counts"]
        said = ", ".join(f"{count} {kind}s" for kind, count in counts.items())
        lines.append(f"{Path(path).parent.name}: {said}")
        log.info("%s", visible(lines[-1]))
        if any(counts[severity] for severity in grave):
            failed.append(path)
    if failed:
        raise ValueError(
            f"the audit of {len(failed)} of {len(options.audits)} models has findings of severity "
            f"{' or '.join(grave)} (audit: fail_on is {options.fail_on}), see {failed[0]}."
        )
    if options.out:
        write_text("\n".join([*lines, ""]), options.out)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("audits", nargs="+", metavar="AUDIT", help="audit.json of a model")
    parser.add_argument("--fail_on", choices=("error", "warning"), help="severity that fails")
    parser.add_argument("--out", help="text file to write if nothing fails")
    cli.run(parser, main)
