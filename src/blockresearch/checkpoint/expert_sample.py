"""Which routed experts stand for all of a layer, in numbers that take seconds for each matrix.

A layer of 128 experts has 384 matrices, and one of 512 has 1,536: the exponents of all of them
would take hours for a model and say what those of some do. The sample depends on the numbers of the
experts alone, so that jobs, predictions and reruns have the same one.
"""

from collections.abc import Iterable

# Most experts of a layer in a sample.
MOST_EXPERTS = 16


def sampled_experts(numbers: Iterable[int]) -> list[int]:
    """All of the `numbers` of the experts of a layer, in order, or `MOST_EXPERTS` that lie evenly
    among them, with the first and the last one."""
    known = sorted(set(numbers))
    if len(known) <= MOST_EXPERTS:
        return known
    last = len(known) - 1
    return [known[round(at * last / (MOST_EXPERTS - 1))] for at in range(MOST_EXPERTS)]
