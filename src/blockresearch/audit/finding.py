"""A finding of the audit, and names shared by the checks."""

import re
from dataclasses import asdict, dataclass
from typing import Any

from blockresearch.language.sentence import messages_in

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


def as_record(finding: AuditFinding) -> dict[str, Any]:
    """A finding as written to audit.json; `messages` has that of its evidence for translation."""
    record = asdict(finding)
    messages = messages_in(record)
    return record | {"messages": messages} if messages else record


def family(name: str) -> str:
    """The name of a tensor without its numbers: the same for all its siblings."""
    return NUMBER.sub("#", name)
