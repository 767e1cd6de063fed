"""Static pages from templates: inline style and script, and a policy that allows only these.

Templates print plain strings as they are, and sentences (`say`) in the languages of the page.
"""

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from blockresearch.language.catalogue import TAGS, languages, message_in, translated
from blockresearch.language.sentence import Sentence, declared, say
from blockresearch.report.wording import unbroken
from blockresearch.report.words import escape, in_each, plain, words
from blockresearch.text import short, visible

# Links behind a sentence that names none of its tensors.
MOST_LINKS = 3

TEMPLATES = Path(__file__).resolve().parent / "templates"

# A call of `say` in a script: its message is a text in double quotes.
SCRIPT_MESSAGE = re.compile(r'\bsay\(\s*("(?:[^"\\\n]|\\.)*")')


def render(
    template: str,
    *names: str,
    style_names: Iterable[str] = (),
    script_files: str = "",
    texts: Iterable[str] = (),
    **values: Any,
) -> str:
    """The page of a template with the scripts `names`; printed text is escaped and made visible.

    `style_names` are further style sheets, `texts` those that the scripts show beside their
    messages. `script_files` is the source of scripts beside the page that the policy allows, such
    as 'self'.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_made_visible,
    )
    environment.filters |= {
        "declared": declared,
        "formula": _formula,
        "plain": plain,
        "words": words,
    }
    environment.globals["say"] = say_in_template  # type: ignore[assignment]
    environment.globals["link"] = link  # type: ignore[assignment]
    styles = [read_template(name) for name in ("style.css", "page.css", *style_names)]
    scripts = [read_template(name) for name in names]
    if scripts or len(languages()) > 1:
        scripts.insert(0, read_template("language.js"))
    return environment.get_template(template).render(
        styles=styles,
        scripts=scripts,
        policy=policy(styles, scripts, "'self' data:", script_files),
        lang=TAGS[languages()[0]],
        is_bilingual=len(languages()) > 1,
        messages=script_json(script_messages(scripts, texts)),
        **values,
    )


def say_in_template(message: str, **values: object) -> Sentence:
    """`say` for templates, whose messages may have line breaks."""
    return say(" ".join(message.split()), **values)


def script_messages(scripts: Iterable[str], texts: Iterable[str] = ()) -> dict[str, Any]:
    """What language.js reads: the languages of the page, and the messages of its scripts, and other
    `texts`, in them."""
    found = [json.loads(text) for script in scripts for text in SCRIPT_MESSAGE.findall(script)]
    found += texts
    return {
        "languages": languages(),
        "messages": {
            language: {message: message_in(message, language) for message in found}
            for language in languages()
            if language != "en"
        },
    }


def link(address: str, text: str = "") -> Markup:
    """A link to a file beside the page; by default its text is the address."""
    return Markup(f'<a href="{escape(address)}">{words(text) if text else escape(address)}</a>')


def _formula(text: str) -> Markup:
    """A formula of the glossary: `_F`, `_{k+1}` and `^α` as they stand in print."""
    shown = re.sub(r"_(?:{(.*?)}|([A-Za-zα-ω*]+))", r"<sub>\1\2</sub>", escape(text))
    return Markup(re.sub(r"\^(−?[A-Za-zα-ω]+)", r"<sup>\1</sup>", shown))


def read_json(path: Path) -> Any:
    """The JSON value in a file."""
    return json.loads(path.read_text(encoding="utf-8"))


def read_template(name: str) -> str:
    """The text of a template, style sheet or script."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _made_visible(value: Any) -> Any:
    """All text that a template prints, except what it marks as safe: sentences in the languages of
    the page, strings with visible escapes."""
    if isinstance(value, Sentence):
        return words(value)
    return visible(value) if type(value) is str else value


def linked(text: str, names: Iterable[str], page: str = "") -> Markup:
    """A sentence as HTML in which each tensor is a link to its row on the model's page.

    `names` are tensors; one that the sentence does not mention follows it. `page` is the address of
    that page, empty on the page itself.
    """
    return in_each(lambda language: _linked(unbroken(translated(text, language)), names, page))


def _linked(text: str, names: Iterable[str], page: str) -> str:
    links = {short(name): f"{page}#tensor={quote(name)}" for name in dict.fromkeys(names)}
    if not links:
        return escape(text)
    longest_first = "|".join(map(re.escape, sorted(links, key=len, reverse=True)))
    pieces = re.split(rf"(?<![\w.])({longest_first})(?![\w]|\.\w)", text, flags=re.ASCII)
    html = "".join(
        _link(links[piece], piece) if place % 2 else escape(piece)
        for place, piece in enumerate(pieces)
    )
    others = [_link(links[name], name) for name in links if name not in pieces[1::2]]
    return f"{html} ({', '.join(others[:MOST_LINKS])})" if others else html


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


def policy(
    styles: Iterable[str] = (),
    scripts: Iterable[str] = (),
    images: str = "data:",
    script_files: str = "",
) -> str:
    """A Content-Security-Policy that allows these inline texts, `images` and `script_files` (both
    sources such as 'self'), and nothing else."""
    allowed_scripts = [*([script_files] if script_files else []), *map(_hash, scripts)]
    rules = {
        "default-src": "'none'",
        "img-src": images,
        "style-src": " ".join(map(_hash, styles)) or "'none'",
        "script-src": " ".join(allowed_scripts) or "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {allowed}" for name, allowed in rules.items())


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
