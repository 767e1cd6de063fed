"""The curve of K-means beside a plain loop of scikit-learn, in one run on the same machine.

    python -m tests.benchmarks.embedding [--model FOLDER] [--rows 16000] [--k_max 30]

The table is the token embedding of the model (rows taken evenly), by default a simulated one of 576
dimensions. The plain loop with ten starts is measured at a few k and summed up over all by a line
through them, because in full it takes minutes.
"""

import argparse
import resource
import time

import numpy as np
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from workflow.lib import checkpoint, cli, embedding_rows
from workflow.lib.cluster_checks import checks
from workflow.lib.clustering import subspace, warm_path
from workflow.lib.elbow import elbow
from workflow.lib.vectors import principal_components

DIMENSIONS = 576
MEASURED = 4


def simulated(rows: int) -> np.ndarray:
    """Rows with a spectrum that falls like that of a token embedding, in forty loose groups."""
    random = np.random.default_rng(0)
    scales = 1 / np.sqrt(1 + np.arange(DIMENSIONS) / 10)
    centres = 0.5 * random.standard_normal((40, DIMENSIONS)) * scales
    groups = random.integers(0, 40, rows)
    return (centres[groups] + random.standard_normal((rows, DIMENSIONS)) * scales).astype("f4")


def stored(folder: str, rows: int) -> np.ndarray:
    """Rows of a model's token embedding, evenly chosen."""
    manifest = checkpoint.describe_folder(folder, cli.now(), hashed=False)
    table, reason = embedding_rows.read_rows(manifest, lambda file: f"{folder}/{file}")
    if table is None:
        raise SystemExit(reason)
    return np.ascontiguousarray(table[:: max(1, len(table) // rows)])


def timed(work):
    """What `work` returns and the seconds it took, on one BLAS thread."""
    start = time.perf_counter()
    with threadpool_limits(1):
        result = work()
    return result, time.perf_counter() - start


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="folder of a model")
    parser.add_argument("--rows", type=int, default=16_000)
    parser.add_argument("--k_max", type=int, default=30)
    options = parser.parse_args()
    rows = stored(options.model, options.rows) if options.model else simulated(options.rows)
    ks = sorted({2, *np.linspace(2, options.k_max, MEASURED, dtype=int).tolist()})

    fits, ours = timed(lambda: warm_path(rows, 2, options.k_max))
    components = principal_components(rows, subspace(rows.shape[1], options.k_max))
    _, checking = timed(lambda: checks(components.project(rows), components, options.k_max))
    shares = {fit.k: 1 - fit.inertia / fit.total for fit in fits}
    total = fits[0].total
    seconds, worst = [], 1.0
    for k in ks:
        best, spent = timed(lambda k=k: KMeans(k, n_init=10, random_state=0).fit(rows))
        seconds.append(spent)
        worst = min(worst, shares[k] / (1 - best.inertia_ / total))
    plain = float(np.interp(range(2, options.k_max + 1), ks, seconds).sum())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"rows x dimensions                        {len(rows):,} x {rows.shape[1]}")
    print(f"k                                        2 to {options.k_max}, elbow at {elbow(fits)}")
    print(f"curve                                    {ours:8.1f} s")
    print(f"stability and null                       {checking:8.1f} s")
    print(f"plain loop, n_init=10 (from {len(ks)} of them)    {plain:8.1f} s")
    print(f"plain loop / curve                       {plain / ours:8.1f}   target >= 10")
    print(f"explained share / plain, lowest          {worst:8.4f}   target >= 0.99")
    print(f"peak memory                              {memory:8.0f} MB")


if __name__ == "__main__":
    main()
