"""Check models for damage, and fail if something is found (exit code 3).

    blockresearch audit models/my-finetune --fail-on warning

Measures every weight and makes no reports; a later `blockresearch run` continues from there.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from blockresearch.command import calls, options

FOUND = 3

# Also those that count as worse.
FAILING = {"error": ("error",), "warning": ("error", "warning"), "never": ()}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the models, the severity that fails, and the options of the workflow."""
    options.add_models(parser)
    parser.add_argument(
        "--fail-on",
        choices=tuple(FAILING),
        default="error",
        help="severity from which on the exit code is 3 (default: %(default)s)",
    )
    options.add_workflow(parser)


def main(chosen: argparse.Namespace) -> int:
    """Audit the models, print the findings, and return 3 if one is severe enough."""
    from blockresearch.command import outcome, settings

    found = settings.settings_of(chosen, settings.of_chosen(chosen))
    words = calls.snakemake("audit", found.words, found.files, chosen)
    code = calls.call(words, outcome.output_of(chosen.json))
    audits = {name: audit_of(found.results / name) for name in found.models}
    failing = FAILING[chosen.fail_on]
    counts = (audit["counts"][kind] for audit in audits.values() if audit for kind in failing)
    if code == 0 and not chosen.dry_run and any(counts):
        code = FOUND
    if chosen.json:
        outcome.print_json({"exit_code": code, "models": audits})
    elif not chosen.dry_run:
        for name, audit in audits.items():
            print_audit(name, audit)
    return code


def audit_of(folder: Path) -> dict[str, Any] | None:
    """The content of a model's audit.json; None if there is none."""
    from blockresearch.files import read_json

    path = folder / "audit.json"
    return read_json(path) if path.exists() else None


def print_audit(name: str, audit: dict[str, Any] | None) -> None:
    """Print counts and findings of a model."""
    from blockresearch.text import visible

    if audit is None:
        print(f"{name}: not audited", file=sys.stderr)
        return
    counts = audit["counts"].items()
    print(f"{name}: " + ", ".join(f"{count} {kind}{'s' * (count != 1)}" for kind, count in counts))
    for finding in audit["findings"]:
        print(visible(f"  {finding['severity']}: {finding['where']}: {finding['evidence']}"))
