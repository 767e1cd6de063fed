"""The numbers of a checkpoint once more, by plain NumPy and SciPy from the formulas of the manual.

Nothing of the program is imported: files are parsed here, values are float64, singular values come
from LAPACK's SVD, rounding runs in float64, and the power law tries every tail.
"""

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.linalg
from scipy.optimize import brentq

QUANTILES = "q001 q01 q05 q25 q50 q75 q95 q99 q999".split()
LEVELS = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)

# Bits of exponent and mantissa.
LAYOUTS = {"BF16": (8, 7), "F16": (5, 10), "F32": (8, 23)}

E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
E4M3 = np.array(
    [m / 8 * 2.0**-6 for m in range(8)]
    + [(1 + m / 8) * 2.0 ** (e - 7) for e in range(1, 16) for m in range(8)][:-1]
)
NF4 = np.array(
    [
        *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
        *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
        *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
        *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
    ]
)


@dataclass(frozen=True)
class Stored:
    """One tensor of a file: its type, shape, codes (unsigned) and values (float64), flat."""

    dtype: str
    shape: tuple[int, ...]
    codes: np.ndarray
    values: np.ndarray


def read(path: Path) -> dict[str, Stored]:
    """All tensors of a safetensors file of BF16, F16 and F32."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    found = {}
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    for name, entry in header.items():
        begin, end = (8 + length + at for at in entry["data_offsets"])
        raw, dtype = data[begin:end], entry["dtype"]
        codes = np.frombuffer(raw, "<u4" if dtype == "F32" else "<u2")
        floats = {
            "BF16": lambda codes=codes: (codes.astype("<u4") << 16).view("<f4"),
            "F16": lambda codes=codes: codes.view("<f2"),
            "F32": lambda codes=codes: codes.view("<f4"),
        }[dtype]()
        found[name] = Stored(dtype, tuple(entry["shape"]), codes, floats.astype(np.float64))
    return found


def entropy(counts: np.ndarray) -> float:
    shares = counts[counts > 0] / counts.sum()
    return max(0.0, float(-(shares * np.log2(shares)).sum()))


def ratio(one: float, other: float) -> float | None:
    return one / other if other else None


def of_values(tensor: Stored, rows: int, cols: int, sparsity: float = 1e-6) -> dict:
    """The columns of values."""
    w, codes = tensor.values, tensor.codes
    good = w[np.isfinite(w)]
    found: dict = {
        "numel": w.size,
        "finite_count": good.size,
        "nan_count": np.isnan(w).sum(),
        "posinf_count": (w == np.inf).sum(),
        "neginf_count": (w == -np.inf).sum(),
        "rows": rows,
        "cols": cols,
        "nbytes": w.size * (4 if tensor.dtype == "F32" else 2),
        "bits_per_weight": 32.0 if tensor.dtype == "F32" else 16.0,
    }
    exponent, mantissa = LAYOUTS[tensor.dtype]
    narrow = tensor.dtype != "F32"
    if narrow:
        found["entropy_bits"] = entropy(np.unique(codes, return_counts=True)[1])
        part = np.unique(codes & (2**mantissa - 1), return_counts=True)[1]
        found["entropy_mantissa_bits"] = entropy(part)
        found["distinct_values"] = len(np.unique(good))
    if narrow or good.size == w.size:
        sign = np.unique(codes >> (exponent + mantissa), return_counts=True)[1]
        found["entropy_sign_bits"] = entropy(sign)
        part = np.unique(codes >> mantissa & (2**exponent - 1), return_counts=True)[1]
        found["entropy_exponent_bits"] = entropy(part)
    mean = good.mean()
    d = good - mean
    mean += d.mean()
    d = good - mean
    var = (d * d).mean()
    std, size = math.sqrt(var), np.abs(good)
    found |= {
        "mean": mean,
        "var": var,
        "std": std,
        "min": good.min(),
        "max": good.max(),
        "absmax": size.max(),
        "rms": math.sqrt((good * good).mean()),
        "max_over_rms": ratio(size.max(), math.sqrt((good * good).mean())),
        "zero_fraction": (good == 0).mean(),
        "sparsity": (size <= sparsity).mean(),
        "skewness": (d**3).mean() / std**3 if var else None,
        "kurtosis_excess": (d**4).mean() / var**2 - 3 if var else None,
        "outlier_3sigma": (np.abs(d) > 3 * std).mean() if var else None,
        "outlier_6sigma": (np.abs(d) > 6 * std).mean() if var else None,
        "fp16_exact_fraction": (good.astype(np.float16).astype(float) == good).mean(),
        **dict(zip(QUANTILES, np.quantile(good, LEVELS), strict=True)),
    }
    order = np.argsort(-np.where(np.isfinite(w), np.abs(w), -1), kind="stable")[:16]
    order = order[np.isfinite(w[order]) & (w[order] != 0)]
    found |= {"top_values": w[order], "top_rows": order // cols, "top_cols": order % cols}
    if rows < 2 or cols < 2:
        return found
    grid = np.where(np.isfinite(w), w, 0).reshape(rows, cols)
    for name, axis in (("row", 1), ("col", 0)):
        norms, peaks = np.sqrt((grid**2).sum(axis=axis)), np.abs(grid).max(axis=axis)
        found[f"{name}_norm_cv"] = ratio(norms.std(), norms.mean())
        found[f"{name}_norm_max_over_median"] = ratio(norms.max(), np.median(norms))
        found[f"{name}_absmax_max_over_median"] = ratio(peaks.max(), np.median(peaks))
        found[f"zero_{name}s"] = (peaks == 0).sum()
    return found


def spacing(tensor: Stored) -> np.ndarray:
    exponent, mantissa = LAYOUTS[tensor.dtype]
    size = np.maximum(np.abs(tensor.values), 2.0 ** (2 - 2 ** (exponent - 1)))
    return np.where(tensor.values == 0, 0, 2.0 ** (np.floor(np.log2(size)) - mantissa))


def power_law(eigenvalues: np.ndarray) -> tuple[float, float, float, int]:
    """(α, xmin, distance, tail) of the best of all tails."""
    x, best = np.sort(eigenvalues), (math.inf, 0.0, 0.0, 0)
    for start in range(len(x) - 1):
        tail = x[start:] / x[start]
        total = np.log(tail).sum()
        if total <= 0:
            continue
        alpha = 1 + len(tail) / total
        gap = np.abs(1 - tail ** (1 - alpha) - np.arange(len(tail)) / len(tail)).max()
        best = min(best, (gap, alpha, x[start], len(tail)))
    return best[1], best[2], best[0], best[3]


def noise_shares(x: np.ndarray, beta: float) -> np.ndarray:
    """Shares of the Marchenko-Pastur law below `x` [n], by quadrature of its density in √x."""
    low, high = 1 - math.sqrt(beta), 1 + math.sqrt(beta)
    nodes, weights = np.polynomial.legendre.leggauss(400)
    ends = np.clip(np.sqrt(x), low, high)[:, None]
    r = low + (ends - low) * (nodes + 1) / 2
    # The density of r = √x: that of x times 2r.
    density = np.sqrt(np.maximum((high**2 - r**2) * (r**2 - low**2), 0)) / (math.pi * beta)
    return (density / np.where(r > 0, r, 1) * weights).sum(axis=1) * (ends[:, 0] - low) / 2


def of_spectrum(s: np.ndarray, tensor: Stored, rows: int, cols: int) -> dict:
    """The columns of singular values `s` (descending)."""
    q, p = sorted((rows, cols))
    beta, total, lam = q / p, (s**2).sum(), s**2
    frobenius = math.sqrt(total)
    u = spacing(tensor).reshape(rows, cols)
    typical = math.sqrt((u**2).sum(axis=1).max() / 12) + math.sqrt((u**2).sum(axis=0).max() / 12)
    found: dict = {
        "rank": (s > s[0] * p * 2.0**-23).sum(),
        "resolved_rank": (s > frobenius * 2.0**-24).sum(),
        "storage_rank": (s > typical).sum(),
        "storage_rank_min": (s > math.sqrt((u**2).sum()) / 2).sum(),
        "spectral_norm": s[0],
        "frobenius_norm": frobenius,
        "nuclear_norm": s.sum(),
    }
    found["rank_ratio"] = found["rank"] / q
    found["resolved_rank_ratio"] = found["resolved_rank"] / q
    if s[0] == 0:
        return found
    reached = np.cumsum(lam) / total

    def spread(x: np.ndarray) -> float:
        x = x[x > 0] / x.sum()
        return math.exp(-(x * np.log(x)).sum())

    found |= {
        "stable_rank": total / lam[0],
        "effective_rank_sigma": spread(s),
        "effective_rank_energy": spread(lam),
        "participation_ratio": total**2 / (lam**2).sum(),
        **{f"k{k}": (reached < k / 100).sum() + 1 for k in (90, 95, 99)},
        "condition_number": ratio(s[0], s[-1]),
        "bottom_decile_energy": lam[-(q // 10) :].sum() / total if q >= 10 else None,
    }
    quarter, three = np.percentile(s, (25, 75))
    above = s > (three - quarter) / 1.349 * (1 + math.sqrt(beta))
    found["spectrum_snr"] = ratio(s[above].sum(), s[~above].sum() * s[0])
    alpha, xmin, distance, tail = power_law(lam[lam > 0])
    upper = lam[: q // 2]
    found |= {
        "alpha": alpha,
        "alpha_xmin": xmin,
        "alpha_xmin_share": xmin / lam[0],
        "alpha_ks": distance,
        "alpha_tail": tail,
        "alpha_stderr": (alpha - 1) / math.sqrt(tail),
        "alpha_hill": 1 + len(upper) / np.log(upper / lam[q // 2]).sum(),
        "alpha_noise_ks": 0.105 + 0.4 / q,
        "weightwatcher_alpha": power_law(lam[lam > 1e-5])[0] if (lam > 1e-5).sum() >= 20 else None,
    }
    top = lam[:tail][::-1] / xmin
    exponential = -math.log(top.mean() - 1) - (top - 1) / (top.mean() - 1)
    gaps = math.log(alpha - 1) - alpha * np.log(top) - exponential
    found["alpha_vs_exponential"] = gaps.sum()
    found["alpha_vs_exponential_p"] = math.erfc(
        abs(gaps.sum()) / (gaps.std() * math.sqrt(2 * len(gaps)))
    )
    if min(found["resolved_rank"], found["storage_rank"]) * 2 < q or tensor.values.std() == 0:
        return found
    low, high = (1 - math.sqrt(beta)) ** 2, (1 + math.sqrt(beta)) ** 2
    median = brentq(lambda x: noise_shares(np.array([x]), beta)[0] - 0.5, low, high, xtol=1e-15)
    sigma = np.median(s) / math.sqrt(p * median)
    law = noise_shares((s[::-1] / sigma) ** 2 / p, beta)
    steps = np.arange(q + 1) / q
    wide, narrow = math.sqrt(p), math.sqrt(q)
    t = 3.2724 + 20.6 * beta**1.1 * q ** (-2 / 3) * (1 + 8 / q**2)
    edge = (wide + narrow) ** 2 + t * (wide + narrow) * (1 / wide + 1 / narrow) ** (1 / 3)
    spikes = s > sigma * math.sqrt(edge)
    share = lam[spikes].sum() / total
    return found | {
        "mp_sigma": sigma,
        "mp_edge": sigma * (wide + narrow),
        "mp_lower_edge": sigma * (wide - narrow),
        "mp_ks": max((law - steps[:-1]).max(), (steps[1:] - law).max()),
        "spikes": spikes.sum(),
        "energy_beyond_edge": share,
        "calibrated_snr_db": 10 * math.log10(share / (1 - share)) if 0 < share < 1 else None,
    }


def nearest(x: np.ndarray, book: np.ndarray) -> np.ndarray:
    """The nearest number of an ascending book of numbers ≥ 0, with the sign of x."""
    middle = (book[1:] + book[:-1]) / 2
    return np.sign(x) * book[np.searchsorted(middle, np.abs(x))]


def groups(w: np.ndarray, length: int) -> np.ndarray:
    """Rows [r, c] as groups along them [r, g, length], padded with zeros."""
    return np.pad(w, ((0, 0), (0, -w.shape[1] % length))).reshape(len(w), -1, length)


def of_rounding(w: np.ndarray) -> dict:
    """Errors of rounding a matrix to the low-bit formats."""

    def scaled(x, scale, codes):
        safe = np.where(scale > 0, scale, 1)
        return codes(x / safe) * safe

    def peak(x):
        return np.abs(x).max(axis=-1, keepdims=True)

    g128, g64, g32, g16 = (groups(w, length) for length in (128, 64, 32, 16))
    low, high = (f(g128, axis=-1, keepdims=True) for f in (np.min, np.max))
    low, high = np.minimum(low, 0), np.maximum(high, 0)
    step = np.where(high > low, (high - low) / 15, 1)
    zero = np.round(-low / step)
    whole = np.abs(w).max() / (6 * 448) or 1.0
    block = nearest(peak(g16) / 6 / whole, E4M3) * whole
    middle = (NF4[1:] + NF4[:-1]) / 2
    power = 2.0 ** (np.floor(np.log2(np.where(peak(g32) > 0, peak(g32), 1))) - 2)
    row = w[:, None, :]
    rounded = {
        "int8_channel": (
            row,
            scaled(row, peak(row) / 127.5, lambda x: np.round(x).clip(-128, 127)),
        ),
        "int4_g128_sym": (g128, scaled(g128, peak(g128) / 7.5, lambda x: np.round(x).clip(-8, 7))),
        "int4_g128_asym": (
            g128,
            (np.clip(np.round(g128 / step) + zero, 0, 15) - zero) * step,
        ),
        "nf4": (g64, scaled(g64, peak(g64), lambda x: NF4[np.searchsorted(middle, x)])),
        "fp8_tensor": (row, scaled(row, np.abs(w).max() / 448, lambda x: nearest(x, E4M3))),
        "fp8_channel": (row, scaled(row, peak(row) / 448, lambda x: nearest(x, E4M3))),
        "mxfp4": (g32, scaled(g32, power, lambda x: nearest(x, E2M1))),
        "nvfp4": (g16, scaled(g16, block, lambda x: nearest(x, E2M1))),
    }
    found = {}
    for name, (given, kept) in rounded.items():
        error = given - kept
        energy = (error**2).sum()
        found[f"{name}_sqnr_db"] = 10 * math.log10((w**2).sum() / energy) if energy else None
        found[f"{name}_max_error"] = np.abs(error).max()
    return found


def singular_values(w: np.ndarray) -> np.ndarray:
    """LAPACK's singular values, of a long matrix through its QR decomposition."""
    w = w if len(w) >= w.shape[1] else w.T
    if len(w) > 4 * w.shape[1]:
        w = scipy.linalg.qr(w, mode="r")[0][: w.shape[1]]
    return scipy.linalg.svdvals(w)
