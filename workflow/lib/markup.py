"""Text from a model inside HTML: the one place where it is escaped, and the pages' policy."""

import base64
import gzip
import hashlib
import json
import unicodedata
from collections.abc import Iterable
from html import escape as html_escape
from typing import Any

# Invisible or direction-changing characters, by Unicode category; line breaks are among them.
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: Any) -> str:
    """Text whose control, bidirectional, zero-width and unassigned characters stand as escapes."""
    text = str(text)
    if text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode("ascii")
        if unicodedata.category(character) in HIDDEN
        else character
        for character in text
    )


def escape(text: Any) -> str:
    """Text as it may stand in HTML, in an element or a quoted attribute."""
    return html_escape(visible(text), quote=True)


def script_json(value: Any) -> str:
    """JSON that may stand inside a script element: nothing in it can end the element."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def packed(value: Any) -> str:
    """JSON as base64 of gzip, for a script element; the browser unpacks it by itself."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode()


def policy(styles: Iterable[str] = (), scripts: Iterable[str] = (), images: str = "data:") -> str:
    """A Content-Security-Policy that allows these inline texts and `images`, and nothing else."""
    rules = {
        "default-src": "'none'",
        "img-src": images,
        "style-src": " ".join(map(_hash, styles)) or "'none'",
        "script-src": " ".join(map(_hash, scripts)) or "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {allowed}" for name, allowed in rules.items())


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
