"""From a parameter's name to its role: component, layer, block, projection, expert.

The names of a whole checkpoint are read together. Names that differ in numbers only share a
template (`layers.#.mlp.gate.weight`), which is resolved once: component, layer, expert, block, by
the tables in `patterns`. Neighbors decide what a name alone leaves open: whether a stack is the
decoder of two, whether `w2` is a gate, whether `fc1` contains gate and up together.

`Role.projection` reads `[context ]name`:

    context   cross_attention, indexer, compressor, attention (gates only) before the name of an
              attention matrix; lora_A and the like before the parameter of an adapter
    name      q_proj k_proj v_proj o_proj qkv_proj gate_proj up_proj down_proj gate_up_proj,
              whatever the model calls them, with `shared_` in front in a shared expert;
              embed_tokens for a table of tokens; lm_head, classifier, transform (the dense layer
              before a head); layer_scale; else the module's own name: q_a_proj,
              kv_a_proj_with_mqa, input_layernorm, q_norm, A_log, in_proj_qkvz, sinks ...

`Role.role` keeps apart what has one block type in one layer: `self` or `cross` attention, the
`indexer` and the `compressor` of sparse attention, `shared` or `routed` experts.

Conventions of `block_type`: matrices for several of q, k and v (also MLA's kv_*) are `qkv_proj`;
token types and segments are `position_embedding`; patch embeddings are `conv`; poolers and
projectors are `mlp`; attention sinks are `bias`; updates of a router's balance are `router`.
`is_bias` marks additive biases; a companion of a quantized weight has the role of its owner.

Two stacks of one component (a recurrent model's inner and outer module) share layer numbers.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from blockresearch.model_config import ModelConfig
from blockresearch.naming import adapter_names, patterns
from blockresearch.naming.patterns import Block
from blockresearch.naming.template import (
    Template,
    context_of,
    find_block,
    is_companion,
    is_unlearned,
    nearest_zone,
    split,
    stack_side,
    take_apart,
    zone_of,
)

Tensor = tuple[str, tuple[int, ...], str]  # name, shape, safetensors dtype

MLP = {"gate_proj", "up_proj", "down_proj", "gate_up_proj", "mlp"}

ATTENTION = {"q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj"}

INTEGERS = {"BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64"}

# Of the classes that a config names, those of models with an output layer over tokens.
LANGUAGE_HEADS = ("ForCausalLM", "LMHead", "ForConditionalGeneration", "ForMaskedLM")


@dataclass(frozen=True, slots=True)
class Role:
    """What one stored tensor is in its model.

    component      text, vision, audio, projector, encoder, decoder, mtp or adapter
    layer_index    number of the repeated block in its component; None outside
    role           self, cross, indexer or compressor (attention), shared or routed (experts);
                   None for everything else
    expert_index   of a routed expert that is stored separately
    is_bias        an additive bias
    is_buffer      not learned: rotary frequencies, masks, position ids, counters
    """

    component: str
    layer_index: int | None
    block_type: str
    projection: str | None
    role: str | None
    expert_index: int | None
    is_bias: bool
    is_buffer: bool


class Part(NamedTuple):
    """What all tensors of one template and shape are in their layer: fields of `Role`."""

    block_type: str
    projection: str | None
    role: str | None
    is_bias: bool


def _dims(shape: tuple[int, ...]) -> int:
    """Number of dimensions; a 3-D shape with a dimension of 1 counts as a matrix."""
    return 2 if len(shape) == 3 and 1 in shape else len(shape)


class _Checkpoint:
    """The templates of a checkpoint, and what follows from all of them together."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], config: Mapping[str, Any]):
        """`shapes` has the shape of one example of each template."""
        self.shapes = shapes
        self.templates = {text: take_apart(text) for text in shapes}
        layered = [t for t in self.templates.values() if t.layer is not None]
        self.stacks = {t.prefix[:n] for t in layered for n in range(1, len(t.prefix) + 1)}
        sides = {stack_side(t.prefix) for t in layered if t.component is None}
        self.two_sided = len(sides) > 1 or config.get("is_encoder_decoder") is True

        neighbors: dict[tuple[str, ...], set[str]] = {}
        for t in self.templates.values():
            neighbors.setdefault(t.module, set()).update(map(str.lower, t.path[-1:]))
        self.dialects = {module: _dialect(words) for module, words in neighbors.items()}
        self.paths = {text: self._path(t) for text, t in self.templates.items()}
        self.blocks = {text: find_block(path) for text, path in self.paths.items()}

        segments = {segment.lower() for path in self.paths.values() for segment in path}
        self.has_experts = any("expert" in s or zone_of(s) == "router" for s in segments)
        self.fused = self._modules_with_fused_gate()
        self.default_component = self._default_component()

    def _above(self, t: Template) -> tuple[str, ...]:
        """The part of a name that names a model: everything above layers."""
        if t.layer is not None:
            return t.prefix
        n = 0
        while n + 1 < len(t.path) and t.path[: n + 1] in self.stacks:
            n += 1
        return t.path[:n]

    def _path(self, t: Template) -> tuple[str, ...]:
        """Path of the module below the model that contains the layers, in the common dialect."""
        path = t.path if t.layer is not None else t.path[len(self._above(t)) :]
        reading = self.dialects[t.module]
        if path and path[-1].lower() in reading:
            path = path[:-1] + tuple(reading[path[-1].lower()].split("."))
        return path

    def _modules_with_fused_gate(self) -> set[tuple[str, ...]]:
        """Modules whose up projection is twice as large as the down projection."""
        sizes: dict[tuple[str, ...], dict[str, int]] = {}
        for text, found in self.blocks.items():
            block = found and found[0]
            is_weight = len(self.shapes[text]) > 1 and not self.templates[text].adapter
            if block and block.block_type in MLP and is_weight:
                module = sizes.setdefault(self.templates[text].module, {})
                module[block.block_type] = math.prod(self.shapes[text])
        return {
            module
            for module, size in sizes.items()
            if "gate_proj" not in size and size.get("up_proj", -1) == 2 * size.get("down_proj", 0)
        }

    def _default_component(self) -> str:
        """Component of names without a hint: a model without a table of tokens is not text."""
        kernels = [2]
        for text, found in self.blocks.items():
            block = found and found[0]
            if block and block.projection == "embed_tokens":
                return "text"
            shape = self.shapes[text]
            if block and block.block_type == "conv" and len(shape) > 2 and shape[1] > 1:
                kernels.append(len(shape))
        return {2: "text", 3: "audio"}.get(max(kernels), "vision")

    def component(self, t: Template) -> str:
        if t.component is None and self.default_component == "text" and self.two_sided:
            return stack_side(self._above(t)) or "text"
        return t.component or self.default_component

    def part(self, text: str, dims: int, is_buffer: bool) -> Part:
        """The part of a layer that a template is; `dims` of the module's weight, 0 without one."""
        t, path, found = self.templates[text], self.paths[text], self.blocks[text]
        vague = found is None or found[0].block_type == "other"
        if (is_buffer or (vague and not t.leaf)) and (of_norm := find_block(path[:-1])):
            # A parameter of a norm with an unusual name, such as a shift or a temperature.
            found = of_norm if of_norm[0].block_type == "norm" else found
        row, name = found or (None, path[-1] if path else None)
        bare_bias = not t.leaf and bool(name) and path[-1].lower().endswith(("_bias", "_biases"))
        corrected = None if is_buffer else self._correction(t, path, row, dims, bare_bias)
        block_type = corrected or (row.block_type if row else "other")
        projection = "gate_up_proj" if corrected == "gate_up_proj" else name
        if row and not corrected:
            projection = row.projection.replace("*", name or "")

        zones = {zone_of(segment) for segment in path}
        is_shared = "shared" in zones and self.has_experts
        is_expert = is_shared or "expert" in zones or (block_type in MLP and dims == 3)
        role = self._role(t, path, block_type, "shared" if is_shared else "routed" * is_expert)
        plain = (projection or "").removeprefix("attention ")
        if block_type in ATTENTION or plain != projection:
            contexts = list(filter(None, map(context_of, t.prefix + t.path)))
            projection = " ".join([*dict.fromkeys(contexts), plain]) if contexts else projection
        if is_expert and block_type in MLP | ATTENTION | {"other", "bias"}:
            block_type = "moe"
            projection = f"shared_{projection}" if is_shared else projection
        if t.adapter:
            projection = f"{t.adapter} {projection or ''}".strip()
        is_bias = t.leaf in ("bias", "beta") or bare_bias or block_type == "bias"
        is_bias = is_bias and not is_buffer and block_type != "position_embedding"
        return Part(block_type, projection, role, is_bias)

    def _role(self, t: Template, path: tuple[str, ...], block_type: str, expert: str) -> str | None:
        """`expert` (shared, routed or empty), else the kind of attention that contains a module.

        The last segment counts for the matrices of attention alone: a norm before or after
        attention is named after it but is no part of it.
        """
        if expert and block_type != "router":
            return expert
        is_matrix = block_type in ATTENTION
        above = t.prefix + (t.path if is_matrix else t.path[:-1])
        kind = next(filter(None, map(context_of, above)), None)
        if kind:
            return kind.removesuffix("_attention")
        is_inside = any(zone_of(segment) == "attention" for segment in path[:-1])
        return "self" if is_matrix or is_inside else None

    def _correction(
        self,
        t: Template,
        path: tuple[str, ...],
        row: Block | None,
        dims: int,
        bare_bias: bool,
    ) -> str | None:
        """Block type if shape and surroundings overrule the row; else None."""
        block_type = row.block_type if row else "other"
        vague = row is None or row in patterns.FALLBACKS
        if vague and path and dims == 1 and t.leaf in ("weight", "bias"):
            return "norm"
        if row is None and dims == 0 and t.leaf == "bias":
            return "bias"
        if dims > 3 and block_type not in ("norm", "position_embedding", "ssm"):
            return "conv"
        if block_type == "up_proj" and t.module in self.fused:
            return "gate_up_proj"
        if row and row.projection == "lm_head" and self.component(t) in ("vision", "projector"):
            return "mlp"
        if block_type in MLP | ATTENTION and not t.leaf and not bare_bias:
            # A bare parameter called `query` is a learned vector, not a projection.
            is_vector = dims < 2 and not path[-1].endswith("_scale")
            if is_vector or (block_type in ATTENTION and nearest_zone(path) != "attention"):
                return "other"
        return None


