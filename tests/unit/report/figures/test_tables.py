"""Tables of reports: all rows, numbers to sort by, texts as the notebook writes them."""

import pandas as pd

from blockresearch.report.figures.tables import is_live, table_data
from blockresearch.report.wording import percent
from tests.unit.report.hostile import NAMES


def test_numbers_keep_their_texts_and_gaps():
    data = pd.DataFrame({"name": ["b", None, "a"], "share": [0.5, None, 0.25]})
    made = table_data(data, {"name": ("name", None), "share": ("share", percent)}, "t")
    assert made["values"] == {"name": [2, 0, 1], "share": [0.5, None, 0.25]}
    assert made["texts"] == {"name": ["", "a", "b"]}
    assert made["shown"] == {"share": ["50.0 %", "–", "25.0 %"]}
    assert made["choices"] == [] and made["searched"] == ["name"]


def test_hidden_characters_are_visible():
    data = pd.DataFrame({"name": NAMES})
    texts = table_data(data, {"name": ("name", None)}, "t")["texts"]["name"]
    assert not set("\u202e\u200b\x00\u2028") & set("".join(texts))


def test_short_tables_are_plain():
    assert not is_live(pd.DataFrame({"a": range(12)}))
    assert is_live(pd.DataFrame({"a": range(13)}))
