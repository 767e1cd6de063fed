"""What kind of text a token is: Unicode script, category, leading space, length; unused or not."""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cache

from fontTools.unicodedata import script, script_name

from blockresearch.tokens.tokenizer import Token

# Names by which vocabularies mark entries that no text contains.
UNUSED = re.compile(
    r"[<\[]\W*[\w-]*?(unused|reserved|placeholder|dummy|not[_-]used)[\w:-]*\W*[>\]]", re.IGNORECASE
)

BRACKETED = re.compile(r"<[^<>]+>|\[[A-Z]+\]")

# Bytes that no UTF-8 text contains, as lone surrogates.
IMPOSSIBLE_BYTES = frozenset(chr(0xDC00 + byte) for byte in (0xC0, 0xC1, *range(0xF5, 0x100)))

CAMEL_CASE = re.compile(r"[a-z][A-Z]")

CODE_MARKS = frozenset('_{}[]()<>=;/\\|&#@$%^*+`~"')


@dataclass(frozen=True)
class Traits:
    """What a token's text is.

    `category` is letters, digits, punctuation (symbols too), whitespace, control (characters that
    show nothing), code, mixed, byte, special or unused; None without a text. `script` is Unicode's
    name of the script of most letters, None without letters. `length` is in characters, or bytes,
    without the leading space.
    """

    category: str | None
    script: str | None
    leading_space: bool | None
    length: int | None


def traits(token: Token) -> Traits:
    """The traits of a token."""
    category = _category(token)
    if not token.raw:
        return Traits(category, None, None, None)
    spaced = token.raw.startswith(" ")
    named = category not in ("special", "unused", "byte")
    return Traits(category, _script(token.raw) if named else None, spaced, len(token.raw) - spaced)


def is_impossible(token: Token) -> bool:
    """Whether no text contains the token: a name such as [unused7], or a byte not in UTF-8."""
    if token.kind != "unnamed" and _category(token) == "unused":
        return True
    return token.kind == "byte" and token.raw in IMPOSSIBLE_BYTES


def _category(token: Token) -> str | None:
    text = token.raw.strip(" ")
    if token.kind == "unnamed" or UNUSED.fullmatch(text):
        return "unused"
    if token.kind == "special" or (token.kind == "added" and BRACKETED.fullmatch(text)):
        return "special"
    if not token.raw:
        return None
    return "byte" if token.kind == "byte" else _text_category(token.raw)


def _text_category(raw: str) -> str:
    text = raw.strip()
    if not text:
        return "whitespace"
    kinds = {unicodedata.category(character)[0] for character in text}
    if kinds == {"C"}:
        return "control"
    marks = sum(character in CODE_MARKS for character in text)
    if kinds <= {"L", "M"}:
        return "code" if CAMEL_CASE.search(text) else "letters"
    if kinds == {"N"}:
        return "digits"
    if kinds <= {"P", "S"}:
        return "code" if marks > 1 and len(set(text)) > 1 else "punctuation"
    return "code" if marks or CAMEL_CASE.search(text) else "mixed"


def _script(raw: str) -> str | None:
    counts = Counter(filter(None, map(_letter_script, raw)))
    return counts.most_common(1)[0][0] if counts else None


@cache
def _letter_script(character: str) -> str | None:
    if unicodedata.category(character)[0] != "L":
        return None
    return script_name(script(character)).replace("_", " ")
