"""Texts of tables as sentences again: the message of a catalogue that a text was made from.

A table has the text of a reason without its message. The text is compared with the messages of the
catalogues: one fits if its literal parts follow each other in the text, and what is between them
becomes the values. Of several that fit, the one with the most literal text counts. The search is
linear in the text, because names in it are from other people.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache

from blockresearch.language.catalogue import catalogue, languages
from blockresearch.language.sentence import Sentence, declared, in_series, say

PLACE = re.compile(r"\{(\w+)\}")

# Letters outside of places that a message needs; "{first} and {last}" would fit everything.
FEWEST_LETTERS = 8

# Messages are looked up by their first characters.
FIRST = 4

# Sentences inside of sentences; what is deeper stays as it is. Names could have any number.
DEPTH = 16


def recognized(text: str) -> Sentence:
    """The text with its message and values; itself if no message fits, or all is in English.

    Of a sentence, whose message is known, the values are recognized.
    """
    return _recognized(text, DEPTH)


def _recognized(text: str, depth: int) -> Sentence:
    others = [language for language in languages() if language != "en"]
    if isinstance(text, Sentence):
        return _with_values(text, others, depth)
    for language in others:
        if found := _in_catalogue(text, language, depth):
            return found
    return declared(text)


def _with_values(text: Sentence, others: Sequence[str], depth: int) -> Sentence:
    """The sentence with values that are sentences again, as deep as `depth`."""
    if not depth or not others:
        return text
    values: dict[str, str] = dict(text.values)
    for name, value in values.items():
        if isinstance(value, Sentence):
            values[name] = _with_values(value, others, depth - 1)
            continue
        found = (_value(value, language, depth - 1) for language in others)
        values[name] = next((each for each in found if isinstance(each, Sentence)), value)
    return say(text.message, **values)


def _in_catalogue(text: str, language: str, depth: int) -> Sentence | None:
    if text in catalogue(language):
        return declared(text)
    if not depth:
        return None
    known = _messages(language)
    for candidates in (known.get(text[:FIRST], ()), known[""]):
        for message, literals, names in candidates:
            if (values := _between(text, literals)) is not None:
                named = zip(names, values, strict=True)
                inner = {name: _value(value, language, depth - 1) for name, value in named}
                return say(message, **inner)
    first, semicolon, rest = text.partition("; ")
    if semicolon:
        return in_series([_recognized(part, depth - 1) for part in (first, rest)])
    first, colon, rest = text.partition(": ")
    if colon and first in catalogue(language):
        inside = _recognized(rest, depth - 1)
        return say("{first}: {rest}", first=declared(first), rest=inside)
    return None


def _value(text: str, language: str, depth: int) -> str:
    """A value, which may be a sentence again: names and numbers stay as they are."""
    is_words = " " in text and sum(map(str.isalpha, text)) >= FEWEST_LETTERS
    return (_in_catalogue(text, language, depth) if is_words else None) or text


@cache
def _messages(language: str) -> Mapping[str, list[tuple[str, list[str], list[str]]]]:
    """Messages with places by their first characters, "" for others: most literal text first."""
    found: dict[str, list[tuple[str, list[str], list[str]]]] = {"": []}
    for message in catalogue(language):
        literals, names = PLACE.split(message)[::2], PLACE.findall(message)
        if names and sum(map(str.isalpha, "".join(literals))) >= FEWEST_LETTERS:
            start = literals[0][:FIRST] if len(literals[0]) >= FIRST else ""
            found.setdefault(start, []).append((message, literals, names))
    for group in found.values():
        group.sort(key=lambda entry: -len("".join(entry[1])))
    return found


def _between(text: str, literals: list[str]) -> list[str] | None:
    """What is between the literal parts, None if the text does not consist of them."""
    first, *rest = literals
    if not text.startswith(first):
        return None
    at, values = len(first), []
    for position, literal in enumerate(rest, 1):
        if position == len(rest):
            end = len(text) - len(literal) if text.endswith(literal) else -1
        else:
            end = text.find(literal, at + 1)
        if end <= at:
            return None
        values.append(text[at:end])
        at = end + len(literal)
    return values
