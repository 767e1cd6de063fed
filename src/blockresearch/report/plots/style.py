"""Style of all figures: text from data, plain numbers, and writing to a file."""

import io
import math
import unicodedata
from typing import Any

import matplotlib
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullLocator,
    SymmetricalLogLocator,
)

from blockresearch.files import atomic
from blockresearch.language.catalogue import languages, spoken
from blockresearch.language.sentence import say
from blockresearch.report.glossary import BLOCK_TYPES
from blockresearch.report.plots import fonts
from blockresearch.report.wording import SUPERSCRIPTS

matplotlib.use("Agg")

# Okabe and Ito's palette, for groups other than block types; only adjacent ones always differ.
PALETTE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7a6a00", "#555555")

HEAT = "viridis"

# White is the middle.
DIVERGING = "RdBu_r"

# Lines of the hatching.
MISSING = "#c4c4c4"

DOTS_PER_INCH = 192

# White with gray lines, after the style "whitegrid" of seaborn. Only figures that are drawn with
# seaborn import it: that takes as long as drawing three of the others.
matplotlib.rcParams.update(
    {
        "font.family": fonts.BASE,
        "font.size": 10,
        "text.color": ".15",
        "axes.axisbelow": True,
        "axes.edgecolor": "#999999",
        "axes.grid": True,
        "axes.labelcolor": ".15",
        "axes.labelsize": 10,
        "axes.linewidth": 1.25,
        "axes.prop_cycle": cycler(color=PALETTE),
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlelocation": "left",
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        # No axis has its ticks at the top, and looking for them takes a seventh of the time.
        "axes.titley": 1.0,
        "grid.color": "#e2e2e2",
        "grid.linewidth": 1,
        "legend.fontsize": 9,
        "legend.frameon": False,
        "lines.solid_capstyle": "round",
        "patch.edgecolor": "w",
        "patch.force_edgecolor": True,
        "xtick.bottom": False,
        "xtick.color": ".15",
        "xtick.labelsize": 9,
        "xtick.major.size": 6,
        "xtick.major.width": 1.25,
        "ytick.color": ".15",
        "ytick.labelsize": 9,
        "ytick.left": False,
        "ytick.major.size": 6,
        "ytick.major.width": 1.25,
    }
)


