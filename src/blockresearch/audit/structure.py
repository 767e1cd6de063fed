"""The audit's checks of structure: missing or unexpected tensors, shapes and dtypes.

Two sources define what is expected: config.json, with numbers of layers and, for the architectures
of PLAIN, all shapes; and the other layers, because layers of one stack are alike. A layer of
another kind (dense among mixtures of experts, linear among full attention) has other tensors than
its neighbors, so it is never called incomplete.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from blockresearch.audit.finding import FEWEST_SIBLINGS, NUMBER, AuditFinding, family
from blockresearch.checkpoint.manifest import Manifest
from blockresearch.language.sentence import say
from blockresearch.model_config import ModelConfig

# Architectures whose tensors have the shapes that `_expected` derives from config.json.
PLAIN = frozenset("gemma gemma2 gemma3_text llama mistral qwen2 qwen3 smollm3".split())

# Their classes, and those that build their text model from one of these by its config. Drafts
# (EAGLE, Medusa) and other classes give the same names other shapes.
PLAIN_CLASS = re.compile(
    r"(Gemma[23]?|Llama|Mistral|Qwen[23]|SmolLM3)(TextModel|Model|ForCausalLM|For\w+Classification)"
    r"|(Gemma3|PaliGemma|Llava(Next)?|Mistral3)ForConditionalGeneration"
)

# Classes of models that generate tokens.
GENERATES = ("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")

# Tensors and keys that only drafts have, which share the embedding or the head of another model.
DRAFT_NAMES = re.compile(r"(?:^|\.)(?:fc|midlayer|medusa_head|d2t|t2d)(?:\.|$)")
DRAFT_KEYS = ("draft_vocab_size", "eagle_config", "medusa_num_heads", "speculators_model_type")

# Where config.json counts the layers of a component: parts of it (none = the whole), and keys.
LAYER_KEYS = {
    # The first two are for shared layers (ALBERT) and for layers stacked in modules (HRM).
    "text": (
        *("num_hidden_groups", "num_layers_per_stack"),
        *("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    ),
    "encoder": ("encoder_layers", "num_encoder_layers", "num_layers"),
    "decoder": ("decoder_layers", "num_decoder_layers"),
    "vision": ("num_hidden_layers", "depth", "num_layers"),
    "audio": ("num_hidden_layers", "encoder_layers", "num_layers"),
}

# Share of layers up to which a difference counts as an exception (one layer always does).
RARE = 0.05

FEW_OTHERS = 0.1

NAMED = 3

# What is read of the table params: rows of all its columns would take five times as long.
COLUMNS = (
    "param_name component layer_index block_type shape rows cols numel dtype quantisation".split()
)


def findings(
    manifest: Manifest, params: pd.DataFrame, coverage: pd.DataFrame
) -> Iterator[AuditFinding]:
    """All findings about names, shapes and types of the stored tensors."""
    if not manifest.tensors:
        yield AuditFinding(
            "error",
            "missing_tensor",
            "all tensors",
            say("the headers list no tensor at all"),
            "the export failed, or wrote the weights elsewhere",
        )
    # An adapter may change any of the layers, and any weights in them.
    of_model = params[params["component"] != "adapter"]
    is_adapter = manifest.adapter is not None or (len(params) > 0 and not len(of_model))
    if is_adapter or not manifest.tensors:
        return
    rows = of_model[COLUMNS].assign(family=of_model["param_name"].map(family))
    config = manifest.config
    if _is_draft(config, rows):
        # It may name the class of the model that it drafts for, but has other tables and shapes.
        config = {**config, "architectures": []}
    misshaped = list(_against_config(config, rows))
    told = {finding.where for finding in misshaped}
    yield from misshaped
    yield from (finding for finding in _odd_shapes(rows) if finding.where not in told)
    yield from _layers(config, rows)
    unread = coverage.loc[coverage["status"] == "unsupported", "param_name"]
    yield from _alike(config, rows, set(unread.map(family)))
    yield from _types(rows)
    yield from _tokens(manifest, config, rows)
    if manifest.asked is None:
        yield from _width(config, rows)


def _is_draft(config: Mapping[str, Any], rows: pd.DataFrame) -> bool:
    """Whether the tensors draft tokens for another model, as those of EAGLE and Medusa do."""
    text = rows[rows["component"] == "text"]
    named = text["param_name"].str.contains(DRAFT_NAMES).any()
    return bool(named) or any(config.get(key) for key in DRAFT_KEYS)


def stated_layers(config: Mapping[str, Any], component: str) -> int | None:
    """How many layers config.json gives a component; None if it gives no number."""
    keys = LAYER_KEYS.get(component, ())
    if component in ("vision", "audio"):
        return ModelConfig(config.get(f"{component}_config")).number(*keys)
    if component in ("encoder", "decoder"):
        # Not those of a nested model: the config of the decoder may state an encoder, too.
        config = {key: config[key] for key in keys if key in config}
    return ModelConfig(config).number(*keys)


def _layers(config: Mapping[str, Any], rows: pd.DataFrame) -> Iterator[AuditFinding]:
    """Missing layer numbers (between others, or by the config), and layers beyond the config."""
    for component, some in rows[rows["layer_index"].notna()].groupby("component", sort=True):
        if component == "mtp":
            yield from _beyond(config, some)
            continue
        present = set(map(int, some["layer_index"].unique()))
        depth = stated_layers(config, component)
        wanted = set(range(min(depth or max(present) + 1, 100_000)))
        missing, extra = sorted(wanted - present), sorted(present - wanted)
        stated = say("the highest is {number}", number=max(present))
        if depth:
            stated = say("config.json states {number}", number=depth)
        if missing:
            yield AuditFinding(
                "error",
                "missing_layer",
                f"{component} layers {_listed(missing)}",
                say(
                    "{count} layers are stored, {stated}; nothing is stored for {missing}",
                    count=f"{len(present):,}",
                    stated=stated,
                    missing=f"{len(missing):,}",
                ),
                "the download or the upload is incomplete, or the config is another model's",
            )
        if extra:
            yield AuditFinding(
                "warning",
                "extra_layer",
                f"{component} layers {_listed(extra)}",
                say(
                    "{count} layers are stored, {stated}", count=f"{len(present):,}", stated=stated
                ),
                "the config is another model's, or loaders ignore these layers",
            )


def _beyond(config: Mapping[str, Any], rows: pd.DataFrame) -> Iterator[AuditFinding]:
    """Layers after the last one of config.json, unless a name marks them as prediction layers."""
    declared = any("mtp" in key or "nextn" in key for key in {**config, **ModelConfig(config).text})
    silent = rows[~rows["family"].str.contains("mtp|nextn", case=False)]
    if len(silent) and not declared:
        layers = sorted(set(map(int, silent["layer_index"])))
        yield AuditFinding(
            "warning",
            "extra_layer",
            f"layers {_listed(layers)}",
            say(
                "{count} tensors, the first is {name}, are beyond the {layers} layers of "
                "config.json",
                count=len(silent),
                name=silent["param_name"].iloc[0],
                layers=stated_layers(config, "text"),
            ),
            "the config is another model's, or loaders ignore these layers",
        )


def _alike(
    config: Mapping[str, Any], rows: pd.DataFrame, unread: set[str]
) -> Iterator[AuditFinding]:
    """Single layers without a tensor that all others have, or with an additional one.

    An error between layers that have it, or if the architecture requires it in each. The first and
    the last layer of a stack may be built without it: RWKV-7 starts without values to mix, Swin
    ends without merging patches.
    """
    wanted = tuple(f".{name}" for name in _expected(config) if not name.endswith("bias"))
    for component, some in rows[rows["layer_index"].notna()].groupby("component", sort=True):
        held: dict[int, Counter[str]] = {}
        for name, layer in zip(some["family"], some["layer_index"], strict=True):
            held.setdefault(int(layer), Counter())[name] += 1
        if len(held) < FEWEST_SIBLINGS:
            continue
        few = max(1, int(RARE * len(held)))
        kinds = dict(zip(some["family"], some["block_type"], strict=True))
        usual = {}
        for name in kinds:
            (count, layers), *_ = Counter(has[name] for has in held.values()).most_common(1)
            usual[name] = count if len(held) - layers <= few else None
        first, last = min(held), max(held)
        for layer, has in sorted(held.items()):
            lacking = [
                name
                for name, count in usual.items()
                if count and has[name] < count and name not in unread
            ]
            surplus = [
                name
                for name, count in usual.items()
                if count is not None and has[name] > count and name not in unread
            ]
            # Some architectures omit the norm before the first block.
            modules = {name.rpartition(".")[0] for name in has if has[name]}
            if layer == first and all(
                kinds[name] == "norm"
                and not name.endswith(wanted)
                and name.rpartition(".")[0] not in modules
                for name in lacking
            ):
                lacking = []
            if lacking and not surplus:
                proven = first < layer < last or any(name.endswith(wanted) for name in lacking)
                yield AuditFinding(
                    "error" if proven else "warning",
                    "missing_tensor",
                    lacking[0].replace("#", str(layer), 1),
                    say(
                        "{component} layer {layer} is missing {names}, which the other {count} "
                        "layers have",
                        component=component,
                        layer=layer,
                        names=_listed(lacking),
                        count=len(held) - 1,
                    ),
                    "the download or the upload is incomplete, or a merge lost it"
                    if proven
                    else "intended at the ends of some stacks, or an incomplete download",
                )
            # The first block may contain what a stack shares, such as relative positions.
            if surplus and not lacking and layer != first:
                yield AuditFinding(
                    "warning",
                    "extra_tensor",
                    surplus[0].replace("#", str(layer), 1),
                    say(
                        "only {component} layer {layer} has {names}",
                        component=component,
                        layer=layer,
                        names=_listed(surplus),
                    ),
                    "left over from an adapter or another export; loaders ignore it",
                )


def _odd_shapes(rows: pd.DataFrame) -> Iterator[AuditFinding]:
    """A tensor whose shape differs from that of all its siblings, at least three.

    Stacks often begin or end differently (a wider first layer, the last layer of a perceptron): at
    the ends it counts only as the single such tensor of its layer.
    """
    odd = []
    plain = rows[rows["quantisation"].isna() & (rows["numel"] > 0)]
    for name, same in plain.groupby("family", sort=True):
        shapes = same["shape"].map(tuple)
        counts = shapes.value_counts()
        if "#" not in name or len(counts) != 2 or counts.iloc[1] != 1 or len(same) < 4:
            continue
        ordered = sorted(same.itertuples(), key=lambda row: _numbers(row.param_name))
        place = next(i for i, row in enumerate(ordered) if tuple(row.shape) == counts.index[1])
        odd.append((ordered[place], list(counts.index[0]), place in (0, len(ordered) - 1)))
    in_layer = Counter((row.component, row.layer_index) for row, _, _ in odd)
    for row, usual, at_end in odd:
        if at_end and (pd.isna(row.layer_index) or in_layer[row.component, row.layer_index] > 1):
            continue
        yield AuditFinding(
            "warning",
            "mis_shaped",
            row.param_name,
            say("shape {shape}, its siblings have {usual}", shape=row.shape, usual=usual),
            "a layer of another model, or truncated while it was saved",
        )


def _numbers(name: str) -> tuple[int, ...]:
    return tuple(map(int, NUMBER.findall(name)))


def _expected(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shape by the last words of a tensor's name, for the architectures of PLAIN."""
    numbers = ModelConfig(config)
    if not any(map(PLAIN_CLASS.fullmatch, numbers.architectures)):
        return {}
    width, inner = numbers.number("hidden_size"), numbers.number("intermediate_size")
    heads = numbers.number("num_attention_heads")
    if str(numbers.text.get("model_type")) not in PLAIN or not width or not inner or not heads:
        return {}
    kv = numbers.number("num_key_value_heads") or heads
    head = numbers.number("head_dim") or width // heads
    shapes: dict[str, tuple[int, ...]] = {
        "self_attn.q_proj": (heads * head, width),
        "self_attn.k_proj": (kv * head, width),
        "self_attn.v_proj": (kv * head, width),
        "self_attn.o_proj": (width, heads * head),
        "mlp.gate_proj": (inner, width),
        "mlp.up_proj": (inner, width),
        "mlp.down_proj": (width, inner),
    }
    result = {f"{name}.weight": shape for name, shape in shapes.items()}
    result |= {f"{name}.bias": shape[:1] for name, shape in shapes.items()}
    result |= {
        f"{name}.weight": (width,) for name in ("input_layernorm", "post_attention_layernorm")
    }
    return result | {"embed_tokens.weight": (0, width), "lm_head.weight": (0, width)}


