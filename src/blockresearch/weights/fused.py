"""The order of the parts of a fused projection, and the orientation of stored matrices.

Rows mean output features throughout: a matrix [out, in] as the model multiplies with it, y = W x.
The order of a fused projection depends on the model family. It is looked up by `model_type` and
never guessed; an unknown one stays a single matrix, with a note. To add a family, add its
`model_type` to QKV_ORDERS (or a row to GATE_ORDERS) once its code has been read.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from blockresearch.model_config import ModelConfig
from blockresearch.naming.roles import Role

Tensor = tuple[str, tuple[int, ...], str]  # name, logical shape, dtype


@dataclass(frozen=True)
class Piece:
    """Rows of one part of a fused projection.

    Row i is found by writing i in the mixed base of the counts in `steps`, outermost first, and
    adding up digit times step: ((heads, 3·d), (d, 1)) takes d rows out of every 3·d.
    """

    name: str
    first: int
    steps: tuple[tuple[int, int], ...]

    @property
    def rows(self) -> int:
        rows = 1
        for count, _ in self.steps:
            rows *= count
        return rows


# From the families' code: `modeling_<model_type>.py` of transformers or of the repository.
QKV_ORDERS = {
    # [Q | K | V]: one split or chunk of the outputs
    "contiguous": {
        *("phi3", "phi4_multimodal", "phi4mm", "dbrx", "mpt", "baichuan", "hf_olmo", "molmo2_text"),
        *("modernbert", "nomic_bert", "qwen", "gte", "new", "jina_embeddings_v3", "xlm-roberta"),
        *("gpt2", "openai-gpt", "imagegpt", "jais", "decision_transformer"),
    },
    # head by head, q, k, v of d rows each: view(heads, 3 * d)
    "per_head": {
        *("gpt_neox", "gpt_neox_japanese", "bloom", "persimmon", "fuyu", "deberta"),
        *("minimax", "minimax_text_01"),
    },
    # per key-value head: its queries, its key, its value
    "grouped": {"internlm2", "phi3small"},
    # four blocks, each with queries, values, keys
    "codegen": {"codegen"},
    # [gate | Q | K | V]
    "gated": {"hrm_text"},
}

# Vision transformers reshape to (3, heads, d); so do these, whose names do not say vision.
THIRDS = {"pp_formulanet", "mgp-str", "vitdet", "radio", "bark", "nemo_speechlm"}

THIRDS_NAMES = (
    *(".qkv.weight", ".qkv_proj.weight", ".w_qkv.weight", ".Wqkv.weight", ".wqkv.weight"),
    *("in_proj_weight", ".att_proj.weight"),
)


class GateOrder(NamedTuple):
    """How a fused gate and up projection orders its rows, by the module's own name."""

    order: str  # "gate first", "up first": halves; "alternating": gate, up, gate, up ...
    modules: str
    types: frozenset[str] | None = None  # families; None = all that use the name

    def holds(self, name: str, types: set[str]) -> bool:
        words = self.modules.replace(" ", "|")
        found = re.search(rf"(?:^|\.)(?:{words})s?(?:[._]|$)", name.lower())
        return bool(found) and (self.types is None or bool(self.types & types))


# The first row that matches; the gate is the half that is activated.
GATE_ORDERS = (
    # gate_up[..., ::2], gate_up[..., 1::2]
    GateOrder("alternating", "gate_up_proj", frozenset({"gpt_oss"})),
    GateOrder("alternating", "up_proj", frozenset({"phi3small"})),
    # transformers' conversion of these files begins with Interleave
    GateOrder(
        "alternating",
        "w13 shared_w13 w13_dn",
        frozenset({"inkling_mm_model", "inkling_text", "inkling2", "inkling2_text"}),
    ),
    GateOrder("up first", r"feed_forward_(?:in|out)\.gate_up_proj", frozenset({"phi4_multimodal"})),
    GateOrder("up first", "up_gate_proj"),  # gte
    GateOrder("up first", "ff_proj", frozenset({"hf_olmo", "molmo2_text", "molmo2"})),
    GateOrder("gate first", "gate_up_proj"),  # phi3, glm, granite, every stack of transformers
    GateOrder("gate first", "input_linear"),  # granitemoe, jetmoe
    GateOrder("gate first", "w12 weights_in gated_layers"),  # dinov2, tipsv2; jina's bert
    GateOrder("gate first", "dense_h_to_4h", frozenset({"chatglm"})),
    GateOrder("gate first", "wi", frozenset({"modernbert", "modernbert-decoder"})),
    GateOrder("gate first", "fc1", frozenset({"moshi", "moshi_depth", "kyutai_speech_to_text"})),
    GateOrder("gate first", "fc1", frozenset({"aria", "aria_text"})),
    GateOrder("up first", "fc1", frozenset({"moonshine", "moonshine_streaming"})),
)

CONV1D_NAMES = {"c_attn", "c_proj", "c_fc", "c_fc2", "q_attn"}

CONV1D_TYPES = {"gpt2", "openai-gpt", "imagegpt", "decision_transformer", "jais"}

TRANSPOSED_STACKS = {"gpt_oss", "llama4", "llama4_text"}

MLP_PARTS = ("gate_up_proj", "gate_proj", "up_proj", "down_proj")


