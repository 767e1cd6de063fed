"""From a parameter's name to its role: component, layer, block, projection, expert.

The names of a whole checkpoint are read together. Names that differ in numbers only share a
template (`layers.#.mlp.gate.weight`), which is resolved once: component, layer, expert, block, by
the tables in `name_patterns`. Neighbours decide what a name alone leaves open: whether a stack is
the decoder of two, whether `w2` is a gate, whether `fc1` holds gate and up together.

`Role.projection` reads `[context ]name`:

    context   cross_attention, indexer, compressor, attention (gates only) before the name of an
              attention matrix; lora_A and the like before the parameter of an adapter
    name      q_proj k_proj v_proj o_proj qkv_proj gate_proj up_proj down_proj gate_up_proj,
              whatever the model calls them, with `shared_` in front in a shared expert;
              embed_tokens for a table of tokens; lm_head, classifier, transform (the dense layer
              before a head); layer_scale; else the module's own name: q_a_proj,
              kv_a_proj_with_mqa, input_layernorm, q_norm, A_log, in_proj_qkvz, sinks ...

What `block_type` leaves to choice: matrices that serve several of q, k and v (MLA's kv_* too) are
`qkv_proj`; token types and segments are `position_embedding`; patch embeddings are `conv`; poolers
and projectors are `mlp`; attention sinks are `bias`; updates of a router's balance are `router`.
`is_bias` marks additive biases; a companion of a quantised weight has the role of its owner.

Two stacks of one component (a recurrent model's inner and outer module) share layer numbers.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from workflow.lib import name_patterns as patterns
from workflow.lib.name_patterns import component_of, find_block, nearest_zone, whole_words, zone_of

Tensor = tuple[str, tuple[int, ...], str]  # name, shape, safetensors dtype

LONGEST_NAME = 512  # no model's parameter has a longer name; a hostile header may
MLP = {"gate_proj", "up_proj", "down_proj", "gate_up_proj", "mlp"}
ATTENTION = {"q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj"}
INTEGERS = {"BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64"}
TEXT_CONFIGS = ("text_config", "llm_config", "language_config", "thinker_config")

_NUMBER = re.compile(r"((?<![^.])[0-9]{1,9}(?![^.])|(?<=\.expert_)[0-9]{1,9}(?![^.]))")
_STACK_SIDE = re.compile(r"(?:.*_)?(encoder|decoder)")
_CONTAINER = whole_words(patterns.LAYER_CONTAINERS)
_LAYER_LIST = whole_words(patterns.LAYER_LISTS)
_NO_CONTAINER = whole_words(patterns.NOT_LAYERS)
_ADAPTER = whole_words(patterns.ADAPTER_PARAMETERS)
_PRIORITY = tuple(dict.fromkeys(row.name for row in patterns.COMPONENTS))


@dataclass(frozen=True, slots=True)
class Role:
    """Place of one stored tensor in its model."""

    component: str  # text vision audio projector encoder decoder mtp adapter
    layer_index: int | None  # number of the repeated block in its component; None outside
    block_type: str
    projection: str | None
    expert_index: int | None  # of a routed expert that is stored by itself
    is_bias: bool
    is_buffer: bool  # not learned: rotary frequencies, masks, position ids, counters


class _Template(NamedTuple):
    """What a name says by itself. `prefix` and `path` leave out the numbers."""

    prefix: tuple[str, ...]  # segments above the container of the layers; () outside layers
    path: tuple[str, ...]  # from that container (or the start) to the module
    leaf: str  # "weight", "bias", ...; "" of a bare parameter
    suffix: int  # characters of a quantisation suffix at the end of the name; 0 without
    layer: int | None  # which of the numbers in the name is the layer
    expert: int | None
    adapter: str  # "lora_A" and the like
    component: str | None  # None where the words leave it open

    @property
    def stack(self) -> tuple[str, ...]:
        """Path of the container of the layers."""
        return self.prefix + self.path[:1]

    @property
    def module(self) -> tuple[str, ...]:
        """Path of the module's parent: what stands beside it is its neighbour."""
        return self.prefix + self.path[:-1]


