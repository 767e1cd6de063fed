"""Torch's form of each product gives what the CPU's form gives."""

import numpy as np
import pytest

from blockresearch.tokens import on_device
from blockresearch.tokens.analysis import analyze_embedding
from blockresearch.tokens.clustering import space
from blockresearch.tokens.lloyd import gathered_sums, nearest_centers
from blockresearch.tokens.neighbors import nearest
from blockresearch.tokens.tokenizer import read_tokens
from blockresearch.tokens.vectors import Rows, survey
from blockresearch.tokens.workers import Workers
from tests.unit.tokens.samples import cloud

pytest.importorskip("torch")
DEVICE = Workers(1, "torch-cpu")


@pytest.fixture(params=["BF16", "F16", "F32", "scaled", "streamed"])
def table(request, monkeypatch):
    """Rows of each form; one does not fit on the device. Blocks are small."""
    monkeypatch.setattr(on_device, "BLOCK_ROWS", 700)
    rows = cloud(1500, 20) - 3
    rows[[3, 900], 5] = np.nan, np.inf
    if request.param == "BF16":
        return Rows((rows.view(np.uint32) >> 16).astype(np.uint16), "BF16")
    if request.param == "F16":
        return Rows(rows.astype(np.float16).view(np.uint16), "F16")
    if request.param == "streamed":
        monkeypatch.setattr(on_device, "_table", lambda rows, device: None)
    scales = np.linspace(0.5, 2, len(rows), dtype=np.float32)
    return Rows(rows, "F32", scales if request.param == "scaled" else None)


def test_moments_and_coordinates(table):
    own, other = survey(table), survey(table, DEVICE)
    assert (own.usable == other.usable).all() and own.usable.sum() == 1498
    largest = own.covariance.max()
    np.testing.assert_allclose(other.covariance, own.covariance, atol=1e-6 * largest)
    precise = survey(table, DEVICE, precise=True).covariance
    np.testing.assert_allclose(precise, survey(table, precise=True).covariance, rtol=1e-9)
    rows = table.chosen(own.usable)
    places = space(rows, 8, found=own).components.project(rows, DEVICE)
    np.testing.assert_allclose(places, space(rows, 8, found=own).reduced, atol=1e-5)


def test_sums_centers_and_neighbors(table):
    rows = table.chosen(survey(table).usable)
    random = np.random.default_rng(0)
    counts = np.array([3, 5])
    labels = np.stack([random.integers(0, k, len(rows)) for k in counts]).astype(np.int32)
    sums = gathered_sums(rows, rows[:].mean(axis=0), labels, counts)
    own = gathered_sums(rows, rows[:].mean(axis=0), labels, counts, DEVICE)
    np.testing.assert_allclose(own, sums, atol=1e-3)
    sets = [rows[:][:3], rows[:][10:17]]
    found = on_device.nearest_centers(rows[:], sets, "torch-cpu")
    assert (found == nearest_centers(rows[:], sets)).mean() > 0.999
    norms, queries = survey(rows).norms, np.array([2, 800, 1400])
    near, other = nearest(rows, norms, queries), nearest(rows, norms, queries, DEVICE)
    assert (near.places == other.places).all()
    np.testing.assert_allclose(other.cosines, near.cosines, atol=1e-6)


@pytest.mark.parametrize("metric", ["euclidean", "whitened"])
def test_clusters_explain_as_much(metric, monkeypatch):
    monkeypatch.setattr("blockresearch.tokens.clustering.PATH_ELEMENTS", 40_000)
    rows, tokens = cloud(2500, 40), read_tokens(None, 2500)
    cpu, device = (
        analyze_embedding(rows, tokens, k_max=10, metric=metric, n_clusters=6, workers=workers)
        for workers in (Workers(), DEVICE)
    )
    assert device.summary["explained_share"] == pytest.approx(
        cpu.summary["explained_share"], abs=1e-3
    )
    for name in ("inertia", "sample_share", "null_share"):
        np.testing.assert_allclose(
            device.elbow[name].to_numpy(float), cpu.elbow[name].to_numpy(float), rtol=3e-3
        )
    near = (done.tokens["nearest_cosine"].to_numpy(float) for done in (device, cpu))
    np.testing.assert_allclose(*near, atol=1e-6)
