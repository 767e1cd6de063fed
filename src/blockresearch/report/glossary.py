"""The glossary: the meaning of every column, from the records of the tables, and of block types."""

from collections.abc import Mapping

from blockresearch.report.citation import ending
from blockresearch.report.pages import render
from blockresearch.tables.column import (
    NONE,
)
from blockresearch.tables.columns import (
    SCHEMAS,
)
from blockresearch.tables.guidance import BY_COLUMN

# Block type -> what a block of this type does, for readers new to the names.
BLOCK_TYPES = {
    "embedding": "from token to vector, one row per token",
    "position_embedding": "marks the position in the sequence",
    "conv": "convolution: mixes neighboring positions",
    "q_proj": "attention: query projection",
    "k_proj": "attention: key projection",
    "v_proj": "attention: value projection",
    "qkv_proj": "attention: query, key and value in one matrix",
    "o_proj": "attention: output projection",
    "ssm": "state-space layer: carries a state along the sequence",
    "router": "mixture of experts: chooses the experts of a token",
    "moe": "mixture of experts: feed-forward matrices of the experts",
    "gate_proj": "feed-forward: gate of the hidden units",
    "up_proj": "feed-forward: to the hidden units",
    "gate_up_proj": "feed-forward: gate and hidden units in one matrix",
    "down_proj": "feed-forward: back to the residual stream",
    "mlp": "feed-forward: layers of a plain network",
    "norm": "normalization: scales and shifts of activations",
    "bias": "additive biases",
    "output": "unembedding: from the final hidden state to logits",
    "other": "weights of an unknown type",
}


def anchor(table: str, column: str) -> str:
    """The place of a column's definition on the page: glossary.html#ANCHOR."""
    return f"{table}.{column}"


def page(program: Mapping[str, str]) -> str:
    """The page of all definitions, as HTML, made by `program` (see `citation`)."""
    return render(
        "glossary.html.j2",
        title="Glossary",
        ending=ending(program),
        block_types=BLOCK_TYPES.items(),
        tables=SCHEMAS.items(),
        anchor=anchor,
        no_unit=NONE,
        guidance=BY_COLUMN,
    )
