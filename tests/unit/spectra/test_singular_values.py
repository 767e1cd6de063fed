import numpy as np
import pytest
import scipy.linalg

from blockresearch.spectra import cost, eigen
from blockresearch.spectra.lapack import has_two_stages
from blockresearch.spectra.singular_values import (
    EPS32,
    SKETCH_RANK,
    numerical_rank,
    resolved_rank,
    singular_values,
)

DEVICES = ("cpu", "torch-cpu")
SOLVERS = ("one stage", "two stages", "torch-cpu")


def of(matrix, step=97, device="cpu", **options):
    """Spectrum of a matrix that is read in panels of `step` rows."""

    def panels():
        return (np.ascontiguousarray(matrix[i : i + step]) for i in range(0, len(matrix), step))

    if device == "cpu":
        return singular_values(panels, *matrix.shape, **options)
    import torch

    from blockresearch.spectra import on_device

    def tensors():
        return map(torch.from_numpy, panels())

    return on_device.singular_values(tensors, *matrix.shape, device, **options)


def lapack(matrix):
    return scipy.linalg.svdvals(matrix.astype(np.float64))


def with_values(rows, cols, values, seed=0):
    """A matrix of known singular values with random singular vectors."""
    rng = np.random.default_rng(seed)
    left = np.linalg.qr(rng.standard_normal((rows, len(values))))[0]
    right = np.linalg.qr(rng.standard_normal((cols, len(values))))[0]
    return left * values @ right.T


def largest_error(found, expected, down_to):
    kept = expected >= down_to * expected[0]
    return np.max(np.abs(found[kept] - expected[kept]) / expected[kept])


SPECTRA = {
    "flat": np.linspace(1, 0.1, 200),
    "graded": np.logspace(0, -9, 200),
    "few small": np.r_[np.linspace(1, 0.1, 170), np.logspace(-3, -9, 30)],
    "cluster where refinement starts": np.r_[np.linspace(1, 0.01, 150), np.full(50, 3e-4)],
    "two clusters": np.r_[np.ones(120), np.full(80, 1e-6)],
    "nearly singular": np.r_[np.linspace(1, 0.1, 199), 1e-10],
    "down to zero in even steps": np.linspace(1, 0, 200)[:200] ** 2,
    "of low rank": np.r_[np.linspace(2, 1, 30), np.zeros(170)],
    "of almost full rank": np.r_[np.linspace(2, 1, 190), np.zeros(10)],
}


@pytest.fixture
def device(request, monkeypatch):
    """A solver by name; the two of the CPU differ in the size from which they are used."""
    if request.param == "torch-cpu":
        pytest.importorskip("torch")
        return "torch-cpu"
    monkeypatch.setattr(eigen, "TWO_STAGES_FROM", 2 if request.param == "two stages" else 10**9)
    if request.param == "two stages" and not has_two_stages():
        pytest.skip("the LAPACK behind SciPy has no dsytrd_2stage")
    return "cpu"


@pytest.mark.parametrize("device", SOLVERS, indirect=True)
@pytest.mark.parametrize("shape", [(390, 200), (200, 390), (200, 200)])
@pytest.mark.parametrize("name", SPECTRA)
def test_stated_accuracy_holds_against_lapack(name, shape, device):
    matrix = with_values(*shape, SPECTRA[name])
    found, expected = of(matrix, device=device), lapack(matrix)
    assert found.values.dtype == np.float64 and np.all(np.diff(found.values) <= 0)
    assert largest_error(found.values, expected, 1e-4) < 1e-7
    assert largest_error(found.values, expected, 1e-7) < 1e-6
    assert numerical_rank(found.values, *shape) == numerical_rank(expected, *shape)


def test_only_the_small_values_are_computed_again():
    assert of(with_values(390, 200, SPECTRA["flat"])).method == "gram"
    few = of(with_values(390, 200, SPECTRA["few small"]))
    assert few.method == "gram+projection" and 170 <= few.refined_from < 185
    assert of(with_values(390, 200, SPECTRA["graded"])).method == "gram+deflation"
    small = of(np.random.default_rng(0).standard_normal((20, 30)))
    assert small.method == "direct" and len(small.values) == 20


@pytest.mark.parametrize("rank", [1, 16, 150, 199])
def test_planted_rank_is_found(rank):
    matrix = with_values(390, 200, np.linspace(2, 1, rank)).astype(np.float32)
    assert numerical_rank(of(matrix).values, 390, 200) == rank
    for mode in ("full", "rank"):
        assert resolved_rank(of(matrix, mode=mode).values) == rank


