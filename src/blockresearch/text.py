"""Text from a model as readers see it: hidden characters as escapes, long texts cut.

Every page, table, log and message takes its texts from here. Pictures replace, in addition, what
their font cannot draw (`report.plots.style.literal`).
"""

import json
import re
import unicodedata
from typing import Any

MAX_NAME_CHARACTERS = 120

MAX_QUOTED_CHARACTERS = 200

MAX_TOKEN_CHARACTERS = 200

# Invisible or direction-changing characters, by Unicode category; line breaks are among them.
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

# Characters that show nothing although Unicode counts them among letters, marks and symbols.
BLANKS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")

SPACE = "␣"

SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\", " ": SPACE}

SURROGATE = re.compile("[\ud800-\udfff]")

# What `str.isprintable` passes although it shows nothing: blanks and selectors of variants.
UNSEEN = re.compile(f"[{''.join(sorted(BLANKS))}\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def visible(text: Any) -> str:
    """Text whose control, bidirectional, zero-width and unassigned characters stand as escapes.

    It is one line and has no effect on a terminal or on the direction of the text around it.
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(
        _escape(character) if unicodedata.category(character) in HIDDEN else character
        for character in text
    )


def visible_surrogates(text: str) -> str:
    """Text in which each half of a surrogate pair is its escape, such as \\udc80."""
    return SURROGATE.sub(lambda found: _escape(found[0]), text)


def quoted(name: Any) -> str:
    """A name as error messages show it: in quotes, ASCII with escapes, cut if it is long."""
    text = json.dumps(name)
    return text if len(text) <= MAX_QUOTED_CHARACTERS else text[:MAX_QUOTED_CHARACTERS] + '…"'


def short(name: Any) -> str:
    """A name from a model, cut if it is long."""
    text = str(name)
    return text if len(text) <= MAX_NAME_CHARACTERS else text[: MAX_NAME_CHARACTERS - 1] + "…"


def readable(text: str) -> str:
    """The text of a token with nothing hidden; one of more than 200 characters is cut with '…'.

    A space is '␣', a backslash is doubled, and every character that shows nothing is an escape.
    """
    shown = text[:MAX_TOKEN_CHARACTERS]
    # Hardly any token has something to escape, and to look at each character takes ten times as
    # long.
    if shown.isprintable() and (shown.isascii() or not UNSEEN.search(shown)):
        shown = shown.replace("\\", SHORT_ESCAPES["\\"]).replace(" ", SPACE)
    else:
        shown = shown.translate(SHOWN)
    return shown + "…" if len(text) > MAX_TOKEN_CHARACTERS else shown


def readable_bytes(data: bytes) -> str:
    """Bytes as UTF-8, `readable`, and each byte that is not part of a character as <0xE2>."""
    text = data.decode("utf-8", "surrogateescape")
    shown = text[:MAX_TOKEN_CHARACTERS].translate(SHOWN_WITH_BYTES)
    return shown + ("…" if len(text) > MAX_TOKEN_CHARACTERS else "")


def _readable(character: str) -> str:
    if character in SHORT_ESCAPES:
        return SHORT_ESCAPES[character]
    code = ord(character)
    category = unicodedata.category(character)
    is_selector = 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF
    if is_selector or character in BLANKS or category in HIDDEN or category == "Zs":
        return _escape(character)
    return character


class _Shown(dict[int, str]):
    """For `str.translate`: what is shown of each character, found once."""

    def __missing__(self, code: int) -> str:
        self[code] = _readable(chr(code))
        return self[code]


SHOWN = _Shown()

# In the texts of surrogateescape a byte from 0x80 on is a character from U+DC80 on.
SHOWN_WITH_BYTES = _Shown({0xDC00 + byte: f"<0x{byte:02X}>" for byte in range(0x80, 0x100)})


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
