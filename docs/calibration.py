"""Write docs/calibration.md: how often noise has spikes, is rejected as noise, or has a power law.

python -m docs.calibration

Takes a few minutes. Nothing is read but the program: a Gaussian matrix [p, q] has the singular
values of a bidiagonal one of independent χ numbers (Golub and Kahan; Silverstein 1985), so that
spectra of any size are drawn quickly, and those that only need a median and a count by bisection.
"""

import math
from pathlib import Path

import numpy as np

from blockresearch.compiled import compiled
from blockresearch.files import write_text
from blockresearch.spectra import lapack, noise
from blockresearch.spectra.metrics import spectral_metrics

# Draws by the smaller side: (for the rate of spikes, of whole spectra).
DRAWS = {
    4: (40_000, 300),
    8: (40_000, 300),
    16: (40_000, 300),
    32: (40_000, 300),
    64: (30_000, 200),
    128: (20_000, 200),
    256: (10_000, 100),
    512: (6_000, 60),
    1024: (4_000, 20),
    2048: (2_000, 0),
    4096: (1_500, 0),
}

# Longer over smaller side.
RATIOS = (1, 2, 4, 16, 64)

LONGEST = 65_536

PROMISED = 0.001

HEAD = """\
# Calibration of the noise columns

Made by `python -m docs.calibration` from Gaussian matrices, through the program's own functions.
Nothing in such a matrix is signal, so every number here is a rate of false alarms.

"""

SPIKES = """\
## Spikes

Share of noise matrices with one spike or more. 0.10 % is promised. The plain threshold is the
99.9 % point of Tracy and Widom, which is right if the noise level is known; `spikes` uses the
corrected one, because the level is estimated from the median. ± is a standard error.

| shape | matrices | plain threshold | corrected (`spikes`) |
|---|---|---|---|
"""

FITS = """\
## Distances and power laws

Median and 99 % quantile of `mp_ks` of noise, and how often `mp_rejected` is true for it. Then the
power law fitted to it: median of `alpha`, of `alpha_tail` and of `alpha_ks`, the 5 % quantile of
the latter with the bound `alpha_noise_ks` that the program uses, and how often `alpha_passes` is
true.

| shape | matrices | `mp_ks` | 99 % | rejected | α | tail | `alpha_ks` | 5 % | bound | passes |
|---|---|---|---|---|---|---|---|---|---|---|
"""


@compiled
def count_below(diagonal, squares, x):
    """Number of eigenvalues below `x` of the tridiagonal matrix with this diagonal [q] and these
    squared off-diagonal elements [q - 1] (Sturm)."""
    pivot = diagonal[0] - x
    count = int(pivot < 0)
    for i in range(1, len(diagonal)):
        if pivot == 0.0:
            pivot = 1e-300
        pivot = diagonal[i] - x - squares[i - 1] / pivot
        count += pivot < 0
    return count


@compiled
def eigenvalue(diagonal, squares, number, high):
    """The eigenvalue of that number from 0, ascending, by bisection below `high`."""
    low = 0.0
    while high - low > 1e-8 * high:
        middle = (low + high) / 2
        if count_below(diagonal, squares, middle) > number:
            high = middle
        else:
            low = middle
    return (low + high) / 2


def tridiagonal(p: int, q: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Diagonal [q] and squared off-diagonal [q - 1] of GᵀG for a Gaussian G [p, q], p ≥ q."""
    columns = random.chisquare(p - np.arange(q))
    rows = random.chisquare(q - 1 - np.arange(q - 1))
    diagonal = columns.copy()
    diagonal[1:] += rows
    return diagonal, columns[:-1] * rows


def rates_of_spikes(p: int, q: int, draws: int) -> tuple[float, float]:
    """Shares of `draws` noise matrices [p, q] beyond the plain and beyond the used threshold."""
    random = np.random.default_rng([p, q])
    wide, narrow = math.sqrt(p), math.sqrt(q)
    fluctuation = (wide + narrow) * (1 / wide + 1 / narrow) ** (1 / 3)
    plain = (wide + narrow) ** 2 + noise.TRACY_WIDOM_999 * fluctuation
    used = noise.threshold(1.0, p, q) ** 2
    scale = p * noise.marchenko_pastur_median(q / p)
    found = np.zeros(2)
    for _ in range(draws):
        diagonal, squares = tridiagonal(p, q, random)
        high = 2 * (wide + narrow) ** 2 + 100
        upper = eigenvalue(diagonal, squares, q // 2, high)
        lower = upper if q % 2 else eigenvalue(diagonal, squares, q // 2 - 1, 1.001 * upper)
        level = ((math.sqrt(upper) + math.sqrt(lower)) / 2) ** 2 / scale
        found += [count_below(diagonal, squares, level * bound) < q for bound in (plain, used)]
    return float(found[0] / draws), float(found[1] / draws)


def metrics_of_noise(p: int, q: int, draws: int) -> list[dict]:
    """Spectral metrics of `draws` noise matrices [p, q]."""
    random = np.random.default_rng([p, q, 1])
    result = []
    for _ in range(draws):
        diagonal, squares = tridiagonal(p, q, random)
        eigenvalues = lapack.tridiagonal_eigenvalues(diagonal, np.sqrt(squares))[::-1]
        result.append(spectral_metrics(np.sqrt(np.maximum(eigenvalues, 0.0)), p, q))
    return result


def percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def manual() -> str:
    """The page as Markdown."""
    spikes, fits = [], []
    for q, (many, few) in DRAWS.items():
        for p in (q * ratio for ratio in RATIOS if q * ratio <= LONGEST):
            plain, used = rates_of_spikes(p, q, many)
            error = math.sqrt(PROMISED / many)
            spikes.append(
                f"| {p} × {q} | {many:,} | {percent(plain)} | {percent(used)} ± {100 * error:.2f} |"
            )
            rows = metrics_of_noise(p, q, few)
            if rows:
                fits.append(f"| {p} × {q} | {few:,} | {' | '.join(described(rows))} |")
    lines = [HEAD, SPIKES, "\n".join(spikes), "\n\n", FITS, "\n".join(fits), "\n"]
    return "".join(lines)


def described(rows: list[dict]) -> list[str]:
    """The cells of the second table from the metrics of some noise matrices."""

    def quantile(name: str, share: float) -> float:
        return float(np.quantile([row[name] for row in rows if row[name] is not None], share))

    def rate(name: str) -> str:
        return percent(float(np.mean([bool(row[name]) for row in rows])))

    return [
        f"{quantile('mp_ks', 0.5):.4f}",
        f"{quantile('mp_ks', 0.99):.4f}",
        rate("mp_rejected"),
        f"{quantile('alpha', 0.5):.1f}",
        f"{quantile('alpha_tail', 0.5):.0f}",
        f"{quantile('alpha_ks', 0.5):.3f}",
        f"{quantile('alpha_ks', 0.05):.3f}",
        f"{quantile('alpha_noise_ks', 0.5):.3f}",
        rate("alpha_passes"),
    ]


if __name__ == "__main__":
    write_text(manual(), Path(__file__).with_name("calibration.md"))
