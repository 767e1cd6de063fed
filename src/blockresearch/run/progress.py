"""Progress of a run where there is no terminal: one line per finished job in the log.

On a terminal Snakemake's rich logger draws bars; into a file or a pipe it writes nothing until the
run ends.
"""

import logging
import sys
from typing import TextIO


class ProgressLines(logging.Handler):
    """Reads the events that Snakemake logs and writes what is done and what is left."""

    def __init__(self, stream: TextIO):
        super().__init__()
        self.stream = stream
        self.jobs: dict[int, str] = {}
        self.finished = ""

    def emit(self, record: logging.LogRecord) -> None:
        facts = vars(record)
        event = str(facts.get("event", ""))
        if event == "job_info":
            words = [facts["rule_name"], *map(str, (facts["wildcards"] or {}).values())]
            self.jobs[facts["jobid"]] = " ".join(words)
        elif event == "job_finished":
            self.finished = self.jobs.pop(facts["job_id"], "")
        elif event == "progress":
            done, total = facts["done"], facts["total"]
            line = f"{done} of {total} jobs done ({100 * done // max(total, 1)} %): {self.finished}"
            print(line, file=self.stream, flush=True)


def follow_without_terminal(logger: str = "snakemake.logging") -> None:
    """Write progress lines to standard error, unless that is a terminal or they are on already."""
    log = logging.getLogger(logger)
    known = any(isinstance(handler, ProgressLines) for handler in log.handlers)
    if not known and not sys.stderr.isatty():
        log.addHandler(ProgressLines(sys.stderr))
