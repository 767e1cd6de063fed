"""JSON from a model repository (config, index, tokenizer): bounded, and plain data afterwards.

What Python's parser lets through and later steps could not keep is put right here: nesting is
limited, NaN, infinities (real configs hold `Infinity`) and integers beyond 64 bits become texts,
and halves of surrogate pairs, which no file can store, become visible escapes.
"""

import json
import math
import re
from typing import Any

MAX_NESTING = 100

MAX_WHOLE = 2**63

SURROGATE = re.compile("[\ud800-\udfff]")

ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class JsonError(ValueError):
    """A text that is not usable JSON; the message says why, as a part of a sentence."""


def parse(text: bytes, max_bytes: int, max_values: int, unique: bool = False) -> Any:
    """The value of a JSON text. `unique` refuses objects in which a key occurs twice.

    Commas and brackets are counted before anything is parsed: they bound the number of values and
    so the memory. Raises JsonError.
    """
    if len(text) > max_bytes:
        raise JsonError(f"larger than {max_bytes} bytes")
    if sum(map(text.count, (b",", b"[", b"{"))) > max_values:
        raise JsonError(f"of more than {max_values} values")
    decoder = json.JSONDecoder(
        object_pairs_hook=_unique if unique else None,
        parse_constant=str,
        parse_float=_real,
        parse_int=_whole,
    )
    try:
        value = decoder.decode(text.decode("utf-8-sig"))
    except JsonError:
        raise
    except (ValueError, RecursionError) as error:
        raise JsonError(_other_kind(text) or "not valid JSON") from error
    try:
        return _plain(value, MAX_NESTING, bool(ESCAPED_SURROGATE.search(text)))
    except RecursionError as error:
        raise JsonError("nested too deep") from error


def _other_kind(text: bytes) -> str | None:
    """What stands in place of JSON, where it shows."""
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


def _whole(text: str) -> int | str:
    value = int(text) if len(text) <= 20 else MAX_WHOLE
    return value if -MAX_WHOLE <= value < MAX_WHOLE else text


def _real(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text


def _plain(value: Any, levels: int, surrogates: bool) -> Any:
    """`value` with visible surrogates; JsonError beyond `levels` of nesting."""
    if isinstance(value, str):
        return visible_surrogates(value) if surrogates else value
    if isinstance(value, list | dict) and not levels:
        raise JsonError(f"nested deeper than {MAX_NESTING} levels")
    if isinstance(value, list):
        return [_plain(item, levels - 1, surrogates) for item in value]
    if isinstance(value, dict):
        return {
            visible_surrogates(key) if surrogates else key: _plain(item, levels - 1, surrogates)
            for key, item in value.items()
        }
    return value


def visible_surrogates(text: str) -> str:
    """Text in which each half of a surrogate pair is its escape, such as \\udc80."""
    return SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