def _dialect(words: set[str]) -> Mapping[str, str]:
    for present, absent, reading in patterns.DIALECTS:
        if words.issuperset(present.split()) and words.isdisjoint(absent.split()):
            return reading
    return {}


def classify(tensors: Iterable[Tensor], config: Mapping[str, Any]) -> dict[str, Role]:
    """Role of every tensor of a checkpoint.

    `tensors` is the whole checkpoint, because neighbors decide some cases. `config` is
    config.json; a value of the wrong type in it counts as missing. No name raises an error: one
    that the tables do not match is `other`.
    """
    stored = {name: (tuple(shape), dtype) for name, shape, dtype in tensors}
    config = config if isinstance(config, Mapping) else {}
    adapted = adapter_names.adapted_modules(stored)
    names = {name: split(_spelled(name, adapted)) for name in stored}
    checkpoint = _Checkpoint({names[name][0]: shape for name, (shape, _) in stored.items()}, config)
    templates = checkpoint.templates

    suffixes = {text: t.suffix for text, t in templates.items() if t.suffix}
    owners = {name[: -suffixes[text]] for name, (text, _) in names.items() if text in suffixes}
    packed = isinstance(config.get("quantization_config"), Mapping)
    layers = {
        (text, int(numbers[t.layer]))
        for text, numbers in names.values()
        if (t := templates[text]).layer is not None
    }
    depth = ModelConfig(config).number("num_hidden_layers", "n_layer", "n_layers")
    mtp_layers = _mtp_layers({(templates[text], number) for text, number in layers}, depth)

    roles: dict[str, Role] = {}
    kinds: dict[tuple[str, int, int, bool], tuple[str, Part, bool]] = {}
    for name, (shape, dtype) in stored.items():
        text, numbers = names[name]
        t = templates[text]
        # Whatever shape the parameters of an adapter have, they change a matrix.
        dims = 2 if t.adapter else _dims(shape)
        is_code = False
        if t.suffix or t.leaf == "bias":
            owner = name[: -t.suffix] if t.suffix else name.removesuffix(".bias")
            weight = stored.get(f"{owner}.weight") or stored.get(owner)
            dims = _dims(weight[0]) if weight else 0
        elif dtype in INTEGERS:
            is_code = name.rpartition(".")[0] not in owners and not (packed and len(shape) > 1)
        key = (text, dims, len(shape), is_code)
        if key not in kinds:
            is_buffer = is_code or is_unlearned(name.rpartition(".")[2], len(shape))
            # The alpha of an adapter is a setting.
            is_buffer |= t.adapter == "lora_alpha"
            part = checkpoint.part(text, dims, is_buffer)
            kinds[key] = checkpoint.component(t), part, is_buffer
        component, part, is_buffer = kinds[key]
        layer = None if t.layer is None else int(numbers[t.layer])
        expert = None if t.expert is None else int(numbers[t.expert])
        if component == "text" and layer is not None and (t.stack, layer) in mtp_layers:
            component = "mtp"
        roles[name] = Role(
            component,
            layer,
            part.block_type,
            part.projection,
            part.role,
            expert,
            part.is_bias,
            is_buffer,
        )
    return roles


