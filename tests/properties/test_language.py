"""Pages, manuals and code keep to plain American English; CONTRIBUTING.md explains how."""

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


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_texts_are_in_plain_english(path):
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        # Names of columns and values that exist keep their spelling.
        text = CODE.sub(lambda code: "\n" * code[0].count("\n"), text)
    found = [(text.count("\n", 0, match.start()) + 1, match[0]) for match in REFUSED.finditer(text)]
    assert not found, "(line, phrase); write it as CONTRIBUTING.md asks"
