"""Names in a few characters each, as the scripts of pages read them."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from blockresearch.text import visible


def patterns(names: Iterable[str]) -> tuple[list[str], list[Any]]:
    """Names as patterns and, row by row, the pattern's index and the numbers that fill its #.

    `model.layers.#.mlp.weight` with 3 is model.layers.3.mlp.weight.
    """
    split = [re.split(r"(?<![0-9])(0|[1-9][0-9]{0,8})(?![0-9])", visible(name)) for name in names]
    # A name that contains the mark is sent unchanged.
    split = [["".join(parts)] if "#" in "".join(parts) else parts for parts in split]
    texts, places = indexed(["#".join(parts[0::2]) for parts in split])
    rows = [
        [place, *map(int, parts[1::2])] if len(parts) > 1 else place
        for place, parts in zip(places, split, strict=True)
    ]
    return texts, rows


def indexed(shown: Sequence[str]) -> tuple[list[str], list[int]]:
    """The distinct texts, sorted, and the place of each text among them."""
    distinct = sorted(set(shown))
    places = {text: place for place, text in enumerate(distinct)}
    return distinct, [places[text] for text in shown]
