"""Text from a model: nothing hidden, nothing too long."""

from blockresearch.text import quoted, readable, readable_bytes, short, visible, visible_surrogates


def test_readable_shows_what_is_invisible():
    assert readable(" the\n\t") == "␣the\\n\\t"
    assert readable("a\\n") == "a\\\\n"
    assert readable("\u202egnp.exe\u200b\ufeff\xa0") == "\\u202egnp.exe\\u200b\\ufeff\\xa0"
    assert readable("\ud800\x1b\U000e0041\uffff") == "\\ud800\\x1b\\U000e0041\\uffff"
    assert readable("<b>$é日👍́") == "<b>$é日👍́"
    assert readable("x" * 1000) == "x" * 200 + "…"
    assert readable_bytes(b" \xe2\x82\xac\xe2\x82") == "␣€<0xE2><0x82>"


def test_visible_keeps_what_shows_and_spaces():
    assert visible("a\u202eb\x1b[31m\ud800\n") == "a\\u202eb\\x1b[31m\\ud800\\n"
    assert visible("5\u00a0MB ❤\ufe0f é") == "5\u00a0MB ❤\ufe0f é"
    assert visible_surrogates("\udc80\n") == "\\udc80\n"


def test_names_are_cut():
    assert quoted('a"\u202e') == '"a\\"\\u202e"'
    assert len(quoted("a" * 1000)) < 210 and len(short("a" * 1000)) == 120
