"""One look for each block type, and names in the language of the page."""

from blockresearch.language.catalogue import translated
from blockresearch.report import blocks


def test_every_block_type_has_its_own_look():
    assert len(set(blocks.BLOCKS.values())) == len(blocks.BLOCKS)
    assert blocks.ordered(["norm", "zzz", "q_proj", None, "embedding"]) == [
        "embedding",
        "q_proj",
        "norm",
        "zzz",
    ]


def test_only_words_of_a_label_are_translated():
    labels = ("cross q_proj", "router", "layer")
    named = [translated(blocks.block_name(label), "zh") for label in labels]
    assert named == ["交叉注意力 q_proj", "路由器", "layer"]
