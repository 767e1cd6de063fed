"""Rows of the table directions: leading singular directions, named by the tokens at their ends.

What is read from the residual stream is seen through the token embedding. What is written is seen
through the output layer, with the scale of the final norm folded in. The tables of tokens are read
once for the directions of all layers.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from blockresearch.checkpoint.manifest import Manifest, Tensor
from blockresearch.circuits import norms
from blockresearch.circuits.computing import Computing, computed
from blockresearch.circuits.directions import Direction
from blockresearch.circuits.lens import Ends, Lens
from blockresearch.circuits.reading import Reader
from blockresearch.model_config import ModelConfig
from blockresearch.weights.quantized.source import Contradiction
from blockresearch.weights.reading import TensorReader, open_tensor
from blockresearch.weights.weight import weight_of

Row = dict[str, Any]


@dataclass(frozen=True)
class Tokens:
    """The tokens of one table: texts by row, and the rows that may be shown, bool [rows]."""

    texts: list[str]
    kept: np.ndarray


@dataclass(frozen=True)
class _Seen:
    """The ends of some directions in one table of tokens, and their null: mean and deviation."""

    ends: Ends
    null: tuple[float, float]


def direction_rows(
    manifest: Manifest,
    files: Mapping[str, Path],
    directions: Sequence[Direction],
    embedding: Tokens,
    output: Tokens | None,
    threads: int = 1,
    device: str = "cpu",
) -> Iterator[Row]:
    """A row for each of `directions`, whose size is the width of the tables of tokens; `files` are
    the shards of these tables and of the final norm by name, `output` the tokens of a separate
    output layer. Nothing without a token embedding.

    `threads` change no number. A `device` multiplies.
    """
    tables = manifest.token_tensors
    if not tables:
        return
    is_separate = output is not None and tables[-1].name != tables[0].name
    written = output if output is not None and is_separate else embedding
    sides = [(tables[0], embedding, {False}), (tables[-1], written, {True})]
    if not is_separate:
        sides = [(tables[0], embedding, {False, True})]
    final = final_scales(manifest, files)
    named: dict[int, Row] = {}
    for tensor, tokens, seen in sides:
        weight = weight_of(tensor, tensor.layout, manifest.by_name)
        whole = weight.whole()
        if not tensor.layout.is_measured or whole.rows != len(tokens.texts):
            return
        some = [
            at
            for at, each in enumerate(directions)
            if each.is_written in seen and len(each.vector) == whole.cols
        ]
        vectors = [_seen_vector(directions[at], final) for at in some]
        if not some:
            continue
        try:
            source = open_tensor(files, weight)
            look = partial(_look, source, tokens.kept, np.stack(vectors), threads)
            found = computed(device, tensor.name, look)
        except (Contradiction, ValueError):
            return
        named |= {at: _named(found, place, tokens) for place, at in enumerate(some)}
    for at, row in sorted(named.items()):
        yield directions[at].row | row


def _look(
    source: TensorReader,
    kept: np.ndarray,
    vectors: np.ndarray,
    threads: int,
    computing: Computing,
) -> _Seen:
    """The ends of `vectors` [n, d] in a table of tokens."""
    lens = Lens(computing.table(source, source.weight.whole(), threads), kept)
    return _Seen(lens.ends(vectors), lens.null)


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


def _seen_vector(direction: Direction, final: Mapping[str, tuple[np.ndarray, bool]]) -> np.ndarray:
    """A direction [d], behind the final norm, but for its division, if it is written."""
    vector = direction.vector
    known = final.get(direction.row["component"]) if direction.is_written else None
    if known is None or len(known[0]) not in (1, len(vector)):
        return vector
    scale, is_centered = known
    return scale * (vector - vector.mean() if is_centered else vector)


def _named(seen: _Seen, at: int, tokens: Tokens) -> Row:
    """The tokens at both ends of a direction."""
    ends, (null, spread) = seen.ends, seen.null
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
