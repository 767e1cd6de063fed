"""Changes of weights as products: their blocks and their singular values."""

import numpy as np
import pytest

from blockresearch.weights.adapters.delta import Kronecker, Product, Whole, hadamard

RANDOM = np.random.default_rng(8)


def normal(*shape):
    return RANDOM.normal(size=shape)


A, B, C, D = normal(9, 2), normal(2, 7), normal(9, 3), normal(3, 7)

CASES = {
    "product": (Product(A, B), A @ B),
    "whole": (Whole(A @ B), A @ B),
    "product of a rank above both sides": (
        Product(normal(3, 8), np.eye(8)[:, :5]),
        None,
    ),
    "hadamard": (hadamard(Product(A[:, :1], B[:1]), Product(C, D)), (A[:, :1] @ B[:1]) * (C @ D)),
    "hadamard of full rank": (hadamard(Product(A, B), Product(C, D)), (A @ B) * (C @ D)),
    "wide hadamard of full rank": (
        hadamard(Product(B.T, A.T), Product(D.T, C.T)),
        (B.T @ A.T) * (D.T @ C.T),
    ),
    "kronecker": (Kronecker(A, D), np.kron(A, D)),
    "kronecker of a row and a column": (Kronecker(A[:1], D[:, :1]), np.kron(A[:1], D[:, :1])),
}


@pytest.mark.parametrize("case", CASES)
def test_blocks_and_singular_values(case):
    delta, wanted = CASES[case]
    wanted = delta.left @ delta.right if wanted is None else wanted
    assert delta.shape == wanted.shape
    for block_bytes in (1, 100, 10**6):
        blocks = list(delta.blocks(block_bytes))
        assert all(block.dtype == np.float32 for block in blocks)
        assert all(block.nbytes <= max(block_bytes, 4 * wanted.shape[1]) for block in blocks)
        np.testing.assert_allclose(np.concatenate(blocks), wanted, rtol=1e-6, atol=1e-7)
    values = np.linalg.svd(wanted, compute_uv=False)
    found = delta.singular_values()
    assert len(found) == min(wanted.shape) and (np.diff(found) <= 0).all()
    np.testing.assert_allclose(found, values, rtol=1e-10, atol=1e-12 * values[0])


def test_a_large_product_is_never_whole():
    delta = hadamard(
        Product(np.ones((10**6, 1)), np.ones((1, 10**6))),
        Product(np.ones((10**6, 2)), np.ones((2, 10**6))),
    )
    assert delta.shape == (10**6, 10**6) and delta.left.shape == (10**6, 2)
    assert next(delta.blocks(1)).shape == (1, 10**6)
