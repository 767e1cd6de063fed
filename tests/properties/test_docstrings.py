"""Docstrings state the shapes of arrays and the errors that a function raises."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "src" / "blockresearch"

# Swallowed by `hub.requests.Retry`.
RETRIED = frozenset({"ConnectionError"})

# Such as [rows, cols], [m, d], [n] or [k + 1, 4].
SHAPE = re.compile(r"\[[\w…+*×-]+(?: [+*×-] \w+)?(?:, ?[\w…+*×-]+(?: [+*×-] \w+)?)*\]")

FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))

Function = ast.FunctionDef | ast.AsyncFunctionDef


def public_functions(tree: ast.Module) -> Iterator[tuple[str, Function]]:
    """The functions of a module, and of its classes, without an underscore at their start."""
    for node in tree.body:
        inside = node.body if isinstance(node, ast.ClassDef) else [node]
        for function in inside:
            if isinstance(function, Function) and not function.name.startswith("_"):
                yield function.name, function


def own_nodes(function: Function) -> Iterator[ast.AST]:
    """The nodes of a function but those of functions inside it."""
    nodes = list(function.body)
    for node in nodes:
        yield node
        if not isinstance(node, (*Function.__args__, ast.Lambda, ast.ClassDef)):
            nodes += ast.iter_child_nodes(node)


def takes_arrays(function: Function) -> bool:
    """Whether a parameter or the result is an array."""
    arguments = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
    annotations = [argument.annotation for argument in arguments] + [function.returns]
    return any(note is not None and "ndarray" in ast.unparse(note) for note in annotations)


def raised(function: Function) -> set[str]:
    """The names of the public errors that a function raises itself."""
    errors = set()
    for node in own_nodes(function):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            name = ast.unparse(node.exc.func).rpartition(".")[2]
            if name[0].isupper():
                errors.add(name)
    return errors - RETRIED


def flaws(path: Path) -> list[str]:
    """What the docstrings of a file leave out, one line each."""
    found = []
    for name, function in public_functions(ast.parse(path.read_text(encoding="utf-8"))):
        text = ast.get_docstring(function) or ""
        if takes_arrays(function) and not SHAPE.search(text):
            found.append(f"{name}: no shape, such as [rows, cols]")
        for error in sorted(raised(function)):
            if "Raises" not in text or error not in text:
                found.append(f"{name}: no 'Raises {error} if …'")
    return found


@pytest.mark.parametrize("file", FILES)
def test_docstrings_state_shapes_and_errors(file):
    assert not flaws(PACKAGE / file)


def test_the_check_finds_what_is_missing(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(
        "def mean(rows: np.ndarray) -> float:\n"
        "    '''The mean.'''\n"
        "    def inner():\n"
        "        raise KeyError(1)\n"
        "    raise ValueError(1)\n"
    )
    assert flaws(path) == [
        "mean: no shape, such as [rows, cols]",
        "mean: no 'Raises ValueError if …'",
    ]
    path.write_text(path.read_text().replace("mean.", "mean of [m, d]. Raises ValueError if odd."))
    assert not flaws(path)
