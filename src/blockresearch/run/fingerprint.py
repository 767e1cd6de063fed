"""Helpers of the rules: what a job's result depends on, as values that Snakemake can compare.

Imports little, because every job of a cluster parses the Snakefile again.
"""

import contextlib
import hashlib
import json
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from blockresearch.files import TableError, version, write_json
from blockresearch.project import PACKAGE, PROJECT
from blockresearch.tables import schemas, units

# Counted by the values of their constants: they are made from records with descriptions of columns.
BY_VALUE = {"tables/schemas.py": schemas, "tables/units.py": units}


def flags(options: Mapping[str, Any]) -> str:
    """Options as one shell-ready string, sorted by name; None is left out, True is a bare flag.

    One string, because Snakemake compares parameters as a set of values without their names.
    """
    words = [
        f"--{name}" if value is True else f"--{name}={shlex.quote(str(value))}"
        for name, value in sorted(options.items())
        if value is not None and value is not False
    ]
    return " ".join(words)


@cache
def fingerprint(name: str, *templates: str) -> str:
    """Hash of the code that a script or a notebook runs: itself and all project modules it imports.

    `name` is a script (`analyze` for workflow/scripts/analyze.py) or a notebook (`10_x.ipynb`),
    `templates` are files in report/templates that it reads. Comments, docstrings and layout do not
    count, nor do descriptions of columns where only their names and types are imported; the texts
    of notebooks and templates do. Another version of Python compiles to other code, so it is as if
    the code had changed.
    """
    known, title = _remembered(), " ".join([name, *templates])
    if title not in known:
        known[title] = _computed(name, templates)
        _remember(known)
    return known[title]


def _computed(name: str, templates: Iterable[str]) -> str:
    if name.endswith(".ipynb"):
        text, code = _notebook_code(PROJECT / "notebooks" / name)
    else:
        text, code = name, _code(PROJECT / "workflow" / "scripts" / f"{name}.py")
    digest = hashlib.sha256()
    parts = [(text, code)]
    for path in _closure(_imports(code)):
        parts.append((_place(path), _code(path)))
    for title, part in parts:
        content = _constants(BY_VALUE[title]) if title in BY_VALUE else _meaning(part)
        digest.update(title.encode() + b"\0" + repr(content).encode() + b"\0")
    for template in templates:
        text_of = (PACKAGE / "report/templates" / template).read_bytes()
        digest.update(template.encode() + b"\0" + text_of + b"\0")
    return digest.hexdigest()[:16]


@cache
def _remembered() -> dict[str, str]:
    """The fingerprints of this state of the sources that an earlier process has computed."""
    try:
        stored = json.loads(_memory().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stored["fingerprints"] if stored["state"] == _state() else {}


def _remember(known: Mapping[str, str]) -> None:
    # Without a place to write, every start computes them: half a second.
    with contextlib.suppress(OSError, TableError):
        write_json({"state": _state(), "fingerprints": known}, _memory())


def _memory() -> Path:
    return PACKAGE / "__pycache__" / "fingerprints.json"


@cache
def _state() -> str:
    """Hash of the version of Python, and of name, time and size of every source, by which Python
    finds its own compiled files outdated."""
    places = (PACKAGE, PROJECT / "workflow" / "scripts", PROJECT / "notebooks")
    files = [path for place in places for path in place.rglob("*.*") if path.suffix != ".pyc"]
    known = [version(path) for path in sorted(files) if path != _memory() and path.is_file()]
    return hashlib.sha256(repr((sys.version, known)).encode()).hexdigest()


def _closure(modules: Iterable[str]) -> list[Path]:
    waiting, found = set(_files(modules)), set()
    while waiting:
        path = waiting.pop()
        found.add(path)
        if _place(path) not in BY_VALUE:
            waiting |= _imported_by(path) - found
    return sorted(found)


@cache
def _imported_by(path: Path) -> frozenset[Path]:
    return frozenset(_files(_imports(_code(path))))


def _files(modules: Iterable[str]) -> Iterator[Path]:
    """The files of those names that are modules; of `package.folder.*` those in the folder."""
    known = _modules()
    return (path for module in modules for path in known.get(module, ()))


@cache
def _modules() -> Mapping[str, tuple[Path, ...]]:
    found: dict[str, tuple[Path, ...]] = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        found[name] = (path,)
        if path.stem != "__init__":
            folder = name.rpartition(".")[0] + ".*"
            found[folder] = (*found.get(folder, ()), path)
    return found


@cache
def _place(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def _constants(module: ModuleType) -> dict[str, Any]:
    return {name: value for name, value in vars(module).items() if name.isupper()}


@cache
def _imports(code: CodeType) -> list[str]:
    """Project modules imported anywhere in the code, functions included, in either spelling.

    `from package import folder` stands for all modules of the folder (`package.folder.*`): there is
    no other reason to import a folder than to find its modules by their names.
    """
    modules = [name for name in code.co_names if name.startswith("blockresearch.")]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            modules += _imports(constant)
        elif isinstance(constant, tuple):  # from package import (these names)
            packages = [name for name in code.co_names if name.startswith("blockresearch.")]
            for package in packages:
                modules += [f"{package}.{name}" for name in constant]
                modules += [f"{package}.{name}.*" for name in constant]
    return modules


@cache
def _code(path: Path) -> CodeType:
    return _compiled(path.read_text(encoding="utf-8"))


def _compiled(source: str) -> CodeType:
    # Compiling and walking a few thousand functions takes a third of the time of parsing to, and
    # dumping, a syntax tree. Level 2 leaves docstrings out.
    return compile(source, "", "exec", dont_inherit=True, optimize=2)


@cache
def _meaning(code: CodeType) -> tuple[Any, ...]:
    """All of a code object that decides what it does; line numbers and file names do not."""
    constants: list[Any] = []
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            constants.append(_meaning(constant))
        elif isinstance(constant, frozenset):  # whose order changes from process to process
            constants.append(sorted(map(repr, constant)))
        else:
            constants.append(repr(constant))
    arguments = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return code.co_name, code.co_code, code.co_exceptiontable, arguments, names, constants


def _notebook_code(path: Path) -> tuple[str, CodeType]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    source = {"code": "", "markdown": "", "raw": ""}
    for cell in cells:
        source[cell["cell_type"]] += "".join(cell["source"]) + "\n"
    return source["markdown"] + source["raw"], _compiled(source["code"])
