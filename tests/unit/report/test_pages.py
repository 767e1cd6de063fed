"""Texts of pages: escaped, with a policy that allows nothing from elsewhere."""

import json

import pytest

from blockresearch.report.pages import escape, policy, script_json
from tests.unit.report.hostile import NAMES


@pytest.mark.parametrize("name", NAMES)
def test_escape_and_script_json(name):
    assert not set("<>\"'") & set(escape(name))
    assert not set("<>&\u2028") & set(script_json(name))
    if name.isprintable():
        assert json.loads(script_json(name)) == name


def test_policy_names_the_inline_texts_only():
    text = policy(styles=["a{}"], scripts=[])
    assert "default-src 'none'" in text and "script-src 'none'" in text
    assert "unsafe" not in text and "http" not in text
