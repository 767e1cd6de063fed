"""JSON from a model repository (header, config, index, tokenizer): bounded, then plain data.

Python's parser accepts more than later steps can keep. Nesting is limited here. NaN, infinities
(real configs hold `Infinity`) and integers beyond 64 bits become texts, and halves of surrogate
pairs, which no file can store, become visible escapes.
"""

import json
import math
import re
from typing import Any, NoReturn

from blockresearch.text import visible_surrogates

MAX_NESTING = 100

MAX_WHOLE = 2**63

ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class JsonError(ValueError):
    """A text that is not usable JSON; the message gives the reason, as a part of a sentence."""


def parse(text: bytes, max_bytes: int, max_values: int, strict: bool = False) -> Any:
    """The value of a JSON text.

    Commas and brackets are counted before anything is parsed: they bound the number of values and
    so the memory. `strict` refuses texts that other readers read differently or not at all: a key
    that occurs twice, NaN and infinities, halves of surrogate pairs, a byte order mark. Raises
    JsonError.
    """
    if len(text) > max_bytes:
        raise JsonError(f"larger than {max_bytes} bytes")
    if sum(map(text.count, (b",", b"[", b"{"))) > max_values:
        raise JsonError(f"of more than {max_values} values")
    decoder = json.JSONDecoder(
        object_pairs_hook=_unique if strict else None,
        parse_constant=_refuse if strict else str,
        parse_float=_finite if strict else _real,
        parse_int=_number if strict else _whole,
    )
    try:
        value = decoder.decode(text.decode("utf-8" if strict else "utf-8-sig"))
    except JsonError:
        raise
    except UnicodeDecodeError as error:
        raise JsonError("not valid UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise JsonError(_other_kind(text) or "not valid JSON") from error
    try:
        _check_nesting(value, MAX_NESTING)
    except RecursionError as error:
        raise JsonError("nested too deep") from error
    if not ESCAPED_SURROGATE.search(text):
        return value
    plain = _plain(value)
    if strict and plain != value:
        raise JsonError("not valid Unicode: it has half of a surrogate pair")
    return plain


def _other_kind(text: bytes) -> str | None:
    """The kind of another file in place of JSON, if its start shows it."""
    start = text[:100].removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start:
        return "empty"
    if start.startswith(b"version https://git-lfs"):
        return "a git-lfs pointer in place of the file, which `git lfs pull` fetches"
    return "an HTML or XML page" if start.startswith(b"<") else None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise JsonError("an object in which a key occurs twice")
    return result


def _refuse(number: str) -> NoReturn:
    raise JsonError(f"not valid JSON: it has the number {number[:20]}")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        _refuse(text)
    return value


def _real(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text


def _whole(text: str) -> int | str:
    """A whole number, or the text of one beyond 64 bits."""
    value = int(text) if len(text) <= 20 else MAX_WHOLE
    return value if -MAX_WHOLE <= value < MAX_WHOLE else text


def _number(text: str) -> float:
    """A whole number of 64 bits, signed or not; -0 and larger ones are real numbers."""
    value = int(text) if len(text) <= 20 and text != "-0" else 2 * MAX_WHOLE
    return value if -MAX_WHOLE <= value < 2 * MAX_WHOLE else _finite(text)


def _check_nesting(value: Any, levels: int) -> None:
    """Raises JsonError for a value nested deeper than `levels`."""
    if isinstance(value, list | dict):
        if not levels:
            raise JsonError(f"nested deeper than {MAX_NESTING} levels")
        for item in value.values() if isinstance(value, dict) else value:
            # A call for each number and text would double the time.
            if isinstance(item, list | dict):
                _check_nesting(item, levels - 1)


def _plain(value: Any) -> Any:
    """`value` with visible surrogates in its texts."""
    if isinstance(value, str):
        return visible_surrogates(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {visible_surrogates(key): _plain(item) for key, item in value.items()}
    return value
