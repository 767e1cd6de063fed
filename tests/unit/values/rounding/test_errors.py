"""Rounding errors against the formats, each written down once more in plain float64."""

import numpy as np
import pytest

from blockresearch.tables.schemas import LOW_BIT_FORMATS, ROUNDING
from blockresearch.values.rounding.errors import rounding_errors
from blockresearch.values.rounding.formats import nf4

E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
E4M3 = np.r_[np.arange(8) * 2.0**-9, [2.0**e * (1 + m / 8) for e in range(-6, 9) for m in range(8)]]
E4M3 = E4M3[E4M3 <= 448]


def on_grid(x, grid):
    signed = np.unique(np.r_[-grid, grid])
    return signed[np.argmin(np.abs(x[..., None] - signed), axis=-1)]


def in_blocks(w, size, quantized):
    parts = [quantized(w[:, i : i + size]) for i in range(0, w.shape[1], size)]
    return np.concatenate(parts, axis=1)


def peak(block):
    sizes = np.abs(block).max(axis=1, keepdims=True)
    return np.where(sizes == 0, 1, sizes)


def integers(step, low, high):
    return lambda block: np.clip(np.rint(block / step(block)), low, high) * step(block)


def asymmetric(block):
    low = np.minimum(block.min(axis=1, keepdims=True), 0)
    high = np.maximum(block.max(axis=1, keepdims=True), 0)
    step = np.where(high == low, 1, (high - low) / 15)
    zero = np.rint(-low / step)
    return (np.clip(np.rint(block / step) + zero, 0, 15) - zero) * step


def nvfp4(w):
    unit = np.abs(w).max() / (6 * 448)

    def quantized(block):
        scale = on_grid(np.abs(block).max(axis=1, keepdims=True) / 6 / unit, E4M3) * unit
        safe = np.where(scale == 0, 1, scale)
        return np.where(scale == 0, 0, on_grid(block / safe, E2M1) * safe)

    return in_blocks(w, 16, quantized)


def mxfp4(block):
    scale = 2.0 ** (np.floor(np.log2(peak(block))) - 2)
    return on_grid(block / scale, E2M1) * scale


PLAIN = {
    "int8_channel": integers(lambda w: peak(w) / 127.5, -128, 127),
    "int4_g128_sym": lambda w: in_blocks(w, 128, integers(lambda b: peak(b) / 7.5, -8, 7)),
    "int4_g128_asym": lambda w: in_blocks(w, 128, asymmetric),
    "nf4": lambda w: in_blocks(
        w, 64, lambda b: on_grid_signed(b / peak(b), nf4.LEVELS.astype(float)) * peak(b)
    ),
    "fp8_tensor": lambda w: on_grid(w / np.abs(w).max() * 448, E4M3) * np.abs(w).max() / 448,
    "fp8_channel": lambda w: on_grid(w / peak(w) * 448, E4M3) * peak(w) / 448,
    "mxfp4": lambda w: in_blocks(w, 32, mxfp4),
    "nvfp4": nvfp4,
}


def on_grid_signed(x, grid):
    return grid[np.argmin(np.abs(x[..., None] - grid), axis=-1)]


def weights(rows=37, cols=301):
    rng = np.random.default_rng(0)
    w = rng.standard_normal((rows, cols)) * 0.02 * rng.lognormal(size=(rows, 1))
    w[3] = 0
    w[5, :128] = 0
    w[7, 130:150] *= 1e-9
    w[11] = np.abs(w[11])
    return w.astype(np.float32)


def of(w, step=10):
    panels = (w[i : i + step].copy() for i in range(0, len(w), step))
    return rounding_errors(panels, float(np.abs(w).max()))


@pytest.mark.parametrize("name", LOW_BIT_FORMATS)
def test_errors_agree_with_the_format_written_plainly(name):
    w = weights()
    wide = w.astype(np.float64)
    error = wide - PLAIN[name](wide)
    found = of(w)
    ratio = 10 * np.log10((wide**2).sum() / (error**2).sum())
    assert found[f"{name}_sqnr_db"] == pytest.approx(ratio, abs=1e-4)
    assert found[f"{name}_max_error"] == pytest.approx(np.abs(error).max(), rel=1e-4)


def test_torch_rounds_to_e4m3_the_same_way():
    torch = pytest.importorskip("torch")
    w = weights()
    scale = torch.from_numpy(w).abs().max() / 448
    rounded = (torch.from_numpy(w) / scale).to(torch.float8_e4m3fn).float() * scale
    error = (rounded.numpy() - w).astype(np.float64)
    assert of(w)["fp8_tensor_sqnr_db"] == pytest.approx(
        10 * np.log10((w.astype(np.float64) ** 2).sum() / (error**2).sum()), abs=1e-4
    )


def test_scale_and_panels_change_nothing():
    w = weights()
    one = of(w)
    assert tuple(one) == ROUNDING
    for other in (of(w, 37), of(w, 1)):
        assert other == one
    for exponent in (-120, 120):
        scaled = of(w.astype(np.float64) * 2.0 ** (8 * exponent))
        for name, value in one.items():
            factor = 2.0 ** (8 * exponent) if name.endswith("max_error") else 1
            assert scaled[name] == pytest.approx(value * factor, rel=1e-6)


def test_exact_weights_have_no_ratio():
    exact = of(np.array([[6, 4, 3, 2, -1.5, 1, 0.5, 0] * 4], dtype=np.float32))
    assert exact["mxfp4_max_error"] == 0 and exact["mxfp4_sqnr_db"] is None
    assert exact["int8_channel_sqnr_db"] > 40
    assert set(of(np.zeros((4, 8), dtype=np.float32)).values()) == {None}