@lru_cache(16384)
def _take_apart(template: str) -> _Template:
    name = template
    if template.startswith("base_model."):
        name = template.removeprefix("base_model.").removeprefix("model.")
    suffix = patterns.QUANTISATION.search(name)
    segments = (name[: suffix.start()] if suffix else name).split(".")
    adapter = next((s for s in segments if _ADAPTER.fullmatch(s.lower())), "")
    if adapter:
        segments = segments[: segments.index(adapter)]
    found = {component_of(segment) for segment in segments}
    component = next((c for c in _PRIORITY if c in found), None)
    segments = [segment for segment in segments if segment not in patterns.WRAPPERS]
    leaf = "weight" if suffix or adapter else ""
    if not leaf:
        while len(segments) > 1 and segments[-1].lower() in patterns.LEAVES:
            leaf = segments.pop().lower()

    layer = expert = None
    start, number = 0, -1
    for i, segment in enumerate(segments):
        above = segments[i - 1].lower() if i else ""
        number += "#" in segment
        if segment == "#" and layer is None and not _NO_CONTAINER.fullmatch(above):
            holds_module = i + 1 < len(segments) or leaf not in ("", "weight", "bias")
            if (holds_module and _CONTAINER.fullmatch(above)) or _LAYER_LIST.fullmatch(above):
                layer, start = number, i - 1
        numbers_expert = segment == "expert_#" or (segment == "#" and zone_of(above) == "expert")
        if numbers_expert and expert is None:
            expert = number
    return _Template(
        prefix=tuple(s for s in segments[:start] if s != "#"),
        path=tuple(s for s in segments[start:] if s != "#"),
        leaf=leaf,
        suffix=len(name) - suffix.start() if suffix else 0,
        layer=layer,
        expert=expert,
        adapter=adapter,
        component="adapter" if adapter or name is not template else component,
    )


def _side(segments: tuple[str, ...]) -> str | None:
    sides = filter(None, map(_STACK_SIDE.fullmatch, map(str.lower, segments)))
    return next((side[1] for side in sides), None)


def _dims(shape: tuple[int, ...]) -> int:
    """Number of dimensions; three of which one has a single entry are a matrix."""
    return 2 if len(shape) == 3 and 1 in shape else len(shape)


