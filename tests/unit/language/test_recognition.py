"""Texts without a message find it again."""

import pytest

from blockresearch.language.catalogue import set_language, translated
from blockresearch.language.recognition import recognized
from blockresearch.language.sentence import say


@pytest.fixture(autouse=True)
def both_languages():
    set_language("both")
    yield
    set_language("en")


@pytest.mark.parametrize(
    ("text", "chinese"),
    [
        ("not a learned weight", "不是学习得到的权重"),
        ("needed to read the quantized a b.weight", "读取量化权重 a b.weight 所需"),
        (
            "quantized storage that does not fit its scheme: its scale is missing, and other "
            "weights have one",
            "量化存储与其方案不符：缺少其缩放系数，而其他权重有一个",
        ),
        (
            "contradictory: 3 scales for blocks of 64, 16 values",
            "相互矛盾：3 个缩放系数，块大小为 64，共 16 个值",
        ),
        (
            "gate and up are fused in an order not known here; nothing states its scale",
            "gate 与 up 融合在一起，其顺序在此未知；没有任何地方写明其缩放",
        ),
        (
            "stored in a and b with different bytes; b is read, as the index says",
            "以不同字节存储于 a and b；按索引读取 b",
        ),
    ],
)
def test_a_reason_is_translated(text, chinese):
    found = recognized(text)
    assert str(found) == text
    assert translated(found, "zh") == chinese


def test_a_reason_inside_a_sentence_is_translated():
    why = "gate and up are fused in an order not known here"
    text = say("The token embedding {name} is not read: {reason}.", name="a b.weight", reason=why)
    outer = say("{first} {rest}", first=text, rest="layers.0.weight")
    chinese = "词元嵌入 a b.weight 未读取：gate 与 up 融合在一起，其顺序在此未知。layers.0.weight"
    found = recognized(outer)
    assert str(found) == str(outer) and translated(found, "zh") == chinese
    assert translated(outer, "zh") != chinese, "a value is not recognized by itself"


@pytest.mark.parametrize(
    "text", ["", "layers.0.weight", "{a} {b}", "needed to read the quantized "]
)
def test_other_texts_stay_as_they_are(text):
    assert translated(recognized(text), "zh") == text


@pytest.mark.parametrize("text", ["no" + "; x" * 5000, "missing: " * 5000])
def test_names_cannot_nest_without_end(text):
    assert str(recognized(text)) == text
    inside = say("The output layer {name} is not read: {reason}.", name=text, reason=text)
    assert str(recognized(inside)) == str(inside)


def test_sentences_cannot_nest_without_end():
    text = say("no name")
    for _ in range(900):
        text = say("missing: {rest}", rest=text)
    assert str(recognized(text)) == str(text)
