"""A sample of experts is all of few, and evenly spaced numbers of many."""

import numpy as np

from blockresearch.checkpoint.expert_sample import MOST_EXPERTS, sampled_experts


def test_few_experts_are_all_in_the_sample():
    numbers = [3, 1, 2, *range(4, MOST_EXPERTS + 1)]
    assert sampled_experts(numbers) == sorted(numbers)
    assert sampled_experts([]) == []


def test_many_experts_are_evenly_spaced():
    found = sampled_experts(range(128))
    assert len(set(found)) == MOST_EXPERTS and (found[0], found[-1]) == (0, 127)
    assert set(np.diff(found)) <= {8, 9}
