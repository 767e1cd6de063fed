"""The numbers by which models are compared."""

import pytest

from blockresearch.report import comparison
from blockresearch.tables.io import frame


def test_numbers_to_compare_are_those_of_the_tables():
    params = frame(
        [
            {"block_type": "q_proj", "numel": 30, "dtype": "F32", "shape": [5, 6]},
            {"block_type": "embedding", "numel": 10, "dtype": "BF16", "shape": [5, 2]},
            {"block_type": "norm", "numel": 60, "dtype": "F32", "shape": [60]},
        ],
        "params",
    )
    matrices = frame(
        [
            {"rows": 5, "cols": 6, "resolved_rank_ratio": 1.0, "stable_rank": 2.0}
            | {"max_over_rms": 9.0, "alpha": 7.0, "alpha_passes": False},
            {"rows": 5, "cols": 2, "resolved_rank_ratio": 0.5, "stable_rank": 4.0}
            | {"max_over_rms": 3.0, "alpha": 2.5, "alpha_passes": True},
        ],
        "matrices",
    )
    manifest = {"totals": {"parameters": 100, "tensors": 3, "bytes": 380}}
    audit = {"counts": {"error": 0, "warning": 2, "note": 0}}
    found = comparison.numbers(manifest, params, matrices, audit, {"rows": 5, "dimensions": 2})
    assert [found[key] for key in ("attention_share", "embedding_share", "other_share")] == [
        0.3,
        0.1,
        pytest.approx(0.6),
    ]
    assert found["dtypes"] == "F32, BF16" and found["full_rank_share"] == 0.5
    assert found["stable_rank"] == 3.0 and found["max_over_rms"] == 9.0
    assert found["alpha"] == 2.5 and found["alpha_share"] == 0.5
    assert found["spectral_norm"] is None and found["warnings"] == 2 and found["layers"] is None
    texts = dict(zip([row.key for row in comparison.ROWS], comparison.written(found), strict=True))
    assert (
        texts["stable_rank"] == "3.00"
        and texts["spectral_norm"] == "–"
        and texts["bytes"] == "380 bytes"
    )
    [blocks] = comparison.composition(params).values()
    assert [block.block_type for block in blocks] == ["embedding", "q_proj", "norm"]
