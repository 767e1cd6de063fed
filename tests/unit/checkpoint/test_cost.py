"""The memory that a part is predicted to take."""

from blockresearch.checkpoint.cost import memory
from blockresearch.weights.layout import Layout
from blockresearch.weights.stored import Stored
from blockresearch.weights.weight import Weight


def test_the_largest_tensor_determines_the_memory():
    def tensor(rows, cols):
        return Weight(Stored("w", "s", "BF16", (rows, cols), 0, 2 * rows * cols), Layout("matrix"))

    assert memory(tensor(4096, 4096)) > memory(tensor(1024, 1024))
    tall = memory(tensor(151_936, 2560)) - memory(tensor(10_000, 2560))
    assert tall < 151_936 * 2560 * 4 / 2, "rows are streamed"
    assert memory(tensor(2**40, 0)) == memory(tensor(0, 0))
