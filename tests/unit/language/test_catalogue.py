"""Catalogues are PO files; a text without a translation stays English."""

import pytest

from blockresearch.language import catalogue
from blockresearch.language.sentence import joined, listed, say

ENTRIES = {
    "{first} {rest}": "{first}{rest}",
    "{first}, {rest}": "{first}、{rest}",
    "{first} and {last}": "{first}和{last}",
    "{names} are large.": "{names}很大。",
    "note": "说明",
}


@pytest.fixture
def chinese(monkeypatch):
    monkeypatch.setattr(catalogue, "catalogue", lambda language: ENTRIES)


def test_parts_of_a_sentence_are_translated(chinese):
    text = joined(say("{names} are large.", names=listed(["a", "b", "note"])), say("New."))
    assert catalogue.translated(text, "zh") == "a、b和note很大。New."
    assert catalogue.translated(text, "en") == text
    assert catalogue.translated("note", "zh") == "说明"


def test_entries_of_a_po_file_are_read():
    text = '# a\nmsgid ""\nmsgstr ""\n"Language: zh\\n"\n\nmsgid "a"\n"b"\nmsgstr "c\\n"\n'
    assert list(catalogue.read_entries(text)) == [("", "Language: zh\n"), ("ab", "c\n")]
    with pytest.raises(ValueError, match="line 2"):
        list(catalogue.read_entries('msgid "a"\nmsgctxt "x"'))
