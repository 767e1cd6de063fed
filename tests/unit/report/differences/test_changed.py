"""What changed in a matrix, as texts."""

import pandas as pd

from blockresearch.report.differences.changed import what_changed
from blockresearch.tables.io import frame
from tests.unit.report.differences.samples import difference


def test_what_changed_is_said_by_its_numbers():
    def said(**numbers):
        (row,) = frame([difference("w", **numbers)], "differences").to_dict("records")
        return what_changed({k: pd.NA if v is None else v for k, v in row.items()})

    assert said(delta_storage_rank=0) == "no larger than rounding"
    assert said(delta_storage_rank=32, delta_spikes=0) == "no direction beyond noise"
    assert said(delta_storage_rank=32, delta_spikes=3, cosine=0.5) == "full rank; cosine 0.500"
    # The rank of a rotated matrix says nothing about its change.
    rotated = {"relation": "rotated", "delta_storage_rank": 32, "cosine": -0.02}
    assert said(**rotated) == "rotated; cosine −0.0200"
    assert said(changed=0.01, ulp_median=1) == "sparse: 1.0 % of the codes"
    rounded = {"grid_format": "nvfp4", "sqnr_db": 20.5, "delta_storage_rank": 32}
    assert said(**rounded) == "rounded to nvfp4, 20.5 dB"
    assert said(compared_as=None, sqnr_db=18.4) == "18.4 dB as a copy"