def canvas(
    width: float, height: float, rows: int = 1, cols: int = 1, **options: Any
) -> tuple[Figure, list[Axes]]:
    """A figure of `width` x `height` inches and its axes, row by row."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(rows, cols, squeeze=False, **options).flat)


def heading(axes: Axes, title: str, about: str) -> None:
    """A title in bold with a line below it in plain type."""
    axes.set_title(f"{title}\n", fontsize=10)
    axes.annotate(
        about, (0, 1), (0, 5), xycoords="axes fraction", textcoords="offset points", fontsize=9
    )


def hatch(axes: Axes) -> None:
    """Hatch the background of a map, which shows through the cells without a value."""
    axes.patch.set(facecolor="white", edgecolor=MISSING, hatch="////")


def message(text: str) -> Figure:
    """A figure with one line that explains why there is nothing to show."""
    figure, (axes,) = canvas(8, 1.2)
    axes.axis("off")
    axes.text(0.5, 0.5, literal(text), ha="center", va="center", wrap=True)
    return figure


def save(figure: Figure, path: Any) -> None:
    """Write a figure as PNG, atomically; the bytes depend only on the figure."""
    with atomic(path) as temporary:
        temporary.write_bytes(png(figure))


def png(figure: Figure) -> bytes:
    """A figure as PNG at twice the resolution of a page, without date or program name."""
    speak(figure)
    figure.set_dpi(DOTS_PER_INCH)
    buffer = io.BytesIO()
    # Figure.savefig would draw it a second time, to lay it out.
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def alternative(figure: Figure) -> str:
    """Alternative text of a figure: titles, axes and legends of its panels."""
    speak(figure)
    parts = []
    for axes in figure.axes:
        title = axes.get_title("left") or axes.get_title()
        names = [text for text in (axes.get_xlabel(), axes.get_ylabel()) if text]
        names = [*dict.fromkeys(reversed(names))]
        about = (
            spoken(say("{vertical} by {horizontal}", vertical=names[0], horizontal=names[1]))
            if len(names) == 2
            else "".join(names)
        )
        parts.append(": ".join(text for text in (title, about) if text))
    whole = [figure.get_suptitle(), figure.get_supylabel(), figure.get_supxlabel()]
    shown = [text.replace("\n", ", ").replace(r"\$", "$") for text in (*whole, *parts) if text]
    chart = spoken(say("Chart."))
    return f"{chart} {'; '.join(dict.fromkeys(shown))}." if shown else chart


def literal(text: Any, longest: int = 80) -> str:
    """Text from a model for a figure: no mathtext, drawable, at most `longest` characters.

    A character that is missing from all fonts, or not printable, becomes ⟨U+…⟩. So does a mark
    without a letter before it.
    """
    shown, before = "", ""
    for character in str(text):
        own = before + character if _is_mark(character) else character
        shown += character if drawable(own) else f"⟨U+{ord(character):04X}⟩"
        before = character
    if len(shown) > longest:
        shown = shown[: longest - 1] + "…"
    return shown.replace("$", r"\$")


def drawable(text: str) -> bool:
    """Whether there are glyphs for every character, and a letter before a mark."""
    return text.isprintable() and not _is_mark(text[:1]) and fonts.can_draw(text)


def _is_mark(character: str) -> bool:
    return bool(character) and unicodedata.bidirectional(character) == "NSM"


def in_language(text: str) -> str:
    """A text in the first language of the pages if there are glyphs for it, else in English."""
    translation = spoken(text)
    return translation if fonts.can_draw(translation) else str(text)


def speak(figure: Figure) -> None:
    """Translate the texts of a figure that are messages, and give texts the fonts they need.

    Titles and labels exist, with the fonts of that time, before their texts are set.
    """
    for shown in figure.findobj(Text):
        text = shown.get_text()
        message = text.strip("\n")
        if message and languages()[0] != "en" and message not in BLOCK_TYPES:
            text = text.replace(message, in_language(message))
            if text != shown.get_text():
                shown.set_text(text)
        if not fonts.is_in_base(text):
            shown.set_fontfamily(fonts.families())


def compact(value: float) -> str:
    """A number in few characters: 0.0123, 45.6, 12,345, 10⁻⁷, 1.2×10⁻⁷."""
    if value == 0:
        return "0"
    if value < 0:
        return f"−{compact(-value)}"
    size = abs(value)
    power = round(math.log10(size))
    if not 1e-3 <= size < 1e6 and math.isclose(value, 10.0**power, rel_tol=1e-9):
        return "10" + str(power).translate(SUPERSCRIPTS)
    if 1e-3 <= size < 1e3:
        return f"{value:.3g}"
    if 1e3 <= size < 1e6:
        return f"{value:,.0f}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}×10{str(int(exponent)).translate(SUPERSCRIPTS)}"


def plain_ticks(axis: Any, logarithmic: bool = False) -> None:
    """Tick labels as plain numbers (log axes would write powers in mathtext).

    A short logarithmic axis also gets ticks between the powers of ten, and so does one that is
    linear up to 1 and logarithmic beyond (symlog).
    """
    if logarithmic:
        low, high = sorted(axis.get_view_interval())
        decades = math.log10(high / low) if low > 0 else 9
        steps = next(
            steps
            for most, steps in ((1.2, (1, 2, 3, 5)), (1.6, (1, 2, 5)), (2.6, (1, 3)), (9e9, (1,)))
            if decades < most
        )
        few = MaxNLocator(6, steps=[1, 2, 5, 10])
        axis.set_major_locator(few if decades < 0.7 else LogLocator(subs=steps, numticks=12))
    elif isinstance(locator := axis.get_major_locator(), SymmetricalLogLocator):
        locator.set_params(subs=(1, 3) if max(map(abs, axis.get_view_interval())) < 300 else (1,))
    # Minor ticks are invisible in this style but take most of the time of a figure.
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: compact(value)))
