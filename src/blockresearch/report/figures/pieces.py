"""Data of a page in pieces: in the page itself, or in a script beside it that the page loads."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from blockresearch.report.pages import packed

# Characters of a packed piece that a page still contains.
LARGEST_INLINE = 200_000

FOLDER = "details"


@dataclass
class Pieces:
    """The pieces of a page: `inline` by name, and the texts of `scripts` by file name."""

    inline: dict[str, str] = field(default_factory=dict)
    scripts: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, value: Any) -> None:
        """Add a piece, inside the page unless it is large."""
        text = packed(value)
        if len(text) > LARGEST_INLINE:
            self.scripts[f"{name}.js"] = _script(name, text)
        else:
            self.inline[name] = text

    def add_beside(self, values: Iterable[tuple[str, Any]]) -> None:
        """Add pieces that are loaded one at a time."""
        for name, value in values:
            self.scripts[f"{name}.js"] = _script(name, packed(value))


def _script(name: str, text: str) -> str:
    return f'page.deliver("{FOLDER}/{name}.js","{text}");\n'
