"""Matrices of a small model for figures."""

import numpy as np

from blockresearch.tables.io import frame


def matrices(layers=4, blocks=("q_proj", "up_proj"), roles=("self", None), **more):
    """One matrix of each block in each layer; the std of layer i is i + 1."""
    rows = [
        {
            "param_name": f"model.layers.{layer}.{block}.weight",
            "slice": "",
            "component": "text",
            "layer_index": layer,
            "block_type": block,
            "role": role,
            "projection": block,
            "rows": 8,
            "cols": 16,
            "std": layer + 1.0,
            "stable_rank": 4.0,
            "mp_edge": 2.0,
            "top_values": [3.0, -2.0],
            "top_rows": [1, 2],
            "top_cols": [5, 6],
            **more,
        }
        for block, role in zip(blocks, roles, strict=True)
        for layer in range(layers)
    ]
    return frame(rows, "matrices")


def spectra(rows, length=8):
    """Singular values length, length − 1, ..., 1 of every matrix."""
    return frame(
        [
            {
                "param_name": name,
                "slice": "",
                "singular_values": np.arange(length, 0, -1.0).tolist(),
            }
            for name in rows["param_name"]
        ],
        "spectra",
    )
