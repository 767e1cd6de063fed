"""Rows of the table heavy_tails: the exponents of each matrix of the layers of a model.

Matrices are read one at a time as float32. The seed of a matrix is made from its name, so that the
numbers do not depend on the order of reading. Of many routed experts of a layer a sample is
measured (`checkpoint/expert_sample.py`).
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from blockresearch.checkpoint.expert_sample import sampled_experts
from blockresearch.checkpoint.layer_groups import Key
from blockresearch.checkpoint.manifest import Manifest, Tensor
from blockresearch.circuits.computing import Computing, computed
from blockresearch.spectra.heavy_tails import fit_p, permuted_alpha, square_alpha
from blockresearch.weights.layout import Matrix
from blockresearch.weights.quantized.source import Contradiction
from blockresearch.weights.reading import TensorReader, open_tensor
from blockresearch.weights.weight import Weight, weight_of

# The shortest side of a matrix with an exponent: 8 values in the upper half.
LEAST_SIDE = 16

Spectra = Mapping[tuple[str, str], np.ndarray]


def tail_rows(
    manifest: Manifest, files: Mapping[str, Path], layers: Collection[Key], device: str = "cpu"
) -> Iterator[dict[str, Any]]:
    """A row for each matrix of `layers`, layer by layer, without the goodness of fit; `files` are
    the shards by name. Of many routed experts a sample has rows. Without finite values there is a
    row without numbers."""
    of_layers: dict[Key, list[Tensor]] = {key: [] for key in layers}
    for tensor in manifest.tensors:
        role = tensor.role
        if role.layer_index is not None and (role.component, role.layer_index) in of_layers:
            of_layers[role.component, role.layer_index].append(tensor)
    for some in of_layers.values():
        matrices = list(_matrices(manifest, some))
        experts = [number for *_, number in matrices if number is not None]
        sample = sampled_experts(experts)
        for tensor, weight, matrix, number in matrices:
            if number is not None and number not in sample:
                continue
            try:
                source = open_tensor(files, weight)
                found = computed(device, tensor.name, partial(_exponents, source, matrix))
            except Contradiction:
                continue
            yield {
                "param_name": tensor.name,
                "slice": matrix.slice or None,
                "layer_index": tensor.role.layer_index,
                "block_type": tensor.role.block_type,
                "component": tensor.role.component,
                "projection": matrix.piece or tensor.role.projection,
                "role": tensor.role.role,
                "expert_index": number,
                "layer_experts": None if number is None else len(set(experts)),
                "rows": matrix.rows,
                "cols": matrix.cols,
                **found,
            }


def _matrices(
    manifest: Manifest, tensors: Iterable[Tensor]
) -> Iterator[tuple[Tensor, Weight, Matrix, int | None]]:
    """The matrices of `tensors` that can have an exponent, with the numbers of their experts."""
    for tensor in tensors:
        if tensor.role.is_buffer or not tensor.layout.is_measured:
            continue
        weight = weight_of(tensor, tensor.layout, manifest.by_name)
        for matrix in weight.matrices():
            if min(matrix.rows, matrix.cols) >= LEAST_SIDE:
                number = tensor.role.expert_index if matrix.expert is None else matrix.expert
                yield tensor, weight, matrix, number


def fits(rows: pd.DataFrame, spectra: Spectra, threads: int = 1) -> list[float | None]:
    """The goodness of fit of each of `rows`; `spectra` has singular values by tensor and slice.

    `threads` change no number.
    """
    keys = list(zip(rows["param_name"], rows["slice"].fillna(""), strict=True))

    def p(key: tuple[str, str]) -> float | None:
        spectrum = spectra.get(key)
        if spectrum is None:
            return None
        # As alpha: values that rounding makes are left out.
        values = spectrum[spectrum > spectrum.max(initial=0) * 1e-7]
        return fit_p(np.square(values), seed_of(*key)) if len(values) > 1 else None

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(p, keys))


def seed_of(name: str, part: str) -> int:
    """A seed for the matrix `part` of the tensor `name`."""
    return int.from_bytes(hashlib.sha256(f"{name}\n{part}".encode()).digest()[:8], "big")


def _exponents(source: TensorReader, matrix: Matrix, arrays: Computing) -> dict[str, float | None]:
    """The exponents of a matrix; none without finite values."""
    read = arrays.whole(source, matrix)
    if not arrays.is_finite(read):
        return {}
    seed = seed_of(source.weight.name, matrix.slice)
    return {
        "alpha_square": square_alpha(read, arrays),
        "alpha_permuted": permuted_alpha(read, seed, arrays),
    }
