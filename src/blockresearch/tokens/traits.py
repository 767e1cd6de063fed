"""What kind of text a token is: Unicode script, category, leading space, length; unused or not."""

import re
import sys
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cache

import numpy as np
from fontTools.unicodedata import script, script_name

from blockresearch.tokens.tokenizer import Token, Tokens

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


# Properties of a character, as bits: its kind, and what makes a text code.
LETTER, NUMBER, SIGN, CONTROL, SPACE, LOWER, UPPER, MARK, OPENING = (1 << n for n in range(9))

KIND_BITS = {"L": LETTER, "M": LETTER, "N": NUMBER, "P": SIGN, "S": SIGN, "C": CONTROL, "Z": SPACE}


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


@dataclass(frozen=True)
class TraitColumns:
    """The traits of n tokens, as columns [n] of what each `Traits` has.

    `category`, `script` and `leading_space` are objects, None if there is none; `length` is -1
    without a text.
    """

    category: np.ndarray
    script: np.ndarray
    leading_space: np.ndarray
    length: np.ndarray
    is_impossible: np.ndarray


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


def all_traits(tokens: Tokens) -> TraitColumns:
    """The traits of `tokens`, those that `traits` gives for each.

    Nearly every token is one word, number or mark, with a space before it or not. Its traits follow
    from properties of its characters, which are looked up once for each character that occurs.
    """
    n = len(tokens)
    texts = [raw.removeprefix(" ") for raw in tokens.raws]
    whole, length = (np.fromiter(map(len, some), np.int64, n) for some in (tokens.raws, texts))
    category, script, spaced = np.full((3, n), None, object)
    spaced[whole > 0] = (whole > length)[whole > 0]
    is_plain = np.fromiter((kind in ("normal", "added") for kind in tokens.kinds), bool, n)
    is_plain &= (length > 0) | (whole == 0)
    places = np.flatnonzero(length > 0)
    if len(places):
        found = _of_characters("".join(texts), length[places])
        is_plain[places] &= found.is_plain
        category[places], script[places] = found.category, found.script
    impossible = np.zeros(n, bool)
    for place in np.flatnonzero(~is_plain).tolist():
        own = traits(tokens[place])
        category[place], script[place], impossible[place] = (
            own.category,
            own.script,
            own.is_impossible,
        )
    length[whole == 0] = -1
    return TraitColumns(category, script, spaced, length, impossible)


@dataclass(frozen=True)
class _Found:
    """Category and script of m texts; a text that is not `is_plain` has others."""

    category: np.ndarray
    script: np.ndarray
    is_plain: np.ndarray


def _of_characters(joined: str, lengths: np.ndarray) -> _Found:
    """The category and script of normal texts with `lengths` [m] characters, which are `joined`."""
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    starts = np.cumsum(lengths) - lengths
    used = np.zeros(sys.maxunicode + 1, bool)
    used[codes] = True
    characters = list(map(chr, np.flatnonzero(used).tolist()))
    scripts = list(map(_letter_script, characters))
    names = [None, *sorted({name for name in scripts if name})]
    numbers = {name: number for number, name in enumerate(names)}

    def looked_up(properties: list[int]) -> np.ndarray:
        table = np.zeros(len(used), np.int16)
        table[used] = properties
        return table[codes]

    bits = looked_up(list(map(_bits, characters)))
    own = looked_up([numbers[name] for name in scripts])
    every = np.bitwise_or.reduceat(bits, starts)
    marks = np.add.reduceat((bits & MARK) > 0, starts, dtype=np.int64)
    humps = np.zeros(len(bits), bool)
    humps[1:] = (bits[:-1] & LOWER > 0) & (bits[1:] & UPPER > 0)
    humps[starts] = False
    is_camel = np.logical_or.reduceat(humps, starts)
    is_mixed = np.maximum.reduceat(codes, starts) > np.minimum.reduceat(codes, starts)
    kinds = every & (LETTER | NUMBER | SIGN | CONTROL)
    category = np.select(
        [kinds == CONTROL, kinds == LETTER, kinds == NUMBER, kinds == SIGN],
        [
            "control",
            np.where(is_camel, "code", "letters"),
            "digits",
            np.where((marks > 1) & is_mixed, "code", "punctuation"),
        ],
        np.where((marks > 0) | is_camel, "code", "mixed"),
    ).astype(object)
    last = np.maximum.reduceat(own, starts)
    first = np.minimum.reduceat(np.where(own > 0, own, len(names)), starts)
    several = (last > 0) & (first < last)
    script = np.array(names, object)[last]
    for place in np.flatnonzero(several).tolist():
        script[place] = _script(joined[starts[place] : starts[place] + lengths[place]])
    is_plain = (every & SPACE == 0) & (bits[starts] & OPENING == 0)
    return _Found(category, script, is_plain)


def _bits(character: str) -> int:
    found = SPACE if character.isspace() else KIND_BITS[_kind(character)]
    if character in CODE_MARKS:
        found |= MARK
    if character.isascii() and character.isalpha():
        found |= LOWER if character.islower() else UPPER
    return found | (OPENING if character in "<[" else 0)


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
