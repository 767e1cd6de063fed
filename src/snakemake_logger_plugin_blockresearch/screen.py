"""Text for people: lines that stay, and on a terminal a few that are drawn again and again."""

import os
import unicodedata
from collections.abc import Sequence
from itertools import accumulate
from typing import TextIO

# Up by so many lines, then erase to the end of the screen.
ERASE = "\x1b[{}F\x1b[J"


class Screen:
    """Writes to a stream; `is_live` if it is a terminal that can move its cursor."""

    def __init__(self, stream: TextIO):
        self.stream = stream
        self.is_live = stream.isatty() and os.environ.get("TERM") != "dumb"
        self.drawn = 0

    def write(self, text: str) -> None:
        """Write text that stays, in place of what was drawn."""
        self.draw([])
        self.stream.write(f"{text}\n")
        self.stream.flush()

    def draw(self, lines: Sequence[str]) -> None:
        """Replace what was drawn by `lines`, each cut to the terminal's width; only if live."""
        if not self.is_live or not (self.drawn or lines):
            return
        columns, rows = self._size()
        shown = [cut(line, columns - 1) for line in lines[: max(rows - 2, 1)]]
        erase = ERASE.format(self.drawn) if self.drawn else ""
        self.stream.write(erase + "".join(f"{line}\n" for line in shown))
        self.stream.flush()
        self.drawn = len(shown)

    def _size(self) -> tuple[int, int]:
        try:
            size = os.get_terminal_size(self.stream.fileno())
        except OSError:
            return 80, 24
        # A terminal that does not report its size has none.
        return size.columns or 80, size.lines or 24


def cut(text: str, columns: int) -> str:
    """As much of `text` as fits into `columns` of a terminal, with … if something is left out."""
    used = [2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text]
    if sum(used) <= columns:
        return text
    fitting = sum(end < columns for end in accumulate(used))
    return text[:fitting] + "…"
