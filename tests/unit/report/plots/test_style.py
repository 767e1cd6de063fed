"""One look for all pictures."""

from blockresearch.report.plots import style


def test_every_block_type_has_its_own_look():
    assert len(set(style.BLOCKS.values())) == len(style.BLOCKS)
    assert style.ordered(["norm", "zzz", "q_proj", None, "embedding"]) == [
        "embedding",
        "q_proj",
        "norm",
        "zzz",
    ]
