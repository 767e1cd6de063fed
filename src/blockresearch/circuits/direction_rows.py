"""Rows of the table directions: leading singular directions, named by the tokens at their ends.

What is read from the residual stream is seen through the token embedding. What is written is seen
through the output layer, with the scale of the final norm folded in. Directions of all layers are
collected first, and the tables of tokens are read once for all.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from blockresearch.checkpoint.manifest import Manifest, Tensor
from blockresearch.circuits import norms
from blockresearch.circuits.layer import Attention
from blockresearch.circuits.lens import Ends, Lens
from blockresearch.circuits.mlps import read_mlp
from blockresearch.circuits.places import layer_norms, mlp_places
from blockresearch.circuits.reading import Reader, read_layers
from blockresearch.model_config import ModelConfig
from blockresearch.spectra.leading import leading_of_product, leading_of_rows
from blockresearch.weights.quantized.source import Contradiction
from blockresearch.weights.reading import open_tensor, panels
from blockresearch.weights.weight import weight_of

PANEL_BYTES = 32 * 2**20

# Leading directions of a circuit of a head, and of a matrix of an MLP.
OF_HEAD, OF_MLP = 2, 8

# Components whose residual stream is made of tokens.
OF_TOKENS = ("text", "decoder")

Row = dict[str, Any]


@dataclass(frozen=True)
class Tokens:
    """The tokens of one table: texts by row, and the rows that may be shown, bool [rows]."""

    texts: list[str]
    kept: np.ndarray


@dataclass(frozen=True)
class Direction:
    """A direction [d] of the residual stream; `row` is what the table states about it."""

    row: Row
    vector: np.ndarray

    @property
    def is_written(self) -> bool:
        """Whether it is seen through the output layer."""
        return self.row["side"] == "write"


def direction_rows(
    manifest: Manifest,
    files: Mapping[str, Path],
    embedding: Tokens,
    output: Tokens | None,
    threads: int = 1,
) -> Iterator[Row]:
    """A row for each side of each leading direction; `files` are the shards by name, `output` the
    tokens of a separate output layer. Nothing without a token embedding of the width of the layers.

    `threads` change no number.
    """
    tables = manifest.token_tensors
    if not tables:
        return
    read = _lens(manifest, files, tables[0], embedding, threads)
    written = output if output is not None and tables[-1].name != tables[0].name else None
    write = _lens(manifest, files, tables[-1], written, threads) if written else read
    if read is None or write is None:
        return
    found = [
        each
        for each in all_directions(manifest, files)
        if len(each.vector) == (write if each.is_written else read).width
    ]
    for is_written, lens in ((False, read), (True, write)):
        some = [each for each in found if each.is_written == is_written]
        if some:
            tokens = written if is_written and written else embedding
            ends = lens.ends(np.stack([each.vector for each in some]))
            for at, each in enumerate(some):
                yield each.row | _named(ends, at, lens, tokens)


def all_directions(manifest: Manifest, files: Mapping[str, Path]) -> Iterator[Direction]:
    """The leading directions of heads and of matrices of MLPs, layer by layer."""
    final = final_scales(manifest, files)
    for layer in read_layers(manifest, files):
        if layer.component in OF_TOKENS:
            place = {"component": layer.component, "layer_index": layer.index}
            for attention in layer.attentions:
                yield from _of_heads(place, attention, final.get(layer.component))
    of_layers = layer_norms(manifest)
    for tensor in mlp_places(manifest):
        role = tensor.role
        if role.component not in OF_TOKENS or role.layer_index is None:
            continue
        place = {"component": role.component, "layer_index": role.layer_index}
        around = of_layers.get((role.component, role.layer_index), {})
        for matrix in read_mlp(manifest, files, tensor, around):
            leading = leading_of_rows(matrix.vectors, OF_MLP)
            is_written = matrix.block == "down_proj"
            about = {"circuit": matrix.block, "side": "write" if is_written else "read"}
            for at, vector in enumerate(leading.vectors):
                facts = {
                    "direction": at,
                    "energy_share": leading.shares[at],
                    "gap": leading.gaps[at],
                }
                seen = _behind(vector, final.get(role.component)) if is_written else vector
                yield Direction(place | about | facts, seen.astype(np.float32))


def final_scales(
    manifest: Manifest, files: Mapping[str, Path]
) -> dict[str, tuple[np.ndarray, bool]]:
    """For each component the scale [d] of the norm behind its last layer, and whether that norm
    subtracts the mean. A component in which it is not known has none."""
    facts = ModelConfig(manifest.config)
    found: dict[str, list[tuple[Tensor, Tensor | None]]] = {}
    for tensor in manifest.tensors:
        role = tensor.role
        name = (role.projection or "").rpartition(" ")[2]
        is_final = role.layer_index is None and role.block_type == "norm"
        if (
            is_final
            and not role.is_bias
            and name in norms.FINAL_NORMS
            and tensor.layout.is_measured
        ):
            bias = manifest.by_name.get(tensor.name.removesuffix("weight") + "bias")
            found.setdefault(role.component, []).append((tensor, bias))
    reader = Reader(manifest, files)
    scales = {}
    for component, some in found.items():
        if len(some) == 1:
            try:
                scale, beta = reader.norm(some[0], norms.adds_one(facts, component))
            except Contradiction:
                continue
            scales[component] = scale, norms.is_centered(facts, beta)
    return scales


def _of_heads(
    place: Row, attention: Attention, final: tuple[np.ndarray, bool] | None
) -> Iterator[Direction]:
    for head in range(attention.heads):
        group = attention.kv_head(head)
        about = place | {"role": attention.role, "head": head}
        for circuit, left, right, sides in (
            ("QK", attention.q[head], attention.k[group], ("query", "key")),
            ("OV", attention.o[head].T, attention.v[group], ("write", "read")),
        ):
            if not (np.isfinite(left).all() and np.isfinite(right).all()):
                continue
            leading = leading_of_product(left, right, OF_HEAD)
            others = leading.others if leading.others is not None else leading.vectors
            for at, pair in enumerate(zip(leading.vectors, others, strict=True)):
                facts = {
                    "direction": at,
                    "energy_share": leading.shares[at],
                    "gap": leading.gaps[at],
                }
                for side, vector in zip(sides, pair, strict=True):
                    # Keys and values of a cross attention come from another stack.
                    if attention.role == "cross" and side in ("key", "read"):
                        continue
                    seen = _behind(vector, final) if side == "write" else vector
                    row = about | {"circuit": circuit, "side": side} | facts
                    yield Direction(row, seen.astype(np.float32))


def _behind(vector: np.ndarray, final: tuple[np.ndarray, bool] | None) -> np.ndarray:
    """A written direction [d] behind the final norm, but for its division."""
    if final is None or len(final[0]) not in (1, len(vector)):
        return vector
    scale, is_centered = final
    return scale * (vector - vector.mean() if is_centered else vector)


def _lens(
    manifest: Manifest, files: Mapping[str, Path], tensor: Tensor, tokens: Tokens, threads: int
) -> Lens | None:
    """The lens of a table of tokens; None if it cannot be read, or shows no token."""
    weight = weight_of(tensor, tensor.layout, manifest.by_name)
    whole = weight.whole()
    if not tensor.layout.is_measured or whole.rows != len(tokens.texts):
        return None

    def read() -> Iterator[np.ndarray]:
        for panel in panels(open_tensor(files, weight), whole, PANEL_BYTES):
            yield panel.astype(np.float32, copy=False)

    try:
        return Lens(read, tokens.kept, threads)
    except (Contradiction, ValueError):
        return None


def _named(ends: Ends, at: int, lens: Lens, tokens: Tokens) -> Row:
    """The tokens at both ends of a direction."""
    null, spread = lens.null
    row: Row = {"coherence_null": null}
    for end, name in enumerate(("top", "bottom")):
        coherence = float(ends.coherence[at, end])
        ids, scores = ends.ids[at, end], ends.scores[at, end]
        is_known = bool(np.isfinite(scores).all())
        row |= {
            f"{name}_tokens": "  ".join(tokens.texts[i] for i in ids) if is_known else None,
            f"{name}_ids": ids.tolist() if is_known else None,
            f"{name}_scores": scores.tolist() if is_known else None,
            f"{name}_coherence": coherence if is_known else None,
            f"{name}_coherence_z": (coherence - null) / spread if is_known and spread else None,
        }
    return row
