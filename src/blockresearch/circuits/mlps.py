"""The matrices of dense MLPs, with norms folded in, read a layer at a time.

Gate and up read the residual stream by their rows, behind the norm before the MLP; down writes to
it by its columns. Experts are left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from blockresearch.arrays.arrays import Array
from blockresearch.checkpoint.layer_groups import Key
from blockresearch.checkpoint.manifest import Manifest, Tensor
from blockresearch.circuits import norms
from blockresearch.circuits.computing import ON_CPU, Computing
from blockresearch.circuits.places import Norm, layer_norms, mlp_places
from blockresearch.circuits.reading import Reader
from blockresearch.model_config import ModelConfig
from blockresearch.weights.quantized.source import Contradiction
from blockresearch.weights.reading import open_tensor
from blockresearch.weights.weight import weight_of


@dataclass(frozen=True)
class MlpMatrix:
    """A matrix of an MLP as vectors of the residual stream.

    block      gate_proj, up_proj or down_proj
    vectors    what each neuron reads or writes, float32 [neurons, d], where matrices are multiplied
    norm       name of the norm that is folded in; None if none is known
    """

    block: str
    vectors: Array
    norm: str | None


def read_layer(
    manifest: Manifest, files: Mapping[str, Path], layer: Key, computing: Computing = ON_CPU
) -> list[MlpMatrix]:
    """The matrices of the dense MLPs of a layer; `files` are the shards by name."""
    around = layer_norms(manifest).get(layer, {})
    return [
        matrix
        for tensor in mlp_places(manifest)
        if (tensor.role.component, tensor.role.layer_index) == layer
        for matrix in read_mlp(manifest, files, tensor, around, computing)
    ]


def read_mlp(
    manifest: Manifest,
    files: Mapping[str, Path],
    tensor: Tensor,
    found: Mapping[str, Norm],
    computing: Computing = ON_CPU,
) -> list[MlpMatrix]:
    """The matrices in a tensor of an MLP whose layer has the norms `found`; `files` are the shards
    by name. Those that cannot be read, or have values that are not finite, are left out."""
    reader, facts = Reader(manifest, files), ModelConfig(manifest.config)
    weight = weight_of(tensor, tensor.layout, manifest.by_name)
    try:
        source = open_tensor(files, weight)
        pieces = weight.matrices() or (weight.whole(),)
        matrices = {piece.piece: computing.whole(source, piece) for piece in pieces}
    except Contradiction:
        return []
    adds_one = norms.adds_one(facts, tensor.role.component)
    result = []
    for piece, matrix in matrices.items():
        block = piece or tensor.role.block_type
        if block == "down_proj":
            # The scale of a norm behind the MLP changes what is written, no token is read by it.
            if norms.MLP_OUTPUT_NORM in found:
                scale, _ = reader.norm(found[norms.MLP_OUTPUT_NORM], adds_one)
                matrix *= computing.put(scale)[:, None]
            name, matrix = None, matrix.T
        else:
            name = norms.norm_before_mlp(found, facts)
            if name is not None:
                gamma, beta = reader.norm(found[name], adds_one)
                is_centered = norms.is_centered(facts, beta)
                there, no_bias = computing.put(gamma), np.zeros(len(matrix))
                matrix, _ = norms.fold(matrix, no_bias, there, None, is_centered)
        if computing.is_finite(matrix):
            result.append(MlpMatrix(block, matrix, name))
    return result