def _against_config(config: Mapping[str, Any], rows: pd.DataFrame) -> Iterator[AuditFinding]:
    expected = _expected(config)
    plain = rows[(rows["component"] == "text") & rows["quantisation"].isna()]
    stored = list(zip(plain["param_name"], plain["shape"], strict=True))
    for name, shape in expected.items():
        same = [(own, found) for own, found in stored if f".{own}".endswith(f".{name}")]
        wrong = [(own, found) for own, found in same if not _fits(found, shape)]
        # The same contradiction in every layer is one finding, about the config.
        for own, found in wrong[:1] if len(wrong) == len(same) else wrong:
            shapes = {"shape": found, "required": _required(shape)}
            more = len(wrong) - 1 if len(wrong) == len(same) else 0
            yield AuditFinding(
                "error",
                "mis_shaped",
                own,
                say(
                    "shape {shape} (and {count} more like it), config.json requires {required}",
                    count=more,
                    **shapes,
                )
                if more
                else say("shape {shape}, config.json requires {required}", **shapes),
                "config.json is another model's, or the tensor was truncated; loaders refuse it",
            )


def _fits(shape: Sequence[int], wanted: tuple[int, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        w in (0, s) for s, w in zip(shape, wanted, strict=True)
    )


def _required(shape: tuple[int, ...]) -> str:
    return "[" + ", ".join(str(size) if size else "any" for size in shape) + "]"


def _types(rows: pd.DataFrame) -> Iterator[AuditFinding]:
    """Siblings stored in different types."""
    stored = rows["dtype"].where(rows["quantisation"].isna(), rows["quantisation"])
    for name, same in rows.assign(stored=stored).groupby("family", sort=True):
        counts = same["stored"].value_counts()
        if len(counts) < 2 or len(same) < FEWEST_SIBLINGS:
            continue
        others = same[same["stored"] != counts.index[0]]
        few = len(others) <= max(1, FEW_OTHERS * len(same)) and rows["quantisation"].isna().all()
        mixture = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        yield AuditFinding(
            "warning" if few else "note",
            "dtype_mixture",
            others["param_name"].iloc[0] if len(others) == 1 else name,
            say("{count} siblings are stored as {mixture}", count=len(same), mixture=mixture),
            "merged from checkpoints of different precision"
            if few
            else "some layers were kept in higher precision, as quantization often does",
        )


def _tokens(
    manifest: Manifest, config: Mapping[str, Any], rows: pd.DataFrame
) -> Iterator[AuditFinding]:
    """Token tables, and the norm between the last layer and the output, against the config."""
    name, kinds = manifest.embedding, set(rows["block_type"])
    vocabulary = ModelConfig(config).number("vocab_size")
    table = rows[rows["param_name"] == name]
    is_norm = rows["block_type"] == "norm"
    if vocabulary and len(table) and 1 < table["rows"].iloc[0] < vocabulary:
        yield AuditFinding(
            "warning",
            "vocab_size",
            str(name),
            say(
                "config.json states {stated} tokens, the embedding has {rows} rows",
                stated=f"{vocabulary:,}",
                rows=f"{table['rows'].iloc[0]:,}",
            ),
            "the config belongs to another version, or rows were lost",
        )
    classes = ModelConfig(config).architectures
    generates = any(name.endswith(GENERATES) for name in classes)
    if generates and vocabulary and not name and not kinds & {"embedding", "output"}:
        yield AuditFinding(
            "error",
            "missing_tensor",
            "token embedding",
            say(
                "config.json states {stated} tokens, and no table of tokens is stored",
                stated=f"{vocabulary:,}",
            ),
            "the download or the upload is incomplete; loaders start it at random",
        )
    known = generates and manifest.asked is None and _expected(config)
    is_text = rows["component"] == "text"
    if known and not (rows["layer_index"].isna() & is_norm & is_text).any():
        yield AuditFinding(
            "error",
            "missing_tensor",
            "final norm",
            say("there is no norm after the layers, which this architecture has"),
            "the download or the upload is incomplete; loaders start it at random",
        )
    is_untied = ModelConfig(config).stated_ties == {False}
    # The header may say that both are one table, whatever the config says.
    is_lost = not manifest.tied and not manifest.output and "output" not in kinds
    if generates and name and is_untied and is_lost:
        yield AuditFinding(
            "error",
            "missing_tensor",
            "output layer",
            say("config.json states that it is not tied to {name}, and none is stored", name=name),
            "the download or the upload is incomplete; loaders start it at random",
        )


def _width(config: Mapping[str, Any], rows: pd.DataFrame) -> Iterator[AuditFinding]:
    """A config with a hidden size that no tensor has, in any architecture."""
    width = ModelConfig(config).number("hidden_size")
    sizes = {size for shape in rows["shape"] for size in shape}
    sizes |= {*rows["rows"].dropna(), *rows["cols"].dropna()}
    if width and len(rows) and width not in sizes and not _expected(config):
        yield AuditFinding(
            "warning",
            "hidden_size",
            "config.json",
            say(
                "its hidden_size is {size}, and no tensor has a dimension of that size",
                size=f"{width:,}",
            ),
            "the config is another model's",
        )


def _listed(items: list[Any]) -> str:
    more = f" and {len(items) - NAMED} more" if len(items) > NAMED else ""
    return ", ".join(map(str, items[:NAMED])) + more
