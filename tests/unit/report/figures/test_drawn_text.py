"""Texts of drawings: measured, in lines, in the languages of the page."""

import pytest
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.textpath import TextPath

from blockresearch.language.catalogue import set_language
from blockresearch.language.sentence import say
from blockresearch.report.figures import drawn_text


@pytest.fixture
def both_languages():
    set_language("both")
    yield
    set_language("en")


@pytest.mark.parametrize(
    "text", ["stable rank by layer and kind of matrix", "position_embedding", "INT4, zero points"]
)
def test_lengths_are_close_to_those_of_a_font(text):
    font = FontProperties(fname=findfont("DejaVu Sans"), size=11)
    known = TextPath((0, 0), text, prop=font).get_extents().width
    assert 0.97 * known < drawn_text.length(text) < 1.1 * known


def test_lines_are_not_wider_than_asked():
    text = "Signal-to-rounding-error ratio in dB of all weights of a block type"
    lines = drawn_text.lines(text, 150)
    assert " ".join(lines) == text and len(lines) == 3
    assert max(map(drawn_text.length, lines)) <= 150
    chinese = drawn_text.lines("某一块类型全部权重的信噪比", 60)
    assert [len(line) for line in chinese] == [5, 5, 3]


def test_each_language_is_an_element_of_its_own(both_languages):
    drawing = drawn_text.title(say("value"), 0, 0, 100)
    assert drawing.count("<text") == 2 and 'lang="zh-Hans"' in drawing


def test_a_word_that_is_too_long_is_pressed():
    assert 'textLength="50"' in drawn_text.drawn_within("m" * 40, "", 50)
