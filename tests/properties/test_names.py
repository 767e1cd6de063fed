"""Names of tests: short, and one file of unit tests per module of the package."""

import ast

import pytest

from tests.conftest import ROOT

TESTS = ROOT / "tests"
UNIT = TESTS / "unit"
PLUGIN = "snakemake_logger_plugin_blockresearch"
# Unit tests without a module of their name, and what they test.
OTHERS = {
    "measurement/test_stored_weights.py": "the same weights, however stored, through the room",
    "hub/test_library.py": "what huggingface_hub does with broken transfers",
    f"{PLUGIN}/test_handler.py": "the handler in __init__.py",
}
MAX_NAME_LENGTH = 50
FILES = sorted(path.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py"))


@pytest.mark.parametrize("file", FILES)
def test_names_of_tests_are_short(file):
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    names = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    tests = [name for name in names if name.startswith("test_")]
    assert not [name for name in tests if len(name) > MAX_NAME_LENGTH]
    assert len(tests) == len(set(tests)), "the first of two tests with one name never runs"


def test_unit_tests_mirror_the_modules():
    tested = {path.relative_to(UNIT).as_posix(): path for path in UNIT.rglob("test_*.py")}
    modules = {
        (path.parent / f"test_{path.name}").relative_to(root).as_posix()
        for root in (ROOT / "src" / "blockresearch", ROOT / "src")
        for path in root.rglob("*.py")
    }
    assert set(tested) - modules == set(OTHERS)
