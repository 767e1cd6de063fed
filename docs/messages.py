"""Collect the messages of pages, reports and pictures, and write the catalogues of translations.

    python -m docs.messages

adds new messages to src/blockresearch/language/zh.po without a translation, and drops those that no
code has. Messages are literals: the first argument of `say` in Python, templates and scripts, the
nouns of `plural`, texts in notebooks, and the texts of records (columns, reports, captions …).
xgettext reads neither notebooks nor templates nor records.
"""

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import jinja2

from blockresearch import failures, results
from blockresearch.files import read_yaml
from blockresearch.language.catalogue import FOLDER, read_entries
from blockresearch.project import PROJECT
from blockresearch.report import comparison, glossary, model, portal
from blockresearch.report.figures.layer_map import METRICS
from blockresearch.report.findings import tokens, training
from blockresearch.report.findings.record import SEVERITIES, TOPICS
from blockresearch.report.notebook_run import paragraphs
from blockresearch.report.pages import SCRIPT_MESSAGE, TEMPLATES
from blockresearch.report.plots import layers
from blockresearch.tables import columns, guidance
from blockresearch.tables.column import NONE
from blockresearch.tables.rounding_columns import (
    LOW_BIT_FORMATS,
)

PACKAGE = PROJECT / "src"

LANGUAGES = ("zh",)

HEADER = """# Translations of AI Block Research. `python -m docs.messages` adds and drops messages.
msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\\n"
"Language: {language}\\n"
"""

# Functions that put a text into a picture, and which of their arguments it is.
PICTURE_TEXTS = {
    **dict.fromkeys(("set_title", "set_xlabel", "set_ylabel", "supxlabel", "supylabel"), (0,)),
    **{"message": (0,), "heading": (1, 2)},
}

# Functions of notebook_cells, and which of their arguments is a text.
NOTEBOOK_TEXTS = {"show": (1,), "table": (2,), "table_or_line": (2,), "say": (0,), "facts": (1,)}


# Modules that state in tables why a tensor or a file is not used, without messages: code that
# measures has none, and a text is compared with the catalogue (`language/recognition.py`).
REASONED = tuple(
    f"blockresearch/{place}.py"
    for place in (
        *("weights/**/*", "measurement/merge", "checkpoint/assemble", "checkpoint/selection"),
        *("checkpoint/agreement", "checkpoint/token_subset", "checkpoint/describe"),
    )
)

# What takes or names a reason there.
REASON_CALLS = {"Unfit", "NotDecoded", "Unknown", "fail", "Problem", "Layout", "replace"}
REASON_NAMES = re.compile("reason|evidence|why|note|who|claims|absent|size|how|[A-Z_]+")


def messages() -> list[str]:
    """All messages, each once, in the order of the places that have them."""
    found = chain(
        *map(in_python, sorted(PACKAGE.rglob("*.py"))),
        *map(in_template, sorted(TEMPLATES.rglob("*.j2"))),
        *map(in_script, sorted(TEMPLATES.rglob("*.js"))),
        *map(in_notebook, sorted((PROJECT / "notebooks").glob("*.ipynb"))),
        *(reasons(path) for place in REASONED for path in sorted(PACKAGE.glob(place))),
        in_records(),
    )
    return list(dict.fromkeys(message for message in found if message))


def in_python(path: Path) -> Iterator[str]:
    """The messages of `say` and `plural` in a module.

    Raises ValueError if a message is made when the code runs, and nobody could translate it.
    """
    for call in _calls(ast.parse(path.read_text(encoding="utf-8"))):
        yield from _of_call(call, f"{path.name}:{call.lineno}")
        if path.parent.name == "plots":
            yield from _drawn(call)
        if path.stem.endswith("cells"):
            yield from _shown(call)


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return iter(sorted(calls, key=lambda call: (call.lineno, call.col_offset)))


