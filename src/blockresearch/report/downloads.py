"""The files that the page of a model offers, in groups by what opens them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from markupsafe import Markup

from blockresearch.language.sentence import say
from blockresearch.report.wording import size
from blockresearch.report.words import escape

# Title of a group -> endings of its files; a file is in the first group that has its ending.
GROUPS = {
    say("Tables"): (".csv", ".parquet"),
    say("JSON"): (".json",),
    say("Notebooks and reports"): (".ipynb", ".html"),
    say("Pictures"): (".png",),
}


@dataclass(frozen=True)
class Download:
    """A result in one format or several; `files` are the format, path and size of each."""

    stem: str
    text: str
    files: tuple[tuple[str, str, str], ...]

    @property
    def name(self) -> Markup:
        """The path without an ending, with places to break a line between its words only."""
        return Markup(re.sub(r"(?<=[/_])", "<wbr>", escape(self.stem)))


@dataclass(frozen=True)
class Group:
    """Results of one kind, and their size together."""

    title: str
    size: str
    results: tuple[Download, ...]


def grouped(folder: Path, texts: Mapping[str, str]) -> Iterator[Group]:
    """The files with `texts` (path -> contents) that are in the folder; no empty groups.

    Formats of one result have the text of the first.
    """
    sizes = {path: (folder / path).stat().st_size for path in texts if (folder / path).is_file()}
    for title, endings in GROUPS.items():
        own = [path for path in sizes if PurePath(path).suffix in endings]
        of_stem: dict[str, list[str]] = {}
        for path in own:
            of_stem.setdefault(path.rpartition(".")[0], []).append(path)
        if own:
            yield Group(
                title,
                size(sum(sizes[path] for path in own)),
                tuple(
                    Download(
                        stem,
                        texts[paths[0]],
                        tuple((PurePath(path).suffix, path, size(sizes[path])) for path in paths),
                    )
                    for stem, paths in of_stem.items()
                ),
            )
