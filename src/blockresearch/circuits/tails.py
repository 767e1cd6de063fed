"""Rows of the table heavy_tails: the exponents of each matrix of the layers of a model.

Matrices are read one at a time, through `weights`, as float32. The seed of a matrix is made from
its name, so that the numbers do not depend on the order of reading.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from blockresearch.checkpoint.manifest import Manifest
from blockresearch.spectra.heavy_tails import fit_p, permuted_alpha, square_alpha
from blockresearch.weights.quantized.source import Contradiction
from blockresearch.weights.reading import open_tensor, panels
from blockresearch.weights.weight import weight_of

PANEL_BYTES = 32 * 2**20

# The shortest side of a matrix with an exponent: 8 values in the upper half.
LEAST_SIDE = 16

Spectra = Mapping[tuple[str, str], np.ndarray]


def tail_rows(
    manifest: Manifest, files: Mapping[str, Path], spectra: Spectra
) -> Iterator[dict[str, Any]]:
    """A row for each matrix of the layers; `spectra` has singular values by tensor and slice, and
    `files` the shards by name. Without finite values there is a row without numbers."""
    for tensor in manifest.tensors:
        role = tensor.role
        if role.layer_index is None or role.component == "adapter" or role.is_buffer:
            continue
        if not tensor.layout.is_measured:
            continue
        weight = weight_of(tensor, tensor.layout, manifest.by_name)
        for matrix in weight.matrices():
            if min(matrix.rows, matrix.cols) < LEAST_SIDE:
                continue
            key = (tensor.name, matrix.slice)
            row = {
                "param_name": tensor.name,
                "slice": matrix.slice or None,
                "layer_index": role.layer_index,
                "block_type": role.block_type,
                "component": role.component,
                "rows": matrix.rows,
                "cols": matrix.cols,
            }
            try:
                parts = list(panels(open_tensor(files, weight), matrix, PANEL_BYTES))
            except Contradiction:
                continue
            yield row | _numbers(np.concatenate(parts), spectra.get(key), seed_of(*key))


def seed_of(name: str, part: str) -> int:
    """A seed for the matrix `part` of the tensor `name`."""
    return int.from_bytes(hashlib.sha256(f"{name}\n{part}".encode()).digest()[:8], "big")


def _numbers(matrix: np.ndarray, spectrum: np.ndarray | None, seed: int) -> dict[str, Any]:
    """The numbers of a matrix and its singular values, as far as they are defined."""
    found: dict[str, Any] = {}
    if np.isfinite(matrix).all():
        elements = np.ascontiguousarray(matrix, dtype=np.float32)
        found["alpha_square"] = square_alpha(elements)
        found["alpha_permuted"] = permuted_alpha(elements, seed)
    if spectrum is not None:
        # As alpha: values that rounding makes are left out.
        values = spectrum[spectrum > spectrum.max(initial=0) * 1e-7]
        if len(values) > 1:
            found["alpha_p"] = fit_p(np.square(values), seed)
    return found
