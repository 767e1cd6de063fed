"""What a matrix is of another one whose elements do not agree."""

import numpy as np

from blockresearch.compare.relations import relation
from blockresearch.compare.sides import Side, Sides
from tests.cases.checkpoints import from_bf16, to_bf16


def sides(base, other):
    values = (from_bf16(to_bf16(w)) for w in (base, other))
    first, second = (Side(lambda w=w: iter([w]), "BF16") for w in values)
    return Sides(first, second, *base.shape)


def test_noise_is_told_from_its_rotated_copy():
    random = np.random.default_rng(0)
    base, other = random.standard_normal((2, 48, 144)) * 0.02
    turn = np.linalg.qr(random.standard_normal((144, 144)))[0]
    assert relation(sides(base, base @ turn)) == "rotated"
    assert relation(sides(base, other)) == "unrelated"


def test_a_rotated_copy_may_be_rounded():
    random = np.random.default_rng(1)
    base = random.standard_normal((48, 144)) / np.arange(1, 145)
    turned = base @ np.linalg.qr(random.standard_normal((144, 144)))[0]
    rounded = turned + 0.02 * np.linalg.norm(base) / base.size**0.5 * random.standard_normal(
        base.shape
    )
    assert relation(sides(base, rounded)) == "rotated"
