"""Clusters of a token embedding beside plain loops of scikit-learn, and a large table in full.

    python -m tests.benchmarks.embedding [FOLDER] [--rows N] [--k_max K] [--every_k] [--no_large]

Writes the section on token embeddings of RESULTS.md. The first table is the token embedding of the
model in FOLDER, or rows taken evenly from a simulated one. The loop of `KMeans(n_init=10)` is
measured at a few k and summed up over all by lines between them; shares are compared with those of
`KMeans(n_init=5)` at the same k, or at every one. For the large table a simulated BF16 checkpoint
of Qwen3-4B's shape goes through `embedding_analysis.py` in a process of its own. Seconds are CPU
time of one thread.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from blockresearch.checkpoint.describe import describe_folder
from blockresearch.run import cli
from blockresearch.tokens.clustering import space, warm_path
from blockresearch.tokens.metric import WHITENED
from blockresearch.tokens.neighbors import nearest
from blockresearch.tokens.rows import read_rows
from blockresearch.tokens.vectors import principal_components, survey, whitened
from tests.benchmarks.results import machine, write_section

ROOT = Path(__file__).resolve().parents[2]
LARGE = (151_936, 2_560)
DIMENSIONS = 576
MEASURED = 3


def simulated(rows: int, d: int = DIMENSIONS, seed: int = 0) -> np.ndarray:
    """Rows with a spectrum that falls like that of a token embedding, in forty loose groups."""
    random = np.random.default_rng(seed)
    scales = (1 / np.sqrt(1 + np.arange(d) / 10)).astype("f4")
    centers = 0.5 * np.random.default_rng(0).standard_normal((40, d), dtype="f4") * scales
    groups = random.integers(0, 40, rows)
    return centers[groups] + random.standard_normal((rows, d), dtype="f4") * scales


def stored(folder: str) -> np.ndarray:
    """A model's token embedding."""
    manifest = describe_folder(folder, cli.now(), hashed=False)
    table, reason = read_rows(manifest, lambda file: Path(folder, file))
    if table is None:
        raise SystemExit(reason)
    return table[:]


def write_large(folder: Path) -> None:
    """A checkpoint with nothing but a BF16 token embedding of the shape `LARGE`."""
    rows, d = LARGE
    entry = {"dtype": "BF16", "shape": LARGE, "data_offsets": [0, 2 * rows * d]}
    header = json.dumps({"model.embed_tokens.weight": entry}).encode()
    (folder / "config.json").write_text('{"model_type": "qwen3", "tie_word_embeddings": true}')
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for start in range(0, rows, 4096):
            block = simulated(min(4096, rows - start), d, seed=1 + start)
            file.write((block.view(np.uint32) >> 16).astype("<u2").tobytes())


def timed(work):
    """What `work` returns and the CPU seconds it took, on one BLAS thread."""
    start = time.process_time()
    with threadpool_limits(1):
        result = work()
    return result, time.process_time() - start


def compared(name: str, rows: np.ndarray, k_max: int, every_k: bool) -> list[str]:
    """Lines of the table: the curve of `rows` beside the loops of scikit-learn."""
    fits, ours = timed(lambda: warm_path(space(rows, k_max), 2, k_max))
    some = np.unique(np.linspace(2, k_max, MEASURED, dtype=int)).tolist()
    plain = {k: timed(lambda k=k: KMeans(k, n_init=10, random_state=0).fit(rows))[1] for k in some}
    loop = float(np.interp(range(2, k_max + 1), some, list(plain.values())).sum())
    worst = (np.inf, 0)
    for fit in fits:
        if every_k or fit.k in some:
            best = KMeans(fit.k, n_init=5, random_state=0).fit(rows).inertia_
            worst = min(worst, ((fit.total - fit.inertia) / (fit.total - best), fit.k))
    tried = "every k" if every_k else f"k = {', '.join(map(str, some))}"
    return [
        f"| {name}: curve, k = 2 … {k_max} | {ours:.1f} s | |",
        f"| {name}: loop of KMeans(n_init=10), from k = {', '.join(map(str, some))} "
        f"| {loop:.0f} s, {loop / ours:.0f} × ours | ≥ 10 × |",
        f"| {name}: explained share / KMeans(n_init=5), lowest over {tried} "
        f"| {worst[0]:.4f} at k = {worst[1]} | ≥ 0.99 |",
    ]


def large() -> list[str]:
    """Lines of the table: `embedding_analysis.py` on a large BF16 checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        write_large(Path(folder))
        script = ROOT / "workflow/scripts/embedding_analysis.py"
        command = [sys.executable, str(script), "--model_path", folder, "--out", f"{folder}/out"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        subprocess.run([*command, "--device", "cpu"], check=True)
        wall = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found = json.loads(Path(folder, "out/summary.json").read_text())
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    what = f"{LARGE[0]:,} × {LARGE[1]:,} BF16"
    searched = f"{found['neighbours_searched']:,}"
    return [
        f"| {what}: whole analysis, k = 2 … 30, neighbors of {searched} tokens "
        f"| {spent:.0f} s CPU, {wall:.0f} s wall | ≤ 300 s |",
        f"| {what}: peak memory of the process | {after.ru_maxrss / 1024**2:.2f} GiB | ≤ 3 GB |",
    ]


def main() -> None:
    """Measure and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", help="folder of a model")
    parser.add_argument("--rows", type=int, default=16_000)
    parser.add_argument("--k_max", type=int, default=30)
    parser.add_argument("--every_k", action="store_true", help="compare the shares at every k")
    parser.add_argument("--no_large", action="store_true", help="leave the large table out")
    options = parser.parse_args()
    # First, because the peak of the children is that of the largest so far.
    lines = [] if options.no_large else large()
    rows = stored(options.model) if options.model else simulated(options.rows)
    size = f"{len(rows):,} × {rows.shape[1]}"
    lines += compared(f"{size}, euclidean", rows, options.k_max, options.every_k)
    units = whitened(rows, principal_components(rows, WHITENED))
    lines += compared(f"{size}, whitened", units, options.k_max, options.every_k)
    norms = survey(rows).norms
    nearest(rows[:2000], norms[:2000], np.arange(2000))
    _, spent = timed(lambda: nearest(rows, norms, np.arange(len(rows))))
    lines.append(f"| {size}: exact neighbors of all rows | {spent:.1f} s | |")
    text = f"""\
Table: {Path(options.model).resolve().name if options.model else "simulated"}. Machine:
{machine()}. Seconds of one thread; the explained share is 1 - inertia / total variance.

| what | measured | target |
|---|---|---|
"""
    write_section("Token embeddings", text + "\n".join(lines))


if __name__ == "__main__":
    main()
