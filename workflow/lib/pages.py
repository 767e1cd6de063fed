"""Static pages from templates: style and script inside, a policy that allows these and no more."""

import json
import re
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from workflow.lib.markup import escape, policy, visible

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"


def render(template: str, script: str | None = None, **values: Any) -> str:
    """The page of a template; every text that it prints is escaped and made visible."""
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
    """Every text that a template prints, but what it marks as safe, with visible escapes."""
    return visible(value) if type(value) is str else value
