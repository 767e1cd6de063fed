"""From a manifest to the attention of each layer, read through `weights`.

Fused, transposed and quantized weights are read as the matrices that they stand for, so that all
layouts reduce to q, k, v and o. Sizes have to agree with the heads that config.json states. What is
not defined, such as the heads of latent attention, gives the reason instead of a guess.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import numpy as np

from blockresearch.checkpoint.layer_groups import Key
from blockresearch.checkpoint.manifest import Manifest, Tensor
from blockresearch.circuits import norms
from blockresearch.circuits.layer import Attention, Layer, Missing
from blockresearch.circuits.places import Norm, Place, attention_places, head_counts
from blockresearch.circuits.rotary import rotary_pairs
from blockresearch.model_config import ModelConfig
from blockresearch.weights.heads import PROJECTIONS, split_heads
from blockresearch.weights.layout import Matrix
from blockresearch.weights.quantized.source import Contradiction
from blockresearch.weights.reading import open_tensor, row_starts, whole
from blockresearch.weights.weight import weight_of

PANEL_BYTES = 32 * 2**20

Named = Mapping[str, np.ndarray]


def read_layers(
    manifest: Manifest, files: Mapping[str, Path], layers: Collection[Key]
) -> Iterator[Layer]:
    """The attention of those of `layers` that have any, in order, read when it is their turn;
    `files` are the shards by name."""
    blocks: dict[Key, list[Place]] = {}
    for place in attention_places(manifest):
        if (place.component, place.layer) in layers:
            blocks.setdefault((place.component, place.layer), []).append(place)
    for (component, index), places in blocks.items():
        found = [_attention(manifest, files, place) for place in places]
        yield Layer(
            component,
            index,
            tuple(each for each in found if isinstance(each, Attention)),
            tuple(each for each in found if isinstance(each, Missing)),
        )


class Reader:
    """Reads tensors of a model whose shards lie in `files`."""

    def __init__(self, manifest: Manifest, files: Mapping[str, Path]):
        self.manifest, self.files = manifest, files

    def matrices(
        self, tensor: Tensor, kind: type[np.floating] = np.float64
    ) -> dict[str, np.ndarray]:
        """The matrices [out, in] of a tensor by their piece of a fused projection, else "", as
        numbers of a `kind`."""
        weight = weight_of(tensor, tensor.layout, self.manifest.by_name)
        source = open_tensor(self.files, weight)
        parts = weight.matrices() or (weight.whole(),)
        return {part.piece: whole(source, part, PANEL_BYTES, kind) for part in parts}

    def values(self, tensor: Tensor) -> np.ndarray:
        """The elements [n] of a vector."""
        return np.concatenate([part.reshape(-1) for part in self.matrices(tensor).values()])

    def norm(self, pair: Norm, adds_one: bool) -> tuple[np.ndarray, np.ndarray | None]:
        """Scale [n] and offset of a norm; a scale of 1 without a weight."""
        weight, bias = pair
        scale = self.values(weight) + adds_one if weight else np.ones(1)
        return scale, None if bias is None else self.values(bias)


def _attention(manifest: Manifest, files: Mapping[str, Path], place: Place) -> Attention | Missing:
    """The heads of one attention block, or why there are none."""
    reason = _refusal(place)
    if reason:
        return Missing(place.role, reason)
    reader = Reader(manifest, files)
    try:
        matrices, biases = _parts(reader, place)
    except Contradiction as error:
        return Missing(place.role, str(error))
    counts = head_counts(manifest, place.component)
    if counts is None:
        return Missing(place.role, "config.json states no number of heads")
    heads, groups = counts
    rows = [len(matrices[name]) for name in PROJECTIONS]
    size, value_size = rows[1] // groups, rows[2] // groups
    wanted = [heads * size, groups * size, groups * value_size]
    width = matrices["o_proj"].shape[1]
    if heads % groups or rows[:3] != wanted or width != heads * value_size:
        shapes = ", ".join(f"{name} {list(matrices[name].shape)}" for name in PROJECTIONS)
        return Missing(
            place.role, f"{heads} heads and {groups} key-value heads do not fit {shapes}"
        )
    return _folded(reader, place, matrices, biases, heads, groups)


def _refusal(place: Place) -> str:
    """Why the matrices of a block cannot be told apart; empty if they can."""
    for block, tensors in place.weights.items():
        if len(tensors) > 1 and block in PROJECTIONS:
            return "several stacks share the number of this layer"
        for tensor in tensors:
            if tensor.layout.kind == "unsupported":
                return f"{tensor.name}: {tensor.layout.reason}"
    fused = place.weights.get("qkv_proj", [])
    pieces = {piece.name for tensor in fused for piece in tensor.layout.pieces}
    absent = [name for name in PROJECTIONS if name not in pieces and name not in place.weights]
    if not absent:
        return ""
    why = fused[0].layout.reason or "they are made from a latent vector" if fused else ""
    return f"no {', '.join(absent)}{': ' if why else ''}{why}"


def _parts(reader: Reader, place: Place) -> tuple[Named, Named]:
    """Matrices [out, in] and biases [out] of q, k, v and o, zeros without biases."""
    matrices: dict[str, np.ndarray] = {}
    for block, tensors in place.weights.items():
        for tensor in tensors:
            read = reader.matrices(tensor)
            matrices |= read if block == "qkv_proj" else {block: read[""]}
    biases = {name: np.zeros(len(matrices[name])) for name in PROJECTIONS}
    for block, tensor in place.biases.items():
        values = reader.values(tensor)
        if block in biases and len(values) == len(biases[block]):
            biases[block] = values
        elif len(place.weights.get(block, ())) == 1:
            for piece in place.weights[block][0].layout.pieces:
                rows = row_starts(Matrix(piece.rows, 1, piece.first, piece.steps))
                biases[piece.name] = values[rows]
    return matrices, biases


def _folded(
    reader: Reader, place: Place, matrices: Named, biases: Named, heads: int, groups: int
) -> Attention:
    """The heads with norms folded in."""
    config = reader.manifest.config
    facts = ModelConfig(config)
    adds_one = norms.adds_one(facts, place.component)

    def scale(name: str) -> np.ndarray:
        return reader.norm(place.norms[name], adds_one)[0]

    parts = {name: (matrices[name], biases[name]) for name in PROJECTIONS}
    norm = norms.norm_before(place.norms, place.role, facts)
    if norm is not None:
        gamma, beta = reader.norm(place.norms[norm], adds_one)
        is_centered = norms.is_centered(facts, beta)
        # Keys and values of a cross attention come from another stack, normalized at its end.
        for name in ("q_proj", "k_proj", "v_proj") if place.role == "self" else ("q_proj",):
            parts[name] = norms.fold(*parts[name], gamma, beta, is_centered)
    split = {
        name: (split_heads(matrix, len(matrix) // count, False), bias.reshape(count, -1))
        for name, count in (("q_proj", heads), ("k_proj", groups), ("v_proj", groups))
        for matrix, bias in [parts[name]]
    }
    is_normalized = facts.flag("use_qk_norm")
    for name, of_this in (("q_proj", norms.QUERY_NORMS), ("k_proj", norms.KEY_NORMS)):
        for own in of_this:
            if own in place.norms:
                is_normalized = True
                split[name] = norms.fold_heads(*split[name], scale(own))
    (q, q_bias), (k, k_bias), (v, v_bias) = split.values()
    o, _ = parts["o_proj"]
    is_rescaled = norms.is_output_rescaled(place.norms)
    if is_rescaled:
        o *= scale(norms.OUTPUT_NORM)[:, None]
    rotary = rotary_pairs(config, place.component, place.layer, q.shape[1])
    return Attention(
        role=place.role,
        q=q,
        k=k,
        v=v,
        # In one piece for each head: products of columns that are apart take twice as long.
        o=np.ascontiguousarray(split_heads(o, v.shape[1], True).transpose(0, 2, 1)),
        q_bias=q_bias,
        k_bias=k_bias,
        v_bias=v_bias,
        norm=norm,
        is_normalized=is_normalized,
        is_rescaled=is_rescaled,
        rotary=rotary if place.role == "self" else None,
    )
