"""Static pages from templates: inline style and script, and a policy that allows only these."""

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Iterable
from html import escape as html_escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from blockresearch.text import short, visible

# Links behind a sentence that names none of its tensors.
MOST_LINKS = 3

TEMPLATES = Path(__file__).resolve().parent / "templates"


def render(template: str, script: str | None = None, **values: Any) -> str:
    """The page of a template; all printed text is escaped and made visible."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_made_visible,
    )
    environment.filters["formula"] = _formula
    styles = [_read_text(name) for name in ("style.css", "page.css")]
    scripts = [_read_text(script)] if script else []
    return environment.get_template(template).render(
        styles=styles,
        scripts=scripts,
        policy=policy(styles=styles, scripts=scripts, images="'self' data:"),
        **values,
    )


def _formula(text: str) -> Markup:
    """A formula of the glossary: `_F`, `_{k+1}` and `^α` as they stand in print."""
    shown = re.sub(r"_(?:{(.*?)}|([A-Za-zα-ω*]+))", r"<sub>\1\2</sub>", escape(text))
    return Markup(re.sub(r"\^(−?[A-Za-zα-ω]+)", r"<sup>\1</sup>", shown))


def read_json(path: Path) -> Any:
    """The JSON value in a file."""
    return json.loads(path.read_text(encoding="utf-8"))


def _read_text(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _made_visible(value: Any) -> Any:
    """All text that a template prints, except what it marks as safe, with visible escapes."""
    return visible(value) if type(value) is str else value


def escape(text: Any) -> str:
    """Text escaped for HTML, in an element or a quoted attribute."""
    return html_escape(visible(text), quote=True)


def linked(text: str, names: Iterable[str], page: str = "") -> Markup:
    """A sentence as HTML in which each tensor is a link to its row on the model's page.

    `names` are tensors; one that the sentence does not mention follows it. `page` is the address of
    that page, empty on the page itself.
    """
    links = {short(name): f"{page}#tensor={quote(name)}" for name in dict.fromkeys(names)}
    if not links:
        return Markup(escape(text))
    longest_first = "|".join(map(re.escape, sorted(links, key=len, reverse=True)))
    pieces = re.split(rf"(?<![\w.])({longest_first})(?![\w]|\.\w)", text)
    html = "".join(
        _link(links[piece], piece) if place % 2 else escape(piece)
        for place, piece in enumerate(pieces)
    )
    others = [_link(links[name], name) for name in links if name not in pieces[1::2]]
    return Markup(f"{html} ({', '.join(others[:MOST_LINKS])})" if others else html)


def _link(address: str, text: str) -> str:
    return f'<a href="{escape(address)}">{escape(text)}</a>'


def script_json(value: Any) -> str:
    """JSON for a script element: nothing in it can end the element."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def packed(value: Any) -> str:
    """JSON as base64 of gzip, for a script element; the browser unpacks it."""
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