def _of_call(call: ast.Call, place: str) -> Iterator[str]:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name == "say" and call.args:
        first = call.args[0]
        if isinstance(first, ast.JoinedStr):
            raise ValueError(f"{place}: the message of say is no literal: give values by name.")
        yield from _literals(first)
    for keyword in call.keywords:
        if name == "Finding" and keyword.arg in ("why", "action"):
            yield from _literals(keyword.value)
    if name == "AuditFinding" and len(call.args) == 5:
        checks = [text.replace("_", " ") for text in _literals(call.args[1])]
        yield from (*checks, *_literals(call.args[4]))
    if name == "plural" and len(call.args) > 1:
        nouns = [text for argument in call.args[1:] for text in _literals(argument)]
        yield from (f"{{count}} {noun}" for noun in nouns)
        if len(nouns) == 1:
            yield f"{{count}} {nouns[0]}s"


def _drawn(call: ast.Call) -> Iterator[str]:
    """The texts that a call puts into a picture."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    arguments = [call.args[i] for i in PICTURE_TEXTS.get(name, ()) if i < len(call.args)]
    arguments += [keyword.value for keyword in call.keywords if keyword.arg == "label"]
    yield from (text for argument in arguments for text in _literals(argument) if len(text) > 1)


def _literals(node: ast.AST) -> Iterator[str]:
    """The strings that an expression may be: a literal, or one of two."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _literals(node.body)
        yield from _literals(node.orelse)


def reasons(path: Path) -> Iterator[str]:
    """The reasons that a module states, values of f-strings as places.

    Shorter texts are names of formats, and those with a full stop are errors.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        found: list[ast.AST] = []
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            parts = (*node.args, *(keyword.value for keyword in node.keywords))
            found = [*parts] if name in REASON_CALLS else []
        elif isinstance(node, ast.Return) and node.value:
            found = [*getattr(node.value, "elts", [node.value])]
        elif isinstance(node, ast.Assign):
            named = [name for name in ast.walk(node.targets[0]) if isinstance(name, ast.Name)]
            is_reason = any(REASON_NAMES.fullmatch(name.id) for name in named)
            found = [*getattr(node.value, "elts", [node.value])] if is_reason else []
        for text in (text for part in found for text in (*_literals(part), *_templates(part))):
            is_phrase = len(text.split()) > 2 or text.startswith("a ")
            if is_phrase and text[-1] != ".":
                yield text


def _templates(node: ast.AST) -> Iterator[str]:
    """The f-strings that an expression may be, with places instead of their expressions."""
    if isinstance(node, ast.IfExp):
        yield from _templates(node.body)
        yield from _templates(node.orelse)
    if isinstance(node, ast.JoinedStr):
        letters = iter("abcdefgh")
        yield "".join(
            str(part.value) if isinstance(part, ast.Constant) else f"{{{next(letters)}}}"
            for part in node.values
        )


def in_template(path: Path) -> Iterator[str]:
    """The messages of `say` in a template."""
    tree = jinja2.Environment().parse(path.read_text(encoding="utf-8"))
    for call in tree.find_all(jinja2.nodes.Call):
        is_say = isinstance(call.node, jinja2.nodes.Name) and call.node.name == "say"
        if is_say and isinstance(call.args[0], jinja2.nodes.Const):
            yield " ".join(call.args[0].value.split())


def in_script(path: Path) -> Iterator[str]:
    """The messages of `say` in a script of a page."""
    text = path.read_text(encoding="utf-8")
    return (json.loads(message) for message in SCRIPT_MESSAGE.findall(text))


def in_notebook(path: Path) -> Iterator[str]:
    """Headings and paragraphs of a notebook, and the texts that its code shows."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            found: list[str] = []
            paragraphs(source, lambda text, found=found: found.append(text) or text)
            yield from found
        elif cell["cell_type"] == "code":
            for call in _calls(ast.parse(source)):
                yield from _shown(call)