def test_a_long_table_keeps_its_resolved_rank():
    # The condition number is 100: only NumPy's threshold, which grows with the rows, hides four.
    values = np.r_[np.linspace(2, 1, 60), np.full(4, 0.02)]
    assert numerical_rank(values, 2**17, 64) == 60 and resolved_rank(values) == 64
    equal_rows = np.outer(
        np.tile([1.37, 1.11, 1.73, 1.52], 64), np.random.default_rng(0).random(99)
    )
    assert resolved_rank(of(equal_rows.astype(np.float32)).values) == 1
    assert resolved_rank(np.array([1e200, 1e199])) == 2 and resolved_rank(np.zeros(3)) == 0


@pytest.mark.parametrize("exponent", [-40, 40, -280, 280])
def test_scale_changes_nothing_but_the_scale(exponent):
    matrix = with_values(300, 170, np.logspace(0, -6, 170))
    scaled = of(matrix * 2.0**exponent)
    assert np.array_equal(scaled.values, of(matrix).values * 2.0**exponent)


def test_ends_of_float64_neither_overflow_nor_vanish():
    matrix = np.random.default_rng(0).standard_normal((200, 150))
    for exponent in (-1000, 1000):
        found = of(matrix * 2.0**exponent).values * 2.0**-exponent
        assert np.allclose(found, lapack(matrix), rtol=1e-9)


def test_order_of_rows_and_columns_does_not_matter():
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((300, 170))
    shuffled = matrix[rng.permutation(300)][:, rng.permutation(170)]
    assert np.allclose(of(shuffled).values, of(matrix).values, rtol=1e-12)
    assert np.allclose(of(matrix.T).values, of(matrix).values, rtol=1e-12)


@pytest.mark.parametrize("shape", [(300, 170), (170, 300)])
def test_cut_of_the_panels_and_blocks_does_not_matter(shape, monkeypatch):
    matrix = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    whole = of(matrix, step=1000).values
    monkeypatch.setattr(cost, "BLOCK_BYTES", 50_000)
    monkeypatch.setattr(cost, "WIDE_BYTES", 50_000)
    for step in (1, 33, 1000):
        assert np.allclose(of(matrix, step=step).values, whole, rtol=1e-12)
    assert np.array_equal(of(matrix, step=33).values, of(matrix, step=33).values)


@pytest.mark.parametrize("device", DEVICES)
def test_degenerate_shapes_and_zeros(device):
    assert of(np.zeros((200, 150)), device=device).values.tolist() == [0.0] * 150
    assert of(np.zeros((0, 5)), device=device).values.tolist() == []
    assert of(np.zeros((5, 0)), device=device).values.tolist() == []
    assert of(np.full((1, 9), 2.0), device=device).values == pytest.approx([6.0])
    column = np.ones((40_000, 1), dtype=np.float32)
    assert of(column, step=999, device=device).values == pytest.approx([200.0])
    assert of(column.T, device=device).values == pytest.approx([200.0])
    assert numerical_rank(np.zeros(3), 3, 3) == 0 and numerical_rank(np.empty(0), 0, 3) == 0


def test_panels_that_do_not_fit_the_shape_are_refused():
    matrix = np.ones((300, 170))
    for rows, cols in ((301, 170), (299, 170), (300, 171)):
        with pytest.raises(ValueError, match=r"panel"):
            singular_values(lambda: iter([matrix]), rows, cols)
    with pytest.raises(ValueError, match=r"panel"):
        singular_values(lambda: iter([matrix.T]), 170, 299)


def test_modes():
    matrix = with_values(600, 600, np.r_[np.linspace(9, 8, 40), np.logspace(-1, -5, 560)])
    expected = lapack(matrix)
    rank = of(matrix, mode="rank")
    assert rank.method == "gram"
    assert numerical_rank(rank.values, 600, 600) == numerical_rank(expected, 600, 600)
    sketch = of(matrix, mode="sketch")
    assert sketch.method == "sketch" and len(sketch.values) == SKETCH_RANK
    assert np.allclose(sketch.values[:40], expected[:40], rtol=1e-9)
    assert np.all(sketch.values <= expected[: len(sketch.values)] * (1 + 1e-12))
    assert len(of(matrix, mode="none").values) == 0
    with pytest.raises(ValueError, match="unknown spectra mode"):
        of(matrix, mode="fast")


def test_a_value_near_the_rank_threshold_is_refined():
    threshold = 390 * EPS32
    values = np.r_[np.linspace(1, 0.1, 150), threshold * (1 + 1e-8), threshold * (1 - 1e-8)]
    matrix = with_values(390, 200, np.r_[values, np.full(48, 1e-5)])
    found = of(matrix, mode="rank")
    assert found.refined_from <= 150
    assert numerical_rank(found.values, 390, 200) == numerical_rank(lapack(matrix), 390, 200)
