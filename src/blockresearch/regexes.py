"""Regular expressions from other people's files, matched in bounded time.

Python's engine tries all ways to split a text among the repeats of a pattern. A pattern is refused
if that may take long: repeats inside repeats, alternatives inside a repeat, back references, and
more repeats than a name of that length allows.
"""

import math
import re
from functools import lru_cache

MAX_PATTERN_CHARACTERS = 2000

MAX_STEPS = 1_000_000

# Dots in a name; no parameter of a real model has as many.
MAX_STARTS = 64


@lru_cache(4096)
def compile_bounded(pattern: str) -> tuple[re.Pattern[str], int] | None:
    """The compiled pattern and the number of its repeats; None if it is invalid or refused."""
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        return None
    repeats = _count_repeats(pattern)
    try:
        return None if repeats is None else (re.compile(pattern), repeats)
    except (re.error, RecursionError, OverflowError):
        return None


def matches_start(pattern: str, text: str) -> bool:
    """Whether the text begins with what the pattern matches, as `re.match`; refused is False."""
    compiled = compile_bounded(pattern)
    return compiled is not None and _is_short(text, compiled[1]) and bool(compiled[0].match(text))


def matches_anywhere(pattern: str, text: str) -> bool:
    """Whether the pattern matches somewhere in the text, as `re.search`; refused is False."""
    compiled = compile_bounded(pattern)
    # A search starts anew at each character.
    short = compiled is not None and _is_short(text, compiled[1] + 1)
    return compiled is not None and short and bool(compiled[0].search(text))


def matches_ending(pattern: str, text: str) -> bool | None:
    """Whether the pattern matches the text or what follows one of its dots, to the end.

    This is PEFT's `re.match(rf"(.*\\.)?({pattern})$", text)`; None if the pattern is refused.
    """
    compiled = compile_bounded(f"({pattern})$")
    starts = [0, *(i + 1 for i, sign in enumerate(text) if sign == ".")]
    if compiled is None or not _is_short(text, compiled[1]) or len(starts) > MAX_STARTS:
        return None
    return any(compiled[0].match(text, start) for start in starts)


def _is_short(text: str, repeats: int) -> bool:
    return math.comb(len(text) + repeats, repeats) <= MAX_STEPS


def _count_repeats(pattern: str) -> int | None:
    """Number of repeats (`*`, `+`, `{n,}`, `?`) of a pattern; None if one holds another."""
    repeats, position, open_groups = 0, 0, [False]
    while position < len(pattern):
        sign = pattern[position]
        follower = pattern[position + 1 : position + 2]
        if sign == "\\":
            if follower.isdigit() and follower != "0":
                return None
            position += 2
            continue
        if sign == "[":
            end = pattern.find("]", position + 2)
            position = end if end > 0 else len(pattern)
        elif sign == "(":
            open_groups.append(False)
        elif sign == ")" and len(open_groups) > 1:
            holds_choice = open_groups.pop()
            if holds_choice and follower in ("*", "+", "{"):
                return None
            open_groups[-1] |= holds_choice
        elif sign in "*+{|" or (sign == "?" and pattern[position - 1 : position] != "("):
            open_groups[-1] = True
            # `*?` and `+?` are one repeat.
            repeats += sign != "|" and not (sign == "?" and pattern[position - 1] in "*+?}")
        position += 1
    return repeats
