"""Names of tests: short, and one file of unit tests per module of the package."""

import ast

import pytest

from tests.conftest import ROOT

TESTS = ROOT / "tests"
MAX_NAME_LENGTH = 50
FILES = sorted(path.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py"))


@pytest.mark.parametrize("file", FILES)
def test_names_of_tests_are_short(file):
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    names = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    tests = [name for name in names if name.startswith("test_")]
    assert not [name for name in tests if len(name) > MAX_NAME_LENGTH]
    assert len(tests) == len(set(tests)), "the first of two tests with one name never runs"
