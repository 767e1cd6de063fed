"""A planted amplifier is found with its neuron, and eigenvalues agree with dense matrices."""

import numpy as np
import pytest

from blockresearch.circuits.amplifiers import LISTED, amplifier_rows
from blockresearch.circuits.mlps import MlpMatrix

NEURONS, WIDTH = 200, 64


def mlp(seed=0):
    random = np.random.default_rng(seed)
    return {
        name: (0.1 * random.standard_normal((NEURONS, WIDTH))).astype(np.float32)
        for name in ("gate_proj", "up_proj", "down_proj")
    }


def rows_of(matrices):
    return list(amplifier_rows([MlpMatrix(name, each, None) for name, each in matrices.items()]))


def dense(matrices, channel):
    """Eigenvalues of S_k."""
    up, gate, down = (
        matrices[f"{name}_proj"].astype(np.float64) for name in ("up", "gate", "down")
    )
    form = (up * down[:, channel, None]).T @ gate
    return np.linalg.eigvalsh((form + form.T) / 2)


def test_a_planted_amplifier_is_found():
    matrices = mlp()
    # The neuron of a super weight: gate and up look for the same direction.
    matrices["gate_proj"][7] = matrices["up_proj"][7] = 3 * np.eye(WIDTH)[5]
    matrices["down_proj"][7, 11] = -2
    first, *others = rows_of(matrices)
    assert (first["channel"], first["neuron"], first["neuron_weight"]) == (11, 7, -2)
    assert first["neuron_gain"] == pytest.approx(9) and first["neuron_share"] > 0.95
    values = dense(matrices, 11)
    assert first["amplification"] == pytest.approx(values[0], rel=1e-5)
    assert values[0] == pytest.approx(-18, rel=0.02)
    assert first["over_median"] > 10 > 6 > others[0]["over_median"]
    # What the MLP does to the input that it looks for, but for the activation.
    x = np.eye(WIDTH)[5]
    hidden = (matrices["gate_proj"] @ x) * (matrices["up_proj"] @ x)
    assert (hidden @ matrices["down_proj"])[11] == pytest.approx(values[0], rel=0.02)


def test_noise_has_no_amplifier():
    matrices = mlp(1)
    rows = rows_of(matrices)
    assert len(rows) == LISTED and max(row["over_median"] for row in rows) < 1.3
    for row in rows:
        values = dense(matrices, row["channel"])
        largest = values[np.abs(values).argmax()]
        assert abs(row["amplification"]) == pytest.approx(abs(largest), rel=0.05)


def test_without_a_gate_the_sum_is_linear():
    matrices = mlp(2)
    del matrices["gate_proj"]
    matrices["down_proj"][:, 3] *= 5
    row = rows_of(matrices)[0]
    assert row["channel"] == 3 and not row["has_gate"]
    linear = matrices["down_proj"][:, 3].astype(np.float64) @ matrices["up_proj"]
    assert row["amplification"] == pytest.approx(np.linalg.norm(linear), rel=1e-5)
    assert row["neuron_gain"] == pytest.approx(np.linalg.norm(matrices["up_proj"][row["neuron"]]))


def test_what_is_no_whole_mlp_has_no_rows():
    matrices = mlp(3)
    assert rows_of({"down_proj": matrices["down_proj"]}) == []
    zeros = {name: np.zeros_like(each) for name, each in matrices.items()}
    assert rows_of(zeros) == []
