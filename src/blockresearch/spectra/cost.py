"""Predicted time and memory of a matrix's singular values."""

# Size of a block of rows, as float64.
BLOCK_BYTES = 16 * 2**20

# A wide matrix is read once for each block of columns: larger blocks mean fewer passes.
WIDE_BYTES = 64 * 2**20


def block_length(rows: int, cols: int) -> int:
    """Rows (of a wide matrix: columns) of the blocks in which a [rows, cols] matrix is read."""
    n, m = sorted((rows, cols))
    budget = BLOCK_BYTES if rows >= cols else WIDE_BYTES
    return min(m, max(n // 4, budget // (8 * max(n, 1)), 1))


def predicted_seconds(rows: int, cols: int) -> float:
    """Predicted seconds of one core for `singular_values` of a [rows, cols] matrix, not refined."""
    n, m = sorted((rows, cols))
    return 8e-4 + 2.36e-11 * m * n**2 + 2.5e-8 * n**2 + 3.4e-11 * n**3


def predicted_bytes(rows: int, cols: int) -> int:
    """Bytes that `singular_values` needs at its peak, with refinement and without the panels."""
    n = min(rows, cols)
    return 8 * (2 * n**2 + 3 * n * block_length(rows, cols))
