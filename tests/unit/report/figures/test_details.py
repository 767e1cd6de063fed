"""Details of matrices: exact counts in bins, spectra at fixed numbers, medians of columns."""

import numpy as np

from blockresearch.report.figures import details
from blockresearch.report.figures.layer_map import in_map_order
from blockresearch.tables.io import frame
from tests.unit.report.figures.samples import matrices, spectra

ONE, TWO, HUNDRED = 0x3F80, 0x4000, 0x42C8  # BF16


def samples_of(rows, counts):
    histograms = frame(
        [
            {
                "param_name": rows["param_name"].iloc[0],
                "dtype": "BF16",
                "codes": [ONE, TWO, HUNDRED],
                "counts": counts,
            }
        ],
        "histograms",
    )
    return details.sampled(rows, [histograms], [spectra(rows)])


def test_a_histogram_counts_every_weight():
    rows = in_map_order(matrices())
    samples = samples_of(rows, [5000, 3000, 1])
    assert samples.counts[0].sum() + samples.beside[0].sum() == 8001
    assert samples.beside[0].tolist() == [0, 1], "beyond eight standard deviations"
    assert not samples.counts[1:].any()


def test_a_spectrum_has_its_ends():
    numbers = details.positions(5000)
    assert numbers[0] == 1 and numbers[-1] == 5000 and len(numbers) <= details.POINTS
    assert details.positions(6).tolist() == [1, 2, 3, 4, 5, 6]


def test_a_missing_spectrum_or_histogram_is_none():
    rows = in_map_order(matrices())
    missing = spectra(rows).assign(singular_values=None)
    samples = details.sampled(rows, [], [missing])
    (chunk,) = details.chunks(rows, samples, len(rows))
    assert not samples.lengths.any() and chunk["histograms"] == [None] * len(rows)
    assert chunk["spectra"] == [[]] * len(rows)


def test_chunks_have_all_that_a_panel_shows():
    rows = in_map_order(matrices())
    first, last = details.chunks(rows, samples_of(rows, [1, 2, 0]), 5)
    assert [len(part["lengths"]) for part in (first, last)] == [5, 3]
    assert first["spectra"][0] == [8, 7, 6, 5, 4, 3, 2, 1] and first["positions"]["8"][-1] == 8
    assert first["values"]["std"] == [1, 2, 3, 4, 1] and first["shapes"][0] == [8, 16]
    assert first["top"][0] == [[3, -2], [1, 2], [5, 6]]
    assert sum(first["histograms"][0][2:]) == 3 and last["histograms"] == [None] * 3


def test_the_median_spectrum_is_that_of_one_column():
    rows = in_map_order(matrices())
    samples = samples_of(rows, [1, 1, 1])
    samples.spectra[0, :8] *= 100
    medians = details.median_spectra(rows, samples)
    assert medians == [[8, 7, 6, 5, 4, 3, 2, 1]] * 2
    samples.lengths[1] = 7
    assert details.median_spectra(rows, samples)[0] == [], "lengths differ"
    assert np.isnan(samples.spectra[0, 8:]).all()
