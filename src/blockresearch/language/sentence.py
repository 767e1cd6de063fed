"""Texts for people that can be translated: an English string that remembers its message.

    say("{count} of {total} matrices have full rank.", count="12", total="14")

is the English sentence as a `str`, so it can be stored, logged and compared. Its `message` is the
key of the catalogue, and its `values` fill the places of the translation. Values are texts that are
formatted already, markup, or sentences again. Whatever makes a new string (`+`, an f-string, a
method) makes a plain one without a message; `joined` and `listed` keep it.

`python -m docs.messages` finds the messages: the first argument of `say` is therefore a literal.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any


class Sentence(str):
    """An English text with the message and the values that it was made from."""

    __slots__ = ("message", "values")

    message: str
    values: Mapping[str, str]

    def __new__(cls, message: str, values: Mapping[str, str]) -> "Sentence":
        text = super().__new__(cls, message.format_map(values) if values else message)
        text.message, text.values = message, values
        return text

    def __reduce__(self) -> tuple[Any, ...]:
        return Sentence, (self.message, dict(self.values))


def say(message: str, **values: object) -> Sentence:
    """A sentence: `message` with `values` in the places of their names.

    Numbers become texts as they are; format them first. A message without values is taken as it
    is, so only one with values has to double its literal braces.
    """
    return Sentence(
        message,
        {name: value if isinstance(value, str) else str(value) for name, value in values.items()},
    )


def declared(text: str) -> Sentence:
    """A text that stands in a record, or in the call of another function, as a sentence."""
    return text if isinstance(text, Sentence) else Sentence(text, {})


def joined(*sentences: str) -> Sentence:
    """Sentences one after the other; empty ones are left out."""
    first, *rest = [sentence for sentence in sentences if sentence] or [""]
    if not rest:
        return first if isinstance(first, Sentence) else say("{text}", text=first)
    return say("{first} {rest}", first=first, rest=joined(*rest))


def listed(parts: Sequence[str]) -> Sentence:
    """Some things in a sentence: a, b and c."""
    *first, last = parts
    if not first:
        return last if isinstance(last, Sentence) else say("{text}", text=last)
    return say("{first} and {last}", first=enumerated(first), last=last)


def enumerated(parts: Sequence[str]) -> Sentence:
    """Some things with commas: a, b, c."""
    first, *rest = parts
    if not rest:
        return first if isinstance(first, Sentence) else say("{text}", text=first)
    return say("{first}, {rest}", first=first, rest=enumerated(rest))


def in_series(parts: Sequence[str]) -> Sentence:
    """Some clauses with semicolons: a; b; c."""
    first, *rest = parts
    if not rest:
        return first if isinstance(first, Sentence) else say("{text}", text=first)
    return say("{first}; {rest}", first=first, rest=in_series(rest))


def as_json(text: str) -> Any:
    """A text as JSON: a string, or for a sentence an object with message and values."""
    if not isinstance(text, Sentence):
        return text
    values = {name: as_json(value) for name, value in text.values.items()}
    return {"message": text.message, "values": values}


def messages_in(facts: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """The sentences among facts that become JSON, by their keys joined with dots, as JSON."""
    found: dict[str, Any] = {}
    for key, value in facts.items():
        if isinstance(value, Sentence):
            found[before + key] = as_json(value)
        elif isinstance(value, Mapping):
            found |= messages_in(value, f"{before}{key}.")
    return found


def with_messages(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts from JSON whose `messages` (see `messages_in`) are sentences again."""
    result = copy.deepcopy(dict(facts))
    for path, stored in result.pop("messages", {}).items():
        *folders, key = path.split(".")
        place = result
        for folder in folders:
            place = place[folder]
        place[key] = from_json(stored)
    return result


def from_json(stored: Any) -> str:
    """The text that `as_json` stored."""
    if isinstance(stored, str):
        return stored
    return say(
        stored["message"], **{name: from_json(value) for name, value in stored["values"].items()}
    )
