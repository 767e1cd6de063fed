"""The translations of messages, and the languages of this process.

A catalogue is a PO file of gettext beside this module, named by its language; editors of such files
and `msgfmt --check` work on it. gettext of the standard library reads compiled files only, so the
few kinds of lines that the project writes are read here.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from blockresearch.language.sentence import Sentence

# Configured name -> languages in the order in which they are written.
CHOICES = {"en": ("en",), "zh": ("zh",), "both": ("en", "zh")}

# Language -> its tag in HTML.
TAGS = {"en": "en", "zh": "zh-Hans"}

FOLDER = Path(__file__).parent

LINE = re.compile(r'(?:(msgid|msgstr) )?(".*")')

_chosen = ["en"]


def set_language(choice: str) -> None:
    """Set the language of texts of this process, or `both`; English for anything else."""
    _chosen[0] = choice if choice in CHOICES else "en"


def languages() -> tuple[str, ...]:
    """The languages of the pages that this process writes."""
    return CHOICES[_chosen[0]]


def translated(text: str, language: str) -> str:
    """A text in a language; in English if there is no translation.

    A plain string is a message without values.
    """
    if language == "en":
        return str(text)
    message = message_in(text.message if isinstance(text, Sentence) else text, language)
    if not isinstance(text, Sentence) or not text.values:
        return message
    return message.format_map({n: translated_value(v, language) for n, v in text.values.items()})


def message_in(message: str, language: str) -> str:
    """A message in a language, with its places; in English if there is no translation."""
    return message if language == "en" else catalogue(language).get(message, message)


def translated_value(value: str, language: str) -> str:
    """A value of a sentence in a language: names and numbers stay as they are."""
    return translated(value, language) if isinstance(value, Sentence) else value


def spoken(text: str) -> str:
    """A text in the first language of this process, for places that have room for one."""
    return translated(text, languages()[0])


@cache
def catalogue(language: str) -> dict[str, str]:
    """Message -> translation, without empty ones."""
    path = FOLDER / f"{language}.po"
    entries = read_entries(path.read_text(encoding="utf-8")) if path.exists() else ()
    return {message: text for message, text in entries if message and text}


def read_entries(text: str) -> Iterator[tuple[str, str]]:
    """The messages and translations of a PO file, in its order. Raises ValueError for others."""
    found: dict[str, str] = {}
    part = ""
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        match = LINE.fullmatch(line)
        if not match or not (match[1] or part):
            raise ValueError(f"line {number} of the catalogue is none of a PO file: {line[:80]}")
        if match[1] == "msgid" and "msgstr" in found:
            yield found["msgid"], found["msgstr"]
            found = {}
        part = match[1] or part
        found[part] = found.get(part, "") + ast.literal_eval(match[2])
    if found:
        yield found["msgid"], found["msgstr"]
