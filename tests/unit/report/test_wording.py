"""Numbers as people read them."""

import pytest

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
