"""Heads, graph and directions of real weights, computed once more by TransformerLens."""

import numpy as np
import pandas as pd
import pytest

from blockresearch.circuits.direction_rows import Tokens, direction_rows
from tests.circuits import models
from tests.conftest import ROOT

# Directions with a smaller gap to the next are not defined to more digits.
GAP = 0.05

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not models.PYTHON.exists(), reason="make slow installs TransformerLens"),
]


def named(found):
    """Rows of written directions, as TransformerLens sees them: no token is left out."""
    sizes = [tensor.shape[0] for tensor in found.manifest.token_tensors]
    every = [Tokens([""] * size, np.ones(size, bool)) for size in (sizes[0], sizes[-1])]
    rows = direction_rows(found.manifest, found.files, found.directions, *every, threads=2)
    table = pd.DataFrame(rows)
    return table[(table["side"] == "write") & (table["gap"] > GAP)]


def alike(row, ends):
    """The share of the ids at both ends of a direction that are the same, whatever its sign."""
    own = [set(row["top_ids"]), set(row["bottom_ids"])]
    top, bottom = map(set, ends)
    straight = len(own[0] & top) + len(own[1] & bottom)
    flipped = len(own[0] & bottom) + len(own[1] & top)
    return max(straight, flipped) / sum(map(len, own))


@pytest.mark.parametrize("name", ["demo", "smollm2"])
def test_transformer_lens_agrees(tmp_path, name):
    folder = ROOT / "resources/demo" if name == "demo" else models.smollm2(tmp_path)
    found = models.measured(folder, tmp_path)
    places = found.edges[["part", "from_layer", "from_head", "to_layer", "to_head"]]
    theirs = models.run("transformer_lens", folder, places.to_json(orient="values"))
    for row in found.heads.to_dict("records"):
        place = row["layer_index"], row["head"]
        for circuit in ("qk", "ov"):
            values = np.array(theirs[circuit])[place]
            assert np.allclose(row[f"{circuit}_spectrum"], values / values[0], atol=1e-6)
            if pd.notna(row[f"{circuit}_spectral_norm"]):
                assert row[f"{circuit}_spectral_norm"] == pytest.approx(values[0], rel=1e-5)
        values = np.array(theirs["eigenvalues"])[place] @ [1, 1j]
        assert row["copying"] == pytest.approx(values.sum().real / abs(values).sum(), abs=1e-5)
    ours = found.edges["composition"].astype(float)
    assert len(ours) > 10 and np.allclose(ours, theirs["composition"], rtol=1e-4)
    written = named(found)
    shares = [
        alike(row, theirs["down"][row["layer_index"]][row["direction"]])
        if row["circuit"] == "down_proj"
        else alike(row, theirs["write"][row["layer_index"]][int(row["head"])][row["direction"]])
        for row in written.to_dict("records")
    ]
    print(name, len(found.heads), len(ours), len(shares), np.mean(shares), np.min(shares))
    assert len(shares) > 30 and np.mean(shares) > 0.99
