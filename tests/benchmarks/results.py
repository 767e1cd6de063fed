"""RESULTS.md: one section for each benchmark, each replaced by its own run only."""

import os
import platform
import re
from pathlib import Path

from blockresearch.files import write_text

RESULTS = Path(__file__).with_name("RESULTS.md")
INTRODUCTION = """\
# Benchmarks

Written by `make bench`: each section by a run of its own, replaced when it runs again. Ratios are
taken within one run; seconds of different machines or hours do not compare.
"""


def machine() -> str:
    """The machine in words, for the first paragraph of a section."""
    python = platform.python_version()
    return f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}, Python {python}"


def write_section(title: str, text: str) -> None:
    """Put `text` under the heading `title`: in place of what is there, else at the end."""
    sections = {}
    if RESULTS.exists():
        _, *found = re.split(r"^## ", RESULTS.read_text(encoding="utf-8"), flags=re.M)
        sections = dict(section.split("\n", 1) for section in found)
    sections[title] = text
    parts = [f"## {name}\n\n{body.strip()}\n" for name, body in sections.items()]
    write_text("\n".join([INTRODUCTION, *parts]), RESULTS)
    print(f"## {title}\n\n{text}")
