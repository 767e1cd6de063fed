"""Numbers as people read them."""

import math

import pytest

from blockresearch.language.catalogue import translated
from blockresearch.report import wording
from blockresearch.report.wording import with_spread


@pytest.mark.parametrize(
    "mean, spread, text",
    [
        (3.2, 0.578, "3.20 ± 0.58"),
        (1234.5, 120.2, "1,234 ± 120"),
        (-0.5, 0.0042, "−0.5000 ± 0.0042"),
        (1.0, 0.0, "1 ± 0"),
        (2.0, float("nan"), "2 ± –"),
    ],
)
def test_a_mean_has_the_places_of_its_spread(mean, spread, text):
    assert with_spread(mean, spread) == text


def test_numbers_have_units_and_sensible_digits():
    values = (1234.5, 999.7, 0.01234, -0.5, 1.234e-7, 12345678, -2e20, None)
    assert [wording.number(value) for value in values] == [
        "1,234",
        "1,000",
        "0.0123",
        "−0.5",
        "1.23 × 10⁻⁷",
        "1.23 × 10⁷",
        "−2.00 × 10²⁰",
        "–",
    ]
    assert [wording.aligned(value) for value in (0.06, 2.3, -40, 0, 999.7, 5e-9)] == [
        "0.0600",
        "2.30",
        "−40.0",
        "0",
        "1,000",
        "5.00 × 10⁻⁹",
    ]
    assert [wording.percent(share) for share in (0, 1, 1e-5, 0.99999, 0.5, None)] == [
        "0 %",
        "100 %",
        "< 0.01 %",
        "> 99.9 %",
        "50.0 %",
        "–",
    ]
    assert [wording.seconds(value) for value in (0.42, 12.3, 125, 3600 * 1000, math.nan)] == [
        "0.4 s",
        "12 s",
        "2 min 5 s",
        "1,000 h 0 min",
        "–",
    ]
    assert [wording.fixed(value) for value in (-0.0004, 23.2, -1234.6, None)] == [
        "0.00",
        "23.20",
        "−1,235",
        "–",
    ]
    assert [wording.size(count) for count in (999, 999_960, 1.5e12)] == [
        "999 bytes",
        "1.00 MB",
        "1.50 TB",
    ]
    assert wording.parameter_count(1.026e12) == "1.03 trillion"
    assert wording.unbroken("8 % of 4 tensors, 3 MB") == "8\u00a0% of 4 tensors, 3\u00a0MB"
    assert wording.by_component(["text", "x", "encoder", "vision"]) == [
        "vision",
        "encoder",
        "text",
        "x",
    ]
    assert wording.plural(1, "tensor") == "1 tensor" and wording.plural(2000, "job") == "2,000 jobs"


def test_a_byte_is_translated_and_counted():
    assert [wording.size(count) for count in (0, 1, 2)] == ["0 bytes", "1 byte", "2 bytes"]
    assert translated(wording.size(1), "zh") == "1 字节"
