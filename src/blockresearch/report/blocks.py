"""Order, colors and markers of block types, the same in every picture and on every page.

Attention is blue, the feed-forward network orange, embeddings green, experts purple, the rest gray
or brown; members of a family differ in lightness and marker, so pictures can also be read without
colors. Pages use them too, so no library of pictures is imported here.
"""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from blockresearch.language.sentence import Sentence, say

# Block type -> color, marker; in the order in which data passes through a model.
BLOCKS = {
    "embedding": ("#00734f", "o"),
    "position_embedding": ("#5fb89a", "s"),
    "conv": ("#8c6d1f", "p"),
    "q_proj": ("#003f7d", "o"),
    "k_proj": ("#0072b2", "s"),
    "v_proj": ("#4aa3df", "^"),
    "qkv_proj": ("#1f5fa8", "D"),
    "o_proj": ("#8cc8ee", "v"),
    "ssm": ("#b8860b", "h"),
    "router": ("#5e2a84", "X"),
    "moe": ("#b35aa5", "P"),
    "gate_proj": ("#9e2f00", "o"),
    "up_proj": ("#d55e00", "s"),
    "gate_up_proj": ("#b94700", "D"),
    "down_proj": ("#f2a65a", "v"),
    "mlp": ("#e07b28", "^"),
    "norm": ("#777777", "."),
    "bias": ("#a8a8a8", "1"),
    "output": ("#9aa200", "*"),
    "other": ("#4d4d4d", "x"),
}


# Roles of the matrices of a block type, the usual one first.
ROLES = ("self", "cross", "indexer", "compressor", "routed", "shared")

# Block types and roles that are words; the others are names of weights and stay as they are.
WORDS = {
    str(word): word
    for word in (
        say("embedding"),
        say("position_embedding"),
        say("conv"),
        say("router"),
        say("norm"),
        say("bias"),
        say("output"),
        say("other"),
        *(say("self"), say("cross"), say("indexer"), say("compressor")),
        *(say("routed"), say("shared")),
    )
}


def block_name(label: str) -> Sentence:
    """A block type, perhaps with a role in front, in the language of the reader."""
    role, _, block = label.rpartition(" ")
    named = WORDS.get(block) or say("{text}", text=block)
    return say("{role} {block}", role=WORDS.get(role, role), block=named) if role else named


def color(block_type: str) -> str:
    """Color of a block type."""
    return BLOCKS.get(block_type, BLOCKS["other"])[0]


def marker(block_type: str) -> str:
    """Marker of a block type."""
    return BLOCKS.get(block_type, BLOCKS["other"])[1]


def ordered(block_types: Iterable[Any]) -> list[str]:
    """The distinct block types in the order in which data passes through a model."""
    places = {name: place for place, name in enumerate(BLOCKS)}
    present = {str(name) for name in block_types if not pd.isna(name)}
    return sorted(present, key=lambda name: (places.get(name, len(places)), name))
