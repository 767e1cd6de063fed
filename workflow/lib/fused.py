"""In which order a fused projection holds its parts, and which way round a matrix is stored.

Rows mean output features throughout: a matrix [out, in] as the model multiplies with it, y = W x.
The order of a fused projection is a fact of the family, so it is looked up by `model_type` and
never guessed; what is not known stays one matrix, with a note. To add a family, add its
`model_type` to QKV_ORDERS (or GATE_FIRST) once its code has been read.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from workflow.lib.naming import Role

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


QKV_ORDERS = {
    # [Q | K | V]
    "contiguous": {
        *("phi3", "phi4_multimodal", "phi4mm", "dbrx", "mpt", "baichuan"),
        *("modernbert", "nomic_bert", "chatglm", "qwen", "gpt2", "openai-gpt", "imagegpt", "jais"),
        *("decision_transformer", "hf_olmo"),
    },
    # head by head: q, k, v of d rows each
    "per_head": {
        *("gpt_neox", "bloom", "persimmon", "fuyu", "deberta", "minimax", "minimax_text_01"),
        *("gpt_neox_japanese",),
    },
    # per key-value head: its queries, its key, its value
    "grouped": {"internlm2"},
    # four blocks, each with queries, values, keys
    "codegen": {"codegen"},
}
# Fused gate and up projections whose first half is activated, by the module's own name.
GATE_FIRST = {
    "gate_up_proj": None,
    "gate_and_up_proj": None,
    "w13": None,
    "input_linear": None,
    "dense_h_to_4h": {"chatglm"},
    "wi": {"modernbert"},
}
# gpt-oss alternates rows of gate and up.
INTERLEAVED = {"gpt_oss"}
CONV1D_NAMES = {"c_attn", "c_proj", "c_fc", "q_attn"}
CONV1D_TYPES = {"gpt2", "openai-gpt", "imagegpt", "decision_transformer", "jais", "gpt-sw3"}
TRANSPOSED_STACKS = {"gpt_oss", "llama4", "llama4_text"}
MLP_PARTS = ("gate_up_proj", "gate_proj", "up_proj", "down_proj")
CONFIG_PARTS = (
    *("text_config", "llm_config", "language_config", "attn_config", "ffn_config"),
    *("thinker_config", "decoder"),
)


class Facts:
    """What a config says about the text model; anything of a wrong type counts as missing."""

    def __init__(self, config: Mapping[str, Any]):
        parts = [config]
        for part in parts:
            parts += [part[key] for key in CONFIG_PARTS if isinstance(part.get(key), Mapping)]
        self._parts = parts
        types = [part.get("model_type") for part in parts]
        self.types = {name for name in types if isinstance(name, str)}

    def number(self, *keys: str) -> int | None:
        """The first positive integer under one of the keys."""
        values = (part.get(key) for key in keys for part in self._parts)
        return next((value for value in values if type(value) is int and value > 0), None)

    def flag(self, key: str) -> bool:
        """Whether a key is true."""
        return any(part.get(key) is True for part in self._parts)

    @property
    def width(self) -> int | None:
        """Size of the residual stream."""
        return self.number("hidden_size", "n_embd", "d_model", "dim", "model_dim")

    @property
    def heads(self) -> tuple[int, int, int] | None:
        """Query heads, key-value heads, rows per head."""
        heads = self.number("num_attention_heads", "n_head", "n_heads", "num_heads")
        if heads is None:
            return None
        width = self.width
        size = self.number("head_dim", "kv_channels") or (width // heads if width else None)
        pairs = self.number("num_key_value_heads", "n_head_kv", "num_kv_heads", "kv_n_heads")
        if self.flag("multi_query_attention") or self.flag("multi_query"):
            pairs = self.number("multi_query_group_num") or pairs or 1
            if "falcon" in self.types and not self.flag("new_decoder_architecture"):
                pairs = 1
        return (heads, pairs or heads, size) if size else None

    @property
    def experts(self) -> int | None:
        """Number of routed experts of a layer."""
        return self.number(
            "num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"
        )


def qkv_pieces(
    name: str, rows: int | None, cols: int | None, role: Role, facts: Facts
) -> tuple[Piece, ...]:
    """Queries, keys and values in a fused projection; () where their order is not known.

    `rows` and `cols` are None where the file does not tell them.
    """
    if role.component in ("vision", "audio") or name.endswith("in_proj_weight"):
        # nn.MultiheadAttention, and the reshape(3, heads, d) of vision transformers
        known = name.endswith(("in_proj_weight", ".qkv.weight", ".Wqkv.weight"))
        fits = known and rows is not None and cols is not None and rows == 3 * cols
        return _consecutive(cols, cols, cols) if fits and cols else ()
    order = next((o for o, types in QKV_ORDERS.items() if types & facts.types), None)
    if "falcon" in facts.types:
        new = facts.flag("new_decoder_architecture")
        order = "grouped" if new else "contiguous" if facts.flag("multi_query") else "per_head"
    if "gpt_bigcode" in facts.types:
        order = "contiguous" if facts.flag("multi_query") else "per_head"
    if order is None or facts.heads is None:
        return ()
    heads, pairs, size = facts.heads
    if rows not in (None, (heads + 2 * pairs) * size) or heads % pairs:
        return ()
    if order == "contiguous":
        return _consecutive(heads * size, pairs * size, pairs * size)
    if order == "codegen":
        local = heads * size // 4
        if heads % 4 or pairs != heads:
            return ()
        parts = (("q_proj", 0), ("v_proj", local), ("k_proj", 2 * local))
        pieces = {part: Piece(part, at, ((4, 3 * local), (local, 1))) for part, at in parts}
        return pieces["q_proj"], pieces["k_proj"], pieces["v_proj"]
    queries = 1 if order == "per_head" else heads // pairs
    if order == "per_head" and pairs != heads:
        return ()
    stride = (queries + 2) * size
    return (
        Piece("q_proj", 0, ((pairs, stride), (queries * size, 1))),
        Piece("k_proj", queries * size, ((pairs, stride), (size, 1))),
        Piece("v_proj", (queries + 1) * size, ((pairs, stride), (size, 1))),
    )


def _consecutive(*sizes: int) -> tuple[Piece, ...]:
    first, pieces = 0, []
    for part, size in zip(("q_proj", "k_proj", "v_proj"), sizes, strict=True):
        pieces.append(Piece(part, first, ((size, 1),)))
        first += size
    return tuple(pieces)


def gate_up_pieces(name: str, rows: int | None, role: Role, facts: Facts) -> tuple[Piece, ...]:
    """Gate and up projection in a fused one of `rows` rows; () where their order is not known."""
    words = name.lower().split(".")
    types = next((GATE_FIRST[word] for word in reversed(words) if word in GATE_FIRST), set())
    # Bare parameters carry suffixes: gate_up_proj_blocks
    if types == set() and any(word.startswith("gate_up_proj") for word in words):
        types = None
    if rows is None or rows % 2 or (types is not None and not types & facts.types):
        return ()
    half = rows // 2
    if facts.types & INTERLEAVED:
        return Piece("gate_proj", 0, ((half, 2),)), Piece("up_proj", 1, ((half, 2),))
    return Piece("gate_proj", 0, ((half, 1),)), Piece("up_proj", half, ((half, 1),))


def conv1d(tensors: Iterable[Tensor], facts: Facts) -> set[str]:
    """Names of weights that are stored [in, out], as OpenAI's Conv1D module does.

    The shape of a checkpoint's own c_attn [in, 3·in] decides; only where there is none, the type.
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


def stack_order(shapes: Mapping[str, tuple[int, ...]], facts: Facts) -> bool | None:
    """Whether the experts of one module are stored [in, out]; None where that stays open.

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
