"""What share of two checkpoints was compared."""

import pytest

from blockresearch.report.differences.pair import compared_sentence, compared_shares
from blockresearch.tables.io import frame
from tests.unit.report.differences.samples import pair


def test_tensors_without_partner_lower_a_share():
    rows = [pair("a"), pair("b", "only_base"), pair("c", "only_other"), pair("d", "only_other")]
    assert compared_shares(frame(rows, "pairs")) == pytest.approx((1 / 2, 1 / 3))
    assert compared_shares(frame([pair("a")], "pairs")) == (1, 1)
    assert compared_shares(frame([], "pairs")) == (0, 0)


def test_of_a_resized_table_the_shared_rows_count():
    longer = pair("embed", "resized", rows=64, other_rows=128, elements=32 * 32)
    assert compared_shares(frame([longer], "pairs")) == pytest.approx((1 / 2, 1 / 4))


def test_both_shares_are_named_unless_all_is_compared():
    assert "All parameters" in compared_sentence(1, 1)
    assert "50.0 % of the parameters of the base and 33.3 %" in compared_sentence(0.5, 1 / 3)
