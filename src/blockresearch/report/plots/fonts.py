"""Fonts of pictures: DejaVu Sans, and for what it has no glyphs of, fonts of this machine.

Pages take the fonts of their reader. A picture is drawn where the job runs, so it has Chinese,
Thai or Devanagari only if a font with them is installed there; no font is bundled, because one for
Chinese alone has 16 MB. HarfBuzz, in matplotlib since 3.11, puts the letters of such scripts
together, and right-to-left text in its order.
"""

from functools import cache

import matplotlib
from matplotlib import font_manager

BASE = "DejaVu Sans"

# A letter of a script -> how the names of suitable fonts begin, the best first: those of Linux,
# macOS and Windows.
WANTED = {
    "不": (
        *("Noto Sans CJK SC", "Source Han Sans SC", "WenQuanYi", "Noto Sans CJK", "PingFang SC"),
        *("Hiragino Sans GB", "Heiti SC", "Microsoft YaHei", "SimHei", "Droid Sans Fallback"),
    ),
    "の": ("Noto Sans CJK JP", "IPAGothic", "Hiragino Sans", "Yu Gothic", "MS Gothic"),
    "한": ("Noto Sans CJK KR", "Nanum", "Apple SD Gothic Neo", "Malgun Gothic"),
    "ไ": ("Noto Sans Thai", "Loma", "Garuda", "Thonburi", "Leelawadee UI", "Tahoma"),
    "ह": ("Noto Sans Devanagari", "Lohit Devanagari", "Devanagari MT", "Nirmala UI"),
    "ব": ("Noto Sans Bengali", "Lohit Bengali", "Bangla MN", "Nirmala UI"),
    "த": ("Noto Sans Tamil", "Lohit Tamil", "Tamil MN", "Nirmala UI"),
    "ت": ("Noto Sans Arabic", "Noto Naskh Arabic", "Geeza Pro", "Segoe UI"),
    "א": ("Noto Sans Hebrew", "Arial Hebrew", "Segoe UI"),
}


@cache
def base_glyphs() -> frozenset[int]:
    """The code points that the base font has."""
    return _glyphs(font_manager.findfont(BASE))


@cache
def all_glyphs() -> frozenset[int]:
    """The code points that can be drawn here. From now on texts may use all fonts for them."""
    names, found = [BASE], set(base_glyphs())
    for letter, wanted in WANTED.items():
        if ord(letter) in found:
            continue
        for font in _named(wanted):
            glyphs = _glyphs(font.fname)
            if ord(letter) in glyphs:
                names.append(font.name)
                found |= glyphs
                break
    matplotlib.rcParams["font.family"] = names
    return frozenset(found)


def is_in_base(text: str) -> bool:
    """Whether the base font has a glyph for every character; line breaks need none."""
    return all(ord(character) in base_glyphs() for character in text if character != "\n")


def can_draw(text: str) -> bool:
    """Whether some font has a glyph for every character; line breaks need none."""
    return is_in_base(text) or all(
        ord(character) in all_glyphs() for character in text if character != "\n"
    )


def families() -> list[str]:
    """The fonts of texts, the base font first."""
    all_glyphs()
    return list(matplotlib.rcParams["font.family"])


def _named(wanted: tuple[str, ...]) -> list[font_manager.FontEntry]:
    """The upright fonts of normal weight whose names begin like one of `wanted`, in its order."""
    _add_new_fonts()
    fonts = [font for font in font_manager.fontManager.ttflist if font.style == "normal"]
    fonts = [font for font in fonts if str(font.weight) in ("400", "normal", "regular", "book")]
    return [
        font
        for start in wanted
        for font in sorted(fonts, key=lambda font: font.name)
        if font.name.startswith(start)
    ]


@cache
def _add_new_fonts() -> None:
    """Add fonts that were installed after matplotlib had written its list of fonts."""
    known = {font.fname for font in font_manager.fontManager.ttflist}
    for path in sorted(set(font_manager.findSystemFonts()) - known):
        try:
            font_manager.fontManager.addfont(path)
        except (OSError, RuntimeError):
            continue


def _glyphs(path: str) -> frozenset[int]:
    return frozenset(font_manager.get_font(path).get_charmap())
