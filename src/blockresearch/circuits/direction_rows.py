"""Rows of the table directions: leading singular directions, named by the tokens at their ends.

What is read from the residual stream is seen through the token embedding. What is written is seen
through the output layer, with the scale of the final norm folded in. The tables of tokens are read
once for the directions of all layers.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from blockresearch.checkpoint.manifest import Manifest, Tensor
from blockresearch.circuits import norms
from blockresearch.circuits.directions import Direction
from blockresearch.circuits.lens import Ends, Lens
from blockresearch.circuits.reading import Reader
from blockresearch.model_config import ModelConfig
from blockresearch.weights.quantized.source import Contradiction
from blockresearch.weights.reading import open_tensor, panels
from blockresearch.weights.weight import weight_of

PANEL_BYTES = 8 * 2**20

Row = dict[str, Any]


@dataclass(frozen=True)
class Tokens:
    """The tokens of one table: texts by row, and the rows that may be shown, bool [rows]."""

    texts: list[str]
    kept: np.ndarray


def direction_rows(
    manifest: Manifest,
    files: Mapping[str, Path],
    directions: Sequence[Direction],
    embedding: Tokens,
    output: Tokens | None,
    threads: int = 1,
) -> Iterator[Row]:
    """A row for each of `directions`, whose size is the width of the tables of tokens; `files` are
    the shards of these tables and of the final norm by name, `output` the tokens of a separate
    output layer. Nothing without a token embedding.

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
    final = final_scales(manifest, files)
    seen = [
        _behind(each.vector, final.get(each.row["component"])) if each.is_written else each.vector
        for each in directions
    ]
    named: dict[int, Row] = {}
    for is_written, lens in ((False, read), (True, write)):
        some = [
            at
            for at, each in enumerate(directions)
            if each.is_written == is_written and len(each.vector) == lens.width
        ]
        if some:
            tokens = written if is_written and written else embedding
            ends = lens.ends(np.stack([seen[at] for at in some]))
            named |= {at: _named(ends, place, lens, tokens) for place, at in enumerate(some)}
    for at, row in sorted(named.items()):
        yield directions[at].row | row


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