def _spelled(name: str, adapted: set[str]) -> str:
    """The name, with a word of adapters alone for a parameter that only its neighbors explain."""
    found = adapter_names.beside(name, adapted)
    return f"{found.module}.{found.word}" if found else name


def _mtp_layers(
    layers: set[tuple[Template, int]], depth: int | None
) -> set[tuple[tuple[str, ...], int]]:
    """Layers of the main stack that predict further tokens.

    They contain a module of the component mtp, or their number is beyond the config's depth. They
    are few, so a stack twice as deep as the config states does not count.
    """
    found = {(t.stack, number) for t, number in layers if t.component == "mtp"}
    numbers: dict[tuple[str, ...], set[int]] = {}
    for t, number in layers:
        if t.component is None:
            numbers.setdefault(t.stack, set()).add(number)
    for stack, present in numbers.items():
        if depth and depth <= max(present) < 2 * depth:
            found |= {(stack, number) for number in present if number >= depth}
    return found


def _matrices(
    tensors: Iterable[Tensor], roles: Mapping[str, Role], block_type: str
) -> list[Tensor]:
    """2-D weights of one block type outside layers of the text model, companions left out."""
    return [
        (name, shape, dtype)
        for name, shape, dtype in tensors
        if len(shape) == 2
        and (role := roles[name]).block_type == block_type
        and role.component in ("text", "encoder", "decoder", "adapter")
        and role.layer_index is None
        and not role.is_bias
        and not role.is_buffer
        and not is_companion(name)
    ]


