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

LATIN = "Latin"  # the script of all letters of ASCII

CODE_MARKS = frozenset('_{}[]()<>=;/\\|&#@$%^*+`~"')


@dataclass(frozen=True)
class Traits:
    """What a token's text is.

    `category` is letters, digits, punctuation (symbols too), whitespace, control (characters that
    show nothing), code, mixed, byte, special or unused; None without a text. `script` is Unicode's
    name of the script of most letters, None without letters. `length` is in characters, or bytes,
    without the leading space. `is_impossible`: no text contains the token, because it is a name
    such as [unused7], or a byte that is not in UTF-8.
    """

    category: str | None
    script: str | None
    leading_space: bool | None
    length: int | None
    is_impossible: bool = False


def traits(token: Token) -> Traits:
    """The traits of a token."""
    category = _category(token)
    impossible = token.kind != "unnamed" and category == "unused"
    impossible |= token.kind == "byte" and token.raw in IMPOSSIBLE_BYTES
    if not token.raw:
        return Traits(category, None, None, None, impossible)
    spaced = token.raw.startswith(" ")
    script = None if category in ("special", "unused", "byte") else _script(token.raw)
    return Traits(category, script, spaced, len(token.raw) - spaced, impossible)


def _category(token: Token) -> str | None:
    text = token.raw.strip(" ")
    bracketed = text.startswith(("<", "["))
    if token.kind == "unnamed" or (bracketed and UNUSED.fullmatch(text)):
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
    kinds = set(map(_kind, text))
    if kinds == {"C"}:
        return "control"
    if kinds <= {"L", "M"}:
        return "code" if CAMEL_CASE.search(text) else "letters"
    if kinds == {"N"}:
        return "digits"
    marks = sum(character in CODE_MARKS for character in text)
    if kinds <= {"P", "S"}:
        return "code" if marks > 1 and len(set(text)) > 1 else "punctuation"
    return "code" if marks or CAMEL_CASE.search(text) else "mixed"


@cache
def _kind(character: str) -> str:
    """First letter of the Unicode category."""
    return unicodedata.category(character)[0]


def _script(raw: str) -> str | None:
    if raw.isascii():
        return LATIN if any(map(str.isalpha, raw)) else None
    counts = Counter(filter(None, map(_letter_script, raw)))
    return counts.most_common(1)[0][0] if counts else None


@cache
def _letter_script(character: str) -> str | None:
    if _kind(character) != "L":
        return None
    return script_name(script(character)).replace("_", " ")
