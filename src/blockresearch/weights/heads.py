"""The heads of an attention matrix: rows of q, k and v, columns of o."""

import numpy as np

# Projections of a head, and whether a head is a block of columns.
PROJECTIONS = {"q_proj": False, "k_proj": False, "v_proj": False, "o_proj": True}


def split_heads(matrix: np.ndarray, size: int, by_columns: bool) -> np.ndarray:
    """The heads [heads, size, the other dimension] of a matrix [out, in], without a copy if they
    are rows; columns of a head become its rows."""
    rows = matrix.T if by_columns else matrix
    return rows.reshape(-1, size, rows.shape[1])
