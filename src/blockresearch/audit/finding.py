"""A finding of the audit, and names shared by the checks."""

import re
from dataclasses import asdict, dataclass

NUMBER = re.compile(r"(?<![^.])\d+(?![^.])")

FEWEST_SIBLINGS = 3


@dataclass(frozen=True)
class AuditFinding:
    """One finding of the audit."""

    severity: str
    check: str
    where: str
    evidence: str
    meaning: str


def as_record(finding: AuditFinding) -> dict[str, str]:
    """A finding as written to audit.json."""
    return asdict(finding)


def family(name: str) -> str:
    """The name of a tensor without its numbers: the same for all its siblings."""
    return NUMBER.sub("#", name)