def _shown(call: ast.Call) -> Iterator[str]:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    places = NOTEBOOK_TEXTS.get(name, ())
    yield from chain(*(_literals(call.args[i]) for i in places if i < len(call.args)))
    for keyword in call.keywords:
        if keyword.arg == "otherwise":
            yield from _literals(keyword.value)
    if name == "Measure":
        yield from chain(*map(_literals, call.args[1:3]))
    if name == "depth_curves" and isinstance(call.args[1], ast.Dict):
        yield from (text for value in call.args[1].values for text in _literals(value.elts[0]))
    if name == "experts" and isinstance(call.args[1], ast.Dict):
        yield from chain(*map(_literals, call.args[1].values))
    if name in ("table", "table_or_line") and isinstance(call.args[1], ast.Dict):
        heads = [head.elts[0] for head in call.args[1].values if isinstance(head, ast.Tuple)]
        yield from chain(*map(_literals, heads))


def in_schema(schema: Mapping[str, Any]) -> Iterator[str]:
    """The descriptions of the keys of the configuration, which errors name."""
    for part in schema.values():
        if isinstance(part, dict):
            if isinstance(part.get("description"), str):
                yield part["description"]
            yield from in_schema(part)


def in_records() -> Iterator[str]:
    """The texts of records that pages and errors show."""
    yield from (failures.KILLED, failures.FULL)
    yield from ("dead rows", "dead columns")
    yield from in_schema(read_yaml(PROJECT / "workflow/schemas/config.schema.yaml"))
    for report in (results.REPORTS | results.ON_DEMAND).values():
        yield from (report.label, report.about)
    for texts in (
        results.LAYER_FIGURES,
        results.EMBEDDING_FIGURES,
        results.DOWNLOADS,
        results.CIRCUITS,
    ):
        yield from texts.values()
    yield from glossary.BLOCK_TYPES.values()
    for metric in METRICS:
        yield from (metric.label, metric.unit)
    yield from TOPICS.values()
    yield from (layers.EFFECTIVE_SHARE.label, "first", "middle", "last")
    yield from (note for note, _ in layers.MAPS.values())
    yield from ("variance", *tokens.VARIANCES.values(), *tokens.ODD_ROWS.values())
    yield from (*training.PURPOSES, training.OTHER)
    yield from (*model.INSIDE, *model.PLACES, model.WITH_OUTPUT, model.REST)
    yield from (*SEVERITIES, "error", *portal.STATUSES)
    for row in comparison.ROWS:
        yield from (row.group, row.label, row.meaning)
    for schema in columns.SCHEMAS.values():
        yield schema.row
        for column in schema.columns:
            yield from (column.label, column.meaning)
            yield "" if column.unit == NONE else column.unit
    for form in LOW_BIT_FORMATS:
        yield form.label
    for advice in guidance.GUIDANCE:
        yield from (advice.accuracy, advice.trained, advice.caution)


def catalogue_text(language: str, known: dict[str, str], wanted: Iterable[str]) -> str:
    """A catalogue with all `wanted` messages and what is `known` of their translations."""
    entries = (
        f"\nmsgid {_quoted(message)}\nmsgstr {_quoted(known.get(message, ''))}\n"
        for message in wanted
    )
    return HEADER.format(language=language) + "".join(entries)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def path_of(language: str) -> Path:
    """The catalogue of a language."""
    return FOLDER / f"{language}.po"


def known(language: str) -> dict[str, str]:
    """The messages of a catalogue with their translations."""
    path = path_of(language)
    entries = read_entries(path.read_text(encoding="utf-8")) if path.exists() else ()
    return {message: text for message, text in entries if message}


def places(message: str) -> list[str]:
    """The names in braces of a message, sorted."""
    return sorted(set(re.findall(r"\{(\w+)\}", message)))


if __name__ == "__main__":
    wanted = messages()
    for language in LANGUAGES:
        path = path_of(language)
        path.write_text(catalogue_text(language, known(language), wanted), encoding="utf-8")
        missing = sum(not text for text in known(language).values())
        print(f"{path}: {len(wanted)} messages, {missing} without a translation")
