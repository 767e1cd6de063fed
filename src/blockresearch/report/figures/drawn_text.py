"""Texts of static drawings: an element for each language of the page, in lines of a given width.

SVG neither wraps nor measures text, and the reader's font is not known here. Widths are those of
DejaVu Sans for classes of letters, in ems; most other sans-serif fonts are narrower.
"""

import re

from blockresearch.language.catalogue import TAGS, languages, translated
from blockresearch.report.words import escape
from blockresearch.text import visible

FONT = 11

# Units between lines.
LINE = 13

NARROW, WIDE, CAPITAL, OTHER, IDEOGRAPH = 0.35, 0.96, 0.69, 0.61, 1.0

# Bold letters are wider.
BOLD = 1.12

# Where a line can end: behind spaces, and between ideographs.
PIECE = re.compile(r"[⺀-\uffef]|[^\s⺀-\uffef]+\s*|\s+")


def length(text: str, size: float = FONT) -> float:
    """The width of a text in one language, in units of the drawing."""
    return size * sum(map(_em, text))


def longest(text: str, size: float = FONT) -> float:
    """The width of a text in the language of the page that needs most."""
    return max(length(each, size) for each in _texts(text).values())


def lines(text: str, width: float, size: float = FONT) -> list[str]:
    """A text in one language in lines of `width` units; a longer word has a line to itself."""
    found = [""]
    for piece in PIECE.findall(text):
        if found[-1] and length(found[-1] + piece.rstrip(), size) > width:
            found.append("")
        found[-1] += piece
    return [line.rstrip() for line in found]


def most_lines(text: str, width: float) -> int:
    """How many lines a text in bold has in the language of the page that needs most."""
    return max(len(lines(each, width / BOLD)) for each in _texts(text).values())


def drawn(text: str, attributes: str) -> str:
    """A text in one line, with the attributes of its element."""
    return "".join(
        f"<text{_tag(language)} {attributes}>{escape(each)}</text>"
        for language, each in _texts(text).items()
    )


def drawn_within(text: str, attributes: str, width: float) -> str:
    """A text in one line of at most `width` units: a longer one is pressed together."""
    return "".join(
        f"<text{_tag(language)} {attributes}{_pressed(each, width)}>{escape(each)}</text>"
        for language, each in _texts(text).items()
    )


def title(text: str, x: float, y: float, width: float) -> str:
    """A title in bold, in as many lines as it needs from `y` down."""
    return "".join(
        f'<text{_tag(language)} x="{x:g}" y="{y + place * LINE:g}" font-weight="bold"'
        f"{_pressed(line, width / BOLD)}>{escape(line)}</text>"
        for language, each in _texts(text).items()
        for place, line in enumerate(lines(each, width / BOLD))
    )


def _texts(text: str) -> dict[str, str]:
    """The text by language, one if all are the same, which then has no language."""
    found = {language: visible(translated(text, language)) for language in languages()}
    return found if len(set(found.values())) > 1 else {"": next(iter(found.values()))}


def _tag(language: str) -> str:
    return f' lang="{TAGS[language]}"' if language else ""


def _pressed(text: str, width: float) -> str:
    if length(text) <= width:
        return ""
    return f' textLength="{width:.0f}" lengthAdjust="spacingAndGlyphs"'


def _em(letter: str) -> float:
    if letter >= "⺀":
        return IDEOGRAPH
    if letter in "iljtfrI.,:;'|!()[]/ -":
        return NARROW
    if letter in "mwMW%@—":
        return WIDE
    return CAPITAL if letter.isupper() else OTHER
