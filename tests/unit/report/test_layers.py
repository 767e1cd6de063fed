"""Sentences on how the weights change with depth and between experts."""

from blockresearch.report.layers import expert_finding, layer_findings
from blockresearch.tables.io import frame


def test_depth_findings_compare_equal_block_types():
    def row(layer, block, norm):
        where = {"component": "text", "layer_index": layer, "block_type": block}
        return where | {"matrices": 1, "std": 1.0 + layer, "spectral_norm": norm}

    norms = [("q_proj", (1, 1, 4)), ("v_proj", (50, 50, 51))]
    rows = [row(n, block, norm) for block, own in norms for n, norm in enumerate(own)]
    found = " ".join(layer_findings(frame(rows, "layers")))
    assert (
        "farthest above the median of its block type is that of q_proj in layer 2: 4.00 (median "
        "1.00)." in found
    )
    assert "text" not in found, "there is only one component"
    alike = [row(n, "q_proj", 2 + n / 50) | {"std": 1 + n / 50} for n in range(3)]
    found = " ".join(layer_findings(frame(alike, "layers")))
    assert "change little with depth" in found and "No spectral norm is far above" in found


def test_the_expert_that_differs_most_is_named():
    def expert(layer, number, std):
        where = {"component": "text", "layer_index": layer, "projection": "up_proj"}
        return where | {"expert_index": number, "std": std}

    rows = [expert(layer, number, 1.0 + layer) for layer in (0, 1) for number in range(4)]
    alike = expert_finding(frame(rows, "matrices"))
    assert alike.endswith("differs by more than 0 % from the median of its layer.")
    rows[6] |= {"std": 0.5}
    found = expert_finding(frame(rows, "matrices"))
    assert "expert 2 of layer 1: the standard deviation of its up_proj is 0.500, against" in found
    assert expert_finding(frame([], "matrices")) is None
