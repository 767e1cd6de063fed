"""What the engines share: formats with their sizes, and matrices by the format chosen for them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from blockresearch.plans.matrices import Matrix

# The format of matrices that are not quantized.
KEPT = "kept"


@dataclass(frozen=True)
class Format:
    """A format of an engine.

    name       of the engine
    errors     low-bit format in the tables that predicts its rounding errors
    size       bytes of a matrix, with scales
    multiple   the columns of a matrix must be a multiple of it
    is_exact   the tool rounds by the rule of that column; otherwise the column is a stand-in, which
               ranks matrices and does not predict their error
    """

    name: str
    errors: str
    size: Callable[[Matrix], int]
    multiple: int = 1
    is_exact: bool = False

    def fits(self, matrix: Matrix) -> bool:
        """Whether a matrix can be stored in it, and its errors were measured."""
        return matrix.cols % self.multiple == 0 and self.errors in matrix.errors


# Matrices by the name of their format; KEPT for those that stay.
Assigned = Mapping[str, Sequence[Matrix]]


@dataclass(frozen=True)
class Engine:
    """What loads the quantized model.

    formats  those that it loads, of which rounding errors are known
    files    the texts of files, by name, with which its tool makes the model; also given the names
             of further modules that stay
    takes    whether its tool finds a matrix by a name
    """

    name: str
    formats: tuple[Format, ...]
    files: Callable[[Assigned, Sequence[str]], dict[str, str]]
    takes: Callable[[Matrix], bool] = lambda matrix: True


def blocks(matrix: Matrix, weights: int) -> int:
    """Blocks of so many weights, row by row, the last of a row filled up."""
    return matrix.rows * -(-matrix.cols // weights)
