"""Weights that were codes are recognized, weights that were not are left alone."""

import numpy as np
import pytest

from blockresearch.values.dequantized import E2M1, NF4, Codes, RowSample, find_codes


def bf16(values):
    bits = np.asarray(values, np.float32).view(np.uint32)
    return ((bits + 0x8000) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def weights(rows=8, cols=1024, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, cols)) * 0.03


def nearest(units, book):
    return book[np.abs(units[..., None] - book).argmin(axis=-1)]


def rounded(group, levels=None, book=None):
    """Weights rounded in groups with the scale absmax / levels, or to a book with absmax."""
    groups = weights().reshape(-1, group)
    peaks = np.abs(groups).max(axis=1, keepdims=True)
    if levels:
        return (np.round(groups / peaks * levels) * peaks / levels).reshape(8, 1024)
    signs = np.sign(groups) if book is E2M1 else 1
    units = np.abs(groups) / peaks * book.max() if book is E2M1 else groups / peaks
    return (signs * nearest(units, book) / book.max() * peaks).reshape(8, 1024)


@pytest.mark.parametrize(
    "values, expected",
    [
        (rounded(32, levels=7), (4, 32, "GGUF Q4")),
        (rounded(128, levels=7), (4, 128, "INT4 in groups of 128")),
        (rounded(64, book=NF4), (4, 64, "bitsandbytes NF4")),
        (rounded(16, book=E2M1), (4, 16, "NVFP4")),
        (rounded(32, book=E2M1), (4, 32, "MXFP4")),
        (rounded(16, levels=31), (6, 16, "GGUF Q6_K")),
        (rounded(32, levels=127), (8, 32, "GGUF Q8_0")),
        (rounded(1024, levels=127), (8, 0, "INT8 by row")),
    ],
    ids=lambda value: str(value) if isinstance(value, tuple) else "",
)
def test_former_codes_are_recognized(values, expected):
    for stored in (values.astype(np.float32), bf16(values)):
        found = find_codes(stored)
        assert found is not None and (found.bits, found.group) == expected[:2]
        assert found.format.startswith(expected[2])


@pytest.mark.parametrize("cast", [np.float32, np.float16, bf16])
def test_weights_never_quantized_are_left_alone(cast):
    random = np.random.default_rng(1)
    plain = weights()
    pruned = plain * (random.random(plain.shape) < 0.5)
    pruned[2], pruned[:, 64:128] = 0, 0
    scaled = plain * np.exp(random.normal(0, 2, (8, 1)))
    few = np.round(plain * 100)  # of one scale for all: few values, but not few in a group
    for values in (plain, pruned, scaled, few, np.zeros((4, 64)), plain[:, :8]):
        assert find_codes(np.asarray(cast(values), np.float32)) is None


def test_a_sample_has_evenly_spaced_rows():
    matrix = np.arange(100.0, dtype=np.float32)[:, None] * np.ones((1, 20), np.float32)
    sample = RowSample(100)
    panels = [matrix[:7], matrix[7:50], matrix[50:]]
    assert [len(panel) for panel in sample.passing(panels)] == [7, 43, 50]
    assert sample.rows()[:, 0].tolist() == [0, 12, 24, 36, 48, 60, 72, 84]


def test_codes_are_named_by_bits_group_and_book():
    assert find_codes(rounded(256, levels=3).astype("f4")) == Codes(3, 256, "3-bit integers")
