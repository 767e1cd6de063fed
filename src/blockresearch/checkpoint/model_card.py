"""The license that a model card states: the YAML block at the start of README.md.

`ModelCard` of huggingface_hub 2.4.0 is not used. An error in any other key of the card (a colon in
a title, a tab, an unknown tag, deep nesting) makes it fail, and a card of 1 MB takes it 7 s.
"""

import re

import yaml

CARD = "README.md"

MAX_BYTES = 2**20

# Of the lines that are given to the YAML parser, which is slow.
MAX_BLOCK_CHARACTERS = 10_000

MAX_LICENSE_CHARACTERS = 100

FRONT_MATTER = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.S)


def stated_license(card: bytes) -> str | None:
    """The license by the card's metadata, e.g. apache-2.0; None if it states none.

    `license: other` is replaced with its `license_name`. Values that are not text are left out.
    """
    block = FRONT_MATTER.match(card.decode("utf-8", errors="replace"))
    if not block:
        return None
    # Only these keys with the lines indented below them: the rest may be anything.
    lines = re.findall(r"^license(?:_name)?:[^\n]*(?:\n[ \t]*-[ \t][^\n]*)*", block[1], re.M)
    try:
        stated = yaml.safe_load("\n".join(lines)[:MAX_BLOCK_CHARACTERS]) or {}
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    if not isinstance(stated, dict):
        return None
    license, name = stated.get("license"), stated.get("license_name")
    if isinstance(name, str) and license in ("other", None):
        license = name
    several = license if isinstance(license, list) else [license]
    named = [
        text.strip()[:MAX_LICENSE_CHARACTERS]
        for text in several
        if isinstance(text, str) and text.strip()
    ]
    return ", ".join(named[:5]) or None