class _Checkpoint:
    """What the templates of a checkpoint say together."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], config: Mapping[str, Any]):
        """`shapes`: of one example of each template."""
        self.shapes = shapes
        self.templates = {text: _take_apart(text) for text in shapes}
        layered = [t for t in self.templates.values() if t.layer is not None]
        self.stacks = {t.prefix[:n] for t in layered for n in range(1, len(t.prefix) + 1)}
        sides = {_side(t.prefix) for t in layered if t.component is None}
        self.two_sided = len(sides) > 1 or config.get("is_encoder_decoder") is True

        neighbours: dict[tuple[str, ...], set[str]] = {}
        for t in self.templates.values():
            neighbours.setdefault(t.module, set()).update(t.path[-1:])
        self.dialects = {module: _dialect(words) for module, words in neighbours.items()}
        self.paths = {text: self._path(t) for text, t in self.templates.items()}
        self.blocks = {text: find_block(path) for text, path in self.paths.items()}

        zones = {zone_of(segment) for path in self.paths.values() for segment in path}
        self.has_experts = bool(zones & {"expert", "router"})
        self.fused = self._modules_with_fused_gate()
        self.default_component = self._default_component()

    def _above(self, t: _Template) -> tuple[str, ...]:
        """The part of a name that names a model: all that lies above layers."""
        if t.layer is not None:
            return t.prefix
        n = 0
        while n + 1 < len(t.path) and t.path[: n + 1] in self.stacks:
            n += 1
        return t.path[:n]

    def _path(self, t: _Template) -> tuple[str, ...]:
        """Path of the module, from the model that holds the layers, in the common dialect."""
        path = t.path if t.layer is not None else t.path[len(self._above(t)) :]
        reading = self.dialects[t.module]
        if path and path[-1] in reading:
            path = path[:-1] + tuple(reading[path[-1]].split("."))
        return path

    def _modules_with_fused_gate(self) -> set[tuple[str, ...]]:
        """Modules whose up projection is twice as large as the down projection."""
        sizes: dict[tuple[str, ...], dict[str, int]] = {}
        for text, found in self.blocks.items():
            block = found and found[0]
            if block and block.block_type in MLP and len(self.shapes[text]) > 1:
                module = sizes.setdefault(self.templates[text].module, {})
                module[block.block_type] = math.prod(self.shapes[text])
        return {
            module
            for module, size in sizes.items()
            if "gate_proj" not in size and size.get("up_proj", -1) == 2 * size.get("down_proj", 0)
        }

    def _default_component(self) -> str:
        """Component of names that do not tell: without a table of tokens a model is no text."""
        kernels = [2]
        for text, found in self.blocks.items():
            block = found and found[0]
            if block and block.projection == "embed_tokens":
                return "text"
            shape = self.shapes[text]
            if block and block.block_type == "conv" and len(shape) > 2 and shape[1] > 1:
                kernels.append(len(shape))
        return {2: "text", 3: "audio"}.get(max(kernels), "vision")

    def component(self, t: _Template) -> str:
        if t.component is None and self.default_component == "text" and self.two_sided:
            return _side(self._above(t)) or "text"
        return t.component or self.default_component

    def block(self, text: str, dims: int, is_buffer: bool) -> tuple[str, str | None, bool]:
        """Block type, projection and is_bias; `dims` of the module's weight (0 without one)."""
        t, path, found = self.templates[text], self.paths[text], self.blocks[text]
        if is_buffer and (of_norm := find_block(path[:-1])) and of_norm[0].block_type == "norm":
            found = of_norm
        row, name = found or (None, path[-1] if path else None)
        block_type = row.block_type if row else "other"
        projection = row.projection.replace("*", name or "") if row else name
        zones = {zone_of(segment) for segment in path}
        bare_bias = not t.leaf and bool(path) and path[-1].lower().endswith(("_bias", "_biases"))
        bare = not t.leaf and not bare_bias and not str(name).endswith("_scale")
        vague = row is None or row in patterns.FALLBACKS

        if is_buffer:
            pass
        elif vague and name and dims == 1 and t.leaf in ("weight", "bias") and not t.adapter:
            block_type, projection = "norm", name
        elif row is None and t.leaf == "bias":
            block_type = "bias"
        elif dims > 3 and block_type not in ("norm", "position_embedding"):
            block_type = "conv"
        elif bare and (
            (dims < 2 and block_type in MLP | ATTENTION)
            or (block_type in ATTENTION and nearest_zone(path) != "attention")
        ):
            block_type, projection = "other", name
        elif projection == "lm_head" and self.component(t) in ("vision", "projector"):
            block_type, projection = "mlp", name
        elif block_type == "up_proj" and t.module in self.fused:
            block_type = projection = "gate_up_proj"

        is_shared = "shared" in zones and self.has_experts
        is_expert = is_shared or "expert" in zones or (block_type in MLP and dims == 3)
        gate = (projection or "").removeprefix("attention ")
        if block_type in ATTENTION or gate != projection:
            contexts = list(filter(None, map(patterns.context_of, t.prefix + t.path)))
            projection = " ".join([*dict.fromkeys(contexts), gate]) if contexts else projection
        if is_expert and block_type in MLP | ATTENTION | {"other", "bias"}:
            block_type = "moe"
            projection = f"shared_{projection}" if is_shared else projection
        if t.adapter:
            projection = f"{t.adapter} {projection or ''}".strip()
        is_bias = t.leaf in ("bias", "beta") or bare_bias or block_type == "bias"
        is_bias = is_bias and not is_buffer and block_type != "position_embedding"
        return block_type, projection, is_bias


def _dialect(words: set[str]) -> Mapping[str, str]:
    for present, absent, reading in patterns.DIALECTS:
        if words.issuperset(present.split()) and words.isdisjoint(absent.split()):
            return reading
    return {}


def _depth(config: Mapping[str, Any]) -> int | None:
    """Depth of the text model; None where the config does not say it in so many words."""
    inner = [config[key] for key in TEXT_CONFIGS if isinstance(config.get(key), Mapping)]
    for part in [*inner, config]:
        for key in ("num_hidden_layers", "n_layer", "n_layers"):
            if type(part.get(key)) is int and part[key] > 0:
                return part[key]
    return None


def _split(name: str) -> tuple[str, list[str]]:
    """The template of a name, with "#" for its numbers, and the numbers."""
    if len(name) > LONGEST_NAME or "#" in name:
        return "?", []
    parts = _NUMBER.split(name)
    return "#".join(parts[::2]), parts[1::2]


