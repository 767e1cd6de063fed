"""Texts as HTML in the languages of the page; with two of them each text has both, one hidden.

The page's style shows English unless the root element says `data-language="zh"`; a button in
`templates/language.js` sets it and remembers it.
"""

import string
from collections.abc import Callable
from html import escape as html_escape
from typing import Any

from markupsafe import Markup

from blockresearch.language.catalogue import TAGS, languages, message_in, translated
from blockresearch.language.sentence import Sentence
from blockresearch.report.wording import unbroken
from blockresearch.text import visible


def escape(text: Any) -> str:
    """Text escaped for HTML, in an element or a quoted attribute."""
    return html_escape(visible(text), quote=True)


def words(text: str) -> Markup:
    """A text as HTML in the languages of the page; a plain string is a message without values."""
    return in_each(lambda language: _html(text, language))


def plain(text: str) -> str:
    """A text for an attribute or a title, which cannot be switched: all languages of the page."""
    return " / ".join(dict.fromkeys(translated(text, language) for language in languages()))


def in_each(html: Callable[[str], str]) -> Markup:
    """What `html` makes for each language of the page; once if all are the same."""
    made = {language: html(language) for language in languages()}
    if len(set(made.values())) == 1:
        return Markup(next(iter(made.values())))
    spans = (f'<span lang="{TAGS[language]}">{text}</span>' for language, text in made.items())
    return Markup("".join(spans))


def _html(text: str, language: str) -> str:
    if isinstance(text, Markup):
        return str(text)
    if not isinstance(text, Sentence) or not text.values:
        return unbroken(escape(translated(text, language)))
    html = ""
    for literal, name, _, _ in string.Formatter().parse(message_in(text.message, language)):
        html += escape(literal)
        if name is not None:
            value = text.values[name]
            is_plain = not isinstance(value, Markup | Sentence)
            html += escape(value) if is_plain else _html(value, language)
    return unbroken(html)
