"""One look for each block type."""

from blockresearch.report import blocks


def test_every_block_type_has_its_own_look():
    assert len(set(blocks.BLOCKS.values())) == len(blocks.BLOCKS)
    assert blocks.ordered(["norm", "zzz", "q_proj", None, "embedding"]) == [
        "embedding",
        "q_proj",
        "norm",
        "zzz",
    ]