def classify(tensors: Iterable[Tensor], config: Mapping[str, Any]) -> dict[str, Role]:
    """Role of every tensor of a checkpoint.

    `tensors` is the whole checkpoint, because neighbours decide some cases. `config` is
    config.json; a value of the wrong type in it counts as missing. Nothing is raised whatever the
    names are: what the tables do not know is `other`.
    """
    stored = {name: (tuple(shape), dtype) for name, shape, dtype in tensors}
    config = config if isinstance(config, Mapping) else {}
    names = {name: _split(name) for name in stored}
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
    mtp_layers = _mtp_layers({(templates[text], n) for text, n in layers}, depth=_depth(config))

    roles: dict[str, Role] = {}
    kinds: dict[tuple[str, int, int, bool], tuple[str, str, str | None, bool, bool]] = {}
    for name, (shape, dtype) in stored.items():
        text, numbers = names[name]
        t = templates[text]
        dims = _dims(shape)
        is_code = False
        if t.suffix or t.leaf == "bias":
            owner = name[: -t.suffix] if t.suffix else name.removesuffix(".bias")
            weight = stored.get(f"{owner}.weight") or stored.get(owner)
            dims = _dims(weight[0]) if weight else 0
        elif dtype in INTEGERS:
            is_code = name.rpartition(".")[0] not in owners and not (packed and len(shape) > 1)
        key = (text, dims, len(shape), is_code)
        if key not in kinds:
            is_buffer = is_code or patterns.is_unlearned(name.rpartition(".")[2], len(shape))
            kinds[key] = (
                checkpoint.component(t),
                *checkpoint.block(text, dims, is_buffer),
                is_buffer,
            )
        component, block_type, projection, is_bias, is_buffer = kinds[key]
        layer = None if t.layer is None else int(numbers[t.layer])
        expert = None if t.expert is None else int(numbers[t.expert])
        if component == "text" and layer is not None and (t.stack, layer) in mtp_layers:
            component = "mtp"
        roles[name] = Role(component, layer, block_type, projection, expert, is_bias, is_buffer)
    return roles


def _mtp_layers(
    layers: set[tuple[_Template, int]], depth: int | None
) -> set[tuple[tuple[str, ...], int]]:
    """Layers of the main stack that predict further tokens.

    They say so by a module of theirs, or their number is beyond the config's depth: they are
    few, so a stack twice as deep as the config says is no case of it.
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
        and not patterns.is_companion(name)
    ]


def _vocabulary_size(config: Mapping[str, Any]) -> int | None:
    config = config if isinstance(config, Mapping) else {}
    inner = [config[key] for key in TEXT_CONFIGS if isinstance(config.get(key), Mapping)]
    sizes = [part["vocab_size"] for part in [*inner, config] if type(part.get("vocab_size")) is int]
    return next((size for size in sizes if size > 0), None)


def input_embedding(
    tensors: Iterable[Tensor], roles: Mapping[str, Role], config: Mapping[str, Any]
) -> str | None:
    """Name of the token embedding of the text model; None if it has none.

    Of several tables the shared one goes first, then the encoder's, then one with as many rows as
    the config names tokens. Embeddings of vision, audio and MTP parts do not count.
    """
    vocabulary = _vocabulary_size(config)
    order = ("encoder", "text", "decoder", "adapter")

    def rank(tensor: Tensor) -> tuple[Any, ...]:
        name, shape, _ = tensor
        shared = "shared" in name.split(".")
        return not shared, order.index(roles[name].component), shape[0] != vocabulary, name

    tables = [
        tensor
        for tensor in _matrices(tensors, roles, "embedding")
        if roles[tensor[0]].projection == "embed_tokens"
    ]
    return min(tables, key=rank)[0] if tables else None


def output_head(
    tensors: Iterable[Tensor], roles: Mapping[str, Role], config: Mapping[str, Any]
) -> str | None:
    """Name of the matrix that gives the logits of tokens; None where none is stored.

    None means tied to the embedding, or no language model at all. A head that is stored although
    the config ties it is returned: whether both hold the same bytes is for the caller to see.
    """
    tensors = list(tensors)
    shapes = {name: shape for name, shape, _ in tensors}
    embedding = input_embedding(tensors, roles, config)
    sizes = [shapes[embedding][0] if embedding else None, _vocabulary_size(config)]
    vocabularies = [size for size in sizes if size]

    def speaks_tokens(tensor: Tensor) -> bool:
        name, shape, dtype = tensor
        if dtype in INTEGERS:  # packed: rows are not tokens
            return roles[name].projection == "lm_head"
        if roles[name].projection == "classifier":
            return shape[0] in vocabularies
        # Paddings and a few extra tokens set the head apart from the embedding, not a factor.
        close = any(size / 2 <= shape[0] <= 2 * size for size in vocabularies)
        return roles[name].projection == "lm_head" and (close or not vocabularies)

    heads = [name for name, *_ in filter(speaks_tokens, _matrices(tensors, roles, "output"))]
    return min(heads, key=lambda name: (name.count("."), name)) if heads else None
