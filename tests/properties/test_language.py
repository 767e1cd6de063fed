"""Pages, manuals and code keep to plain American English; CONTRIBUTING.md explains how."""

import ast
import re

import pytest

from tests.conftest import ROOT

REFUSED = re.compile(
    r"(?<![\w`\"'._-])(?:"
    # British spellings of words that occur here
    r"analyse|analysing|behaviour\w*|centre\w*|colour\w*|(?:de)?quantis\w+|grey|licence\w*"
    r"|neighbour\w*|neutralis\w+|normalis\w+|optimis\w+|randomis\w+|recognis\w+|summaris\w+"
    # words for which the field has its own
    r"|graver|gravest|impostors?|ledger|merely|patience|servants?|whoever"
    # relative clauses that stand for a noun, and things that talk
    r"|as (?:it is|they are) stored|of (?:its|their) own|rests? on|said of"
    r"|(?:is|are|was|were) told|what is asked|what of it|without a word|knows|lacks"
    r")(?![\w`\"'_-])",
    re.IGNORECASE,
)
CODE = re.compile(r"^```.*?^```$|^ {4}.*?$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "ARCHITECTURE", "CHANGELOG", "SECURITY")),
    *ROOT.glob("config/*"),
    *ROOT.glob("docs/*.md"),
    *ROOT.glob("notebooks/*.ipynb"),
    *ROOT.glob("profiles/*.md"),
    *ROOT.glob("src/blockresearch/report/templates/**/*.j2"),
    *ROOT.glob("workflow/report/*.rst"),
    *ROOT.glob("workflow/schemas/*.yaml"),
    *ROOT.glob("workflow/**/*.smk"),
    *ROOT.glob("workflow/scripts/*.py"),
    *ROOT.glob("src/**/*.py"),
    ROOT / "Snakefile",
]

# Turns of phrase that make a reader of pages and manuals stop; the sentence can name the thing.
DIALECT = re.compile(
    r"\b(?:(?:that|those) of|as (?:it is|they are)|lies? farthest|forbids? to|holds?"
    r"|of several stacks"
    r"|looking up|looked up|how far|what (?:a|the) \w+ (?:offers|passes|looks|is worth)|whatever"
    r"|what (?:it|that|this|a fit) is worth|is (?:still )?there after all|joins? the heads"
    r"|(?:is|are) not among them|score per token|turns the last|one normal cloud, no)\b",
    re.IGNORECASE,
)
MANUALS = [path for path in PAGES if path.suffix in (".md", ".ipynb", ".j2", ".rst")]
# Where the sentences of pages are written.
SENTENCES = [
    path
    for folder in ("report", "tables", "tokens", "audit")
    for path in (ROOT / "src/blockresearch" / folder).rglob("*.py")
]


def sentences(path):
    """The texts of a module that are not docstrings, with their lines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if id(node) not in docstrings
    ]


@pytest.mark.parametrize("path", MANUALS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_manuals_name_the_thing(path):
    text = CODE.sub("", path.read_text(encoding="utf-8")) if path.suffix == ".md" else None
    lines = (text or path.read_text(encoding="utf-8")).splitlines()
    found = [(line, match[0]) for line in lines for match in DIALECT.finditer(line)]
    assert not found, "write it as a library of the field would"


@pytest.mark.parametrize("path", SENTENCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_sentences_of_pages_name_the_thing(path):
    found = [
        (line, text, match[0]) for line, text in sentences(path) for match in DIALECT.finditer(text)
    ]
    assert not found, "write it as a library of the field would"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_texts_are_in_plain_english(path):
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        # Names of columns and values that exist keep their spelling.
        text = CODE.sub(lambda code: "\n" * code[0].count("\n"), text)
    found = [(text.count("\n", 0, match.start()) + 1, match[0]) for match in REFUSED.finditer(text)]
    assert not found, "(line, phrase); write it as CONTRIBUTING.md asks"