def input_embedding(
    tensors: Iterable[Tensor], roles: Mapping[str, Role], config: Mapping[str, Any]
) -> str | None:
    """Name of the token embedding of the text model; None if it has none.

    Of several tables the shared one is preferred, then one with `vocab_size` rows, then the
    encoder's. Embeddings of vision, audio and MTP parts do not count.
    """
    vocabulary = ModelConfig(config).number("vocab_size")
    order = ("encoder", "text", "decoder", "adapter")

    def rank(tensor: Tensor) -> tuple[Any, ...]:
        name, shape, _ = tensor
        shared = "shared" in name.split(".")
        return not shared, shape[0] != vocabulary, order.index(roles[name].component), name

    tables = [
        tensor
        for tensor in _matrices(tensors, roles, "embedding")
        if roles[tensor[0]].projection == "embed_tokens"
    ]
    return min(tables, key=rank)[0] if tables else None


def output_head(
    tensors: Iterable[Tensor], roles: Mapping[str, Role], config: Mapping[str, Any]
) -> str | None:
    """Name of the matrix that computes the logits of tokens; None if none is stored.

    None means tied to the embedding, or no language model at all (see `tied`). A head that is
    stored although the config ties it is returned; whether both have the same bytes is not checked
    here.
    """
    tensors = list(tensors)
    shapes = {name: shape for name, shape, _ in tensors}
    embedding = input_embedding(tensors, roles, config)
    sizes = [shapes[embedding][0] if embedding else None, ModelConfig(config).number("vocab_size")]
    vocabularies = [size for size in sizes if size]

    def has_token_rows(tensor: Tensor) -> bool:
        name, shape, dtype = tensor
        if dtype in INTEGERS:  # packed: rows are not tokens
            return roles[name].projection == "lm_head"
        if roles[name].projection == "classifier":
            return shape[0] in vocabularies
        # Other names may be heads of other tasks. The head of a language model differs from the
        # embedding by padding and a few extra tokens, not by a factor.
        close = any(size / 2 <= shape[0] <= 2 * size for size in vocabularies)
        return roles[name].projection == "lm_head" and (
            "lm_head" in name or close or not vocabularies
        )

    heads = [name for name, *_ in filter(has_token_rows, _matrices(tensors, roles, "output"))]
    return min(heads, key=lambda name: (name.count("."), name)) if heads else None


