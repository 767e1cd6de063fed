"""The leading singular directions of heads and of matrices of MLPs, as vectors of the residual
stream.

They are those of the weights with norms in front folded in; the norm behind the last layer is not.
A file of them is an .npz of NumPy: `rows` is the JSON of what the table directions states about
each, `vectors` has them one after the other, and `widths` their sizes.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from blockresearch.arrays.arrays import ON_CPU, Arrays
from blockresearch.checkpoint.layer_groups import Key
from blockresearch.circuits.layer import Attention, Layer
from blockresearch.circuits.mlps import MlpMatrix
from blockresearch.files import atomic
from blockresearch.spectra.leading import Leading, leading_of_product, leading_of_rows

# Leading directions of a circuit of a head, and of a matrix of an MLP.
OF_HEAD, OF_MLP = 2, 8

# Components whose residual stream is made of tokens.
OF_TOKENS = ("text", "decoder")

Row = dict[str, Any]


@dataclass(frozen=True)
class Direction:
    """A direction of the residual stream, float32 [d]; `row` is what the table states about it."""

    row: Row
    vector: np.ndarray

    @property
    def is_written(self) -> bool:
        """Whether it is seen through the output layer."""
        return self.row["side"] == "write"


def head_directions(layer: Layer) -> Iterator[Direction]:
    """The leading directions of the heads of a layer; none if its stream is not one of tokens."""
    if layer.component in OF_TOKENS:
        place = {"component": layer.component, "layer_index": layer.index}
        for attention in layer.attentions:
            yield from _of_heads(place, attention)


def mlp_directions(
    layer: Key, matrices: Iterable[MlpMatrix], arrays: Arrays = ON_CPU
) -> Iterator[Direction]:
    """The leading directions of the `matrices` of dense MLPs of a layer; none if its stream is not
    one of tokens."""
    component, index = layer
    for matrix in matrices if component in OF_TOKENS else ():
        leading = leading_of_rows(matrix.vectors, OF_MLP, arrays)
        side = "write" if matrix.block == "down_proj" else "read"
        about = {
            "component": component,
            "layer_index": index,
            "circuit": matrix.block,
            "side": side,
        }
        for at, vector in enumerate(leading.vectors):
            yield Direction(about | _facts(leading, at), vector.astype(np.float32))


def write_directions(directions: Sequence[Direction], path: str | os.PathLike[str]) -> None:
    """Write directions, atomically; equal ones give equal bytes."""
    vectors = [each.vector for each in directions]
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            rows=np.frombuffer(json.dumps([each.row for each in directions]).encode(), np.uint8),
            vectors=np.concatenate([np.empty(0, np.float32), *vectors]),
            widths=np.array([len(vector) for vector in vectors], np.int64),
        )


def read_directions(path: str | os.PathLike[str]) -> list[Direction]:
    """The directions of a file of `write_directions`."""
    with np.load(path) as file:
        rows = json.loads(file["rows"].tobytes())
        vectors = np.split(file["vectors"], np.cumsum(file["widths"])[:-1])
    return [Direction(row, vector) for row, vector in zip(rows, vectors[: len(rows)], strict=True)]


def _of_heads(place: Row, attention: Attention) -> Iterator[Direction]:
    factors = attention.factors
    for head in range(attention.heads):
        group = attention.kv_head(head)
        about = place | {"role": attention.role, "head": head}
        for circuit, core, left, right, sides in (
            ("QK", factors.qk[head], factors.q[head], factors.k[group], ("query", "key")),
            ("OV", factors.ov[head], factors.o[head], factors.v[group], ("write", "read")),
        ):
            if not np.isfinite(core).all():
                continue
            leading = leading_of_product(core, left, right, OF_HEAD)
            others = leading.others if leading.others is not None else leading.vectors
            for at, pair in enumerate(zip(leading.vectors, others, strict=True)):
                for side, vector in zip(sides, pair, strict=True):
                    # Keys and values of a cross attention come from another stack.
                    if attention.role == "cross" and side in ("key", "read"):
                        continue
                    row = about | {"circuit": circuit, "side": side} | _facts(leading, at)
                    yield Direction(row, vector.astype(np.float32))


def _facts(leading: Leading, at: int) -> Row:
    return {
        "direction": at,
        "energy_share": float(leading.shares[at]),
        "gap": float(leading.gaps[at]),
    }