def qkv_pieces(
    name: str, rows: int | None, cols: int | None, role: Role, facts: ModelConfig
) -> tuple[Piece, ...]:
    """Queries, keys and values in a fused projection; () if their order is unknown.

    `rows` and `cols` are None if the file does not give them.
    """
    thirds = role.component in ("vision", "audio") or bool(facts.types & THIRDS)
    if thirds or name.endswith("in_proj_weight"):
        known = name.endswith(THIRDS_NAMES) and rows is not None and cols is not None
        if known and cols and rows == 3 * cols:
            return _consecutive(q_proj=cols, k_proj=cols, v_proj=cols)
        return ()
    order = next((o for o, types in QKV_ORDERS.items() if types & facts.types), None)
    if "falcon" in facts.types:
        new = facts.flag("new_decoder_architecture")
        order = "grouped" if new else "contiguous" if facts.flag("multi_query") else "per_head"
    if "gpt_bigcode" in facts.types:
        order = "contiguous" if facts.flag("multi_query") else "per_head"
    if "chatglm" in facts.types:
        order = "contiguous" if facts.flag("multi_query_attention") else "per_head"
    if order is None or facts.heads is None:
        return ()
    heads, pairs, size = facts.heads
    if order in ("per_head", "gated"):
        pairs = heads
    gate = heads if order == "gated" else 0
    if rows not in (None, (gate + heads + 2 * pairs) * size) or heads % pairs:
        return ()
    if order in ("contiguous", "gated"):
        counts = {"gate_proj": gate, "q_proj": heads, "k_proj": pairs, "v_proj": pairs}
        return _consecutive(**{part: n * size for part, n in counts.items() if n})
    if order == "codegen":
        local = heads * size // 4
        if heads % 4 or pairs != heads:
            return ()
        parts = (("q_proj", 0), ("v_proj", local), ("k_proj", 2 * local))
        pieces = {part: Piece(part, at, ((4, 3 * local), (local, 1))) for part, at in parts}
        return pieces["q_proj"], pieces["k_proj"], pieces["v_proj"]
    queries = heads // pairs
    stride = (queries + 2) * size
    return (
        Piece("q_proj", 0, ((pairs, stride), (queries * size, 1))),
        Piece("k_proj", queries * size, ((pairs, stride), (size, 1))),
        Piece("v_proj", (queries + 1) * size, ((pairs, stride), (size, 1))),
    )


def _consecutive(**sizes: int) -> tuple[Piece, ...]:
    first, pieces = 0, []
    for part, size in sizes.items():
        pieces.append(Piece(part, first, ((size, 1),)))
        first += size
    return tuple(pieces)


def gate_up_pieces(name: str, rows: int | None, facts: ModelConfig) -> tuple[Piece, ...]:
    """Gate and up projection in a fused one of `rows` rows; () if their order is unknown.

    No order is known without a family: the same name has several.
    """
    known = (row.order for row in GATE_ORDERS if facts.types and row.holds(name, facts.types))
    order = next(known, None)
    if rows is None or rows % 2 or order is None:
        return ()
    half = rows // 2
    if order == "alternating":
        return Piece("gate_proj", 0, ((half, 2),)), Piece("up_proj", 1, ((half, 2),))
    up_first = order == "up first"
    gate = Piece("gate_proj", half if up_first else 0, ((half, 1),))
    return gate, Piece("up_proj", 0 if up_first else half, ((half, 1),))


def conv1d(tensors: Iterable[Tensor], facts: ModelConfig) -> set[str]:
    """Names of weights that are stored [in, out], as OpenAI's Conv1D module does.

    The shape of the checkpoint's c_attn [in, 3·in] decides, or the model type if there is none.
    """
    candidates = {}
    for name, shape, _ in tensors:
        module, _, leaf = name.rpartition(".")
        if leaf == "weight" and len(shape) == 2 and module.rpartition(".")[2] in CONV1D_NAMES:
            candidates[name] = shape
    fused = [shape for name, shape in candidates.items() if name.endswith("c_attn.weight")]
    if fused:
        transposed = all(cols % rows == 0 and cols in (3 * rows, 2 * rows) for rows, cols in fused)
    else:
        transposed = bool(facts.types & CONV1D_TYPES)
    return set(candidates) if transposed else set()


def stack_order(shapes: Mapping[str, tuple[int, ...]], facts: ModelConfig) -> bool | None:
    """Whether the experts of one module are stored [in, out]; None if that stays open.

    `shapes` gives the shape of one expert by the projection's name. Inputs of gate and up are the
    outputs of down, so two of the shapes settle it; else the config's width, then the family.
    """
    down = shapes.get("down_proj")
    fused = shapes.get("gate_up_proj")
    single = shapes.get("up_proj") or shapes.get("gate_proj")
    upper = fused or single
    if down and upper:
        (a, b), (c, d) = upper, down
        factor = 2 if fused else 1
        as_linear = b == c and a == factor * d
        as_transposed = a == d and b == factor * c
        if as_linear != as_transposed:
            return as_transposed
    width = facts.width
    for name, (a, b) in shapes.items():
        if width in (a, b) and a != b and name in MLP_PARTS:
            outputs_are_width = name == "down_proj"
            return (b if outputs_are_width else a) == width
    if facts.types & TRANSPOSED_STACKS:
        return True
    return None