class TokenTables(NamedTuple):
    """Names of the stored token embedding and of a separate output layer; whether they are tied.

    `tied` is None if nothing indicates an output layer. `assumed`: nothing but the kind of model
    indicates that the stored output layer is the embedding.
    """

    embedding: str | None
    output: str | None
    tied: bool | None
    assumed: bool = False


def token_tables(
    tensors: Iterable[Tensor],
    roles: Mapping[str, Role],
    config: Mapping[str, Any],
    aliases: Mapping[str, str],
) -> TokenTables:
    """The token embedding and the output layer of a checkpoint.

    `aliases` are further names of stored tensors, `roles` has theirs too. Of tied tensors any one
    may be stored: the embedding is the stored output layer if an alias or the config says so.
    """
    tensors = list(tensors)
    stored = {name: (shape, dtype) for name, shape, dtype in tensors}
    named = [*tensors, *((name, *stored[other]) for name, other in aliases.items())]
    embedding = input_embedding(named, roles, config)
    output = output_head(named, roles, config)
    embedding, output = (aliases.get(name, name) if name else None for name in (embedding, output))
    if embedding is not None and embedding == output:
        return TokenTables(embedding, None, True)
    by_default = ModelConfig(config).ties_by_default
    if embedding is None and output and (states_tied(config) or by_default):
        return TokenTables(output, None, True, assumed=by_default)
    return TokenTables(embedding, output, tied(embedding, output, config))


def states_tied(config: Mapping[str, Any]) -> bool:
    """Whether the config says that the output layer is the embedding."""
    return True in ModelConfig(config).stated_ties


def tied(embedding: str | None, output: str | None, config: Mapping[str, Any]) -> bool | None:
    """Whether the embedding is also the output layer; None if there is no sign of one.

    `embedding` and `output` are the stored tensors. An encoder has no output layer over tokens. If
    the config states nothing, the class of the model decides: loaders tie the heads of language
    models by default.
    """
    if not embedding:
        return None
    stated = ModelConfig(config).stated_ties
    if output or (False in stated and True not in stated):
        return False
    classes = ModelConfig(config).architectures
    has_head = any(head in name for name in classes for head in LANGUAGE_HEADS)
    return True if has_head or True in stated else None
