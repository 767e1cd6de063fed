"""Every text for people has a translation, with the same places and the same words of the field."""

import ast
import re

import pytest

from blockresearch.language.catalogue import read_entries
from docs.messages import LANGUAGES, _of_call, known, messages, path_of, places

WANTED = messages()

# One word for one thing.
TERMS = {
    "stable rank": "稳定秩",
    "effective rank": "有效秩",
    "singular value": "奇异值",
    "spectral norm": "谱范数",
    "standard deviation": "标准差",
    "kurtosis": "峰度",
    "quantize": "量化",
    "checkpoint": "检查点",
    "tokenizer": "分词器",
    "rounding error": "舍入误差",
    "silhouette": "轮廓系数",
    "residual stream": "残差流",
    "power law": "幂律",
    "entropy": "熵",
    "expert": "专家",
    r"tokens?\b": "词元",
    "tensor": "张量",
    "matri": "矩阵",
}

# Names, which stay as they are, and texts in which a term is part of a name.
NAMES = re.compile(r"`[^`]*`|[\w.]*[._]\w[\w.]*|\{\w+\}|WeightWatcher|unquantized")


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_message_is_translated_once(language):
    found = known(language)
    assert [message for message in WANTED if not found.get(message)] == [], "docs.messages"
    assert [message for message in found if message not in WANTED] == [], "docs.messages"
    text = path_of(language).read_text(encoding="utf-8")
    assert len(list(read_entries(text))) == len(found) + 1, "a message stands twice"


@pytest.mark.parametrize("language", LANGUAGES)
def test_translations_have_the_same_places(language):
    other = [m for m, text in known(language).items() if places(m) != places(text)]
    assert other == []


def test_terms_of_the_field_are_translated_alike():
    other = [
        (term, message)
        for message, text in known("zh").items()
        for term, word in TERMS.items()
        if re.search(rf"\b{term}", NAMES.sub("", message).lower()) and word not in text
    ]
    assert other == []


def test_chinese_has_its_own_punctuation():
    """No comma, colon or semicolon of ASCII behind a Chinese character."""
    found = [text for text in known("zh").values() if re.search(r"[一-鿿][,:;!?]", text)]
    assert found == []


def test_a_message_is_a_literal():
    call = ast.parse('say(f"{count} of them")').body[0].value
    with pytest.raises(ValueError, match=r"x.py:1: the message of say is no literal"):
        list(_of_call(call, "x.py:1"))
