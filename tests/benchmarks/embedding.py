"""The analysis of token embeddings: three tables in full, and clusters beside scikit-learn's.

    python -m tests.benchmarks.embedding [FOLDER] [--rows N] [--k_max K] [--no_tables]

Writes the section on token embeddings of RESULTS.md. The tables are that of the model in FOLDER and
two simulated BF16 checkpoints (gemma-3-270m's shape beside a large tokenizer.json, Qwen3-4B's
shape); each goes through `embedding_analysis.py` in a process by itself, without pictures, with 1
and 2 threads and as many as there are cores. Then the curve of the model's table (or of a simulated
one) is compared with a loop of `KMeans(n_init=10)`, measured at a few k and summed up over all by
lines between them, and its explained shares with the best of five random starts. Seconds of the
comparison are CPU time of one thread.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from blockresearch.checkpoint.describe import describe_folder
from blockresearch.checkpoint.manifest import write_manifest
from blockresearch.run import cli
from blockresearch.tokens.clustering import space, warm_path
from blockresearch.tokens.metric import WHITENED
from blockresearch.tokens.neighbors import nearest
from blockresearch.tokens.rows import read_rows
from blockresearch.tokens.vectors import principal_components, survey, whitened
from tests.benchmarks.results import machine, write_section

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "workflow/scripts/embedding_analysis.py"
# Shape, and the seconds on two cores that are asked of it.
SHAPES = {(262_144, 640): 12, (151_936, 2_560): 35}
SMOLLM2, SMOLLM2_SECONDS = (49_152, 576), 5
DIMENSIONS = 576
# Numbers of clusters at which shares are compared, and at which the loop is measured.
SHARES, MEASURED = (4, 8, 12, 20, 30), (4, 12, 30)
# Bytes of a tokenizer.json like gemma's.
TOKENIZER_BYTES = 33_000_000


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


def write_table(folder: Path, rows: int, d: int) -> None:
    """A checkpoint with nothing but a BF16 token embedding [rows, d] and a tokenizer."""
    folder.mkdir()
    entry = {"dtype": "BF16", "shape": [rows, d], "data_offsets": [0, 2 * rows * d]}
    header = json.dumps({"model.embed_tokens.weight": entry}).encode()
    (folder / "config.json").write_text('{"model_type": "qwen3", "tie_word_embeddings": true}')
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for start in range(0, rows, 4096):
            block = simulated(min(4096, rows - start), d, seed=1 + start)
            file.write((block.view(np.uint32) >> 16).astype("<u2").tobytes())
    random = np.random.default_rng(0)
    letters = random.integers(97, 123, (rows, 9)).astype("u1")
    words = [f"▁{bytes(word[: 2 + n % 8]).decode()}{n}" for n, word in enumerate(letters)]
    vocabulary = {word: number for number, word in enumerate(words)}
    spec = {"model": {"type": "BPE", "vocab": vocabulary, "merges": []}, "added_tokens": []}
    missing = TOKENIZER_BYTES - len(json.dumps(spec, ensure_ascii=False).encode())
    pairs = (f"{one} {other}" for one, other in pairwise(words))
    while missing > 0 and (pair := next(pairs, None)) is not None:
        spec["model"]["merges"].append(pair)
        missing -= len(pair.encode()) + 4
    (folder / "tokenizer.json").write_text(json.dumps(spec, ensure_ascii=False))


def analyzed(folder: Path, out: Path, threads: int) -> tuple[float, float, float]:
    """Seconds on the clock, CPU seconds and peak GiB of embedding_analysis.py, without pictures."""
    manifest = out / "manifest.json"
    write_manifest(describe_folder(folder, cli.now(), hashed=False), manifest)
    command = [sys.executable, str(SCRIPT), "--manifest", str(manifest), "--out", str(out)]
    start = time.perf_counter()
    process = subprocess.Popen([*command, "--device", "cpu", "--threads", str(threads)])
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024**2


def tables(model: str | None) -> list[str]:
    """Lines of the table: whole analyses of the model's table and of the simulated ones."""
    lines = []
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        folders = [(Path(model), "the model's table")] if model else []
        for rows, d in SHAPES:
            write_table(work / f"{rows}x{d}", rows, d)
            folders.append((work / f"{rows}x{d}", f"{rows:,} × {d:,}"))
        for folder, what in folders:
            manifest = describe_folder(folder, cli.now(), hashed=False)
            shape = tuple(manifest.token_tensors[0].shape)
            asked = {**SHAPES, SMOLLM2: SMOLLM2_SECONDS}.get(shape, "")
            for threads in sorted({1, 2, os.cpu_count() or 1}):
                wall, cpu, peak = analyzed(folder, work, threads)
                on = f"{threads} thread" + "s" * (threads > 1)
                lines.append(
                    f"| {what}: whole analysis, {on} | {wall:.1f} s wall, "
                    f"{cpu:.1f} s CPU, {peak:.2f} GiB | {f'≤ {asked} s on 2' if asked else ''} |"
                )
    return lines


def timed(work):
    """What `work` returns and the CPU seconds it took, on one BLAS thread."""
    start = time.process_time()
    with threadpool_limits(1):
        result = work()
    return result, time.process_time() - start


def compared(name: str, rows: np.ndarray, k_max: int) -> list[str]:
    """Lines of the table: the curve of `rows` beside the loops of scikit-learn."""
    fits, ours = timed(lambda: warm_path(space(rows, k_max), 2, k_max))
    some = [k for k in MEASURED if k <= k_max]
    plain = {k: timed(lambda k=k: KMeans(k, n_init=10, random_state=0).fit(rows))[1] for k in some}
    loop = float(np.interp(range(2, k_max + 1), some, list(plain.values())).sum())
    shares = {}
    for fit in fits:
        if fit.k in SHARES:
            best = KMeans(fit.k, n_init=5, random_state=1).fit(rows).inertia_
            shares[fit.k] = (fit.total - fit.inertia) / (fit.total - best)
    listed = ", ".join(f"{share:.4f} (k = {k})" for k, share in shares.items())
    return [
        f"| {name}: curve, k = 2 … {k_max} | {ours:.1f} s | |",
        f"| {name}: loop of KMeans(n_init=10), from k = {', '.join(map(str, some))} "
        f"| {loop:.0f} s, {loop / ours:.0f} × ours | ≥ 10 × |",
        f"| {name}: explained share / best of five random starts | {listed} | ≥ 0.995 |",
    ]


def main() -> None:
    """Measure and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", help="folder of a model")
    parser.add_argument("--rows", type=int, default=16_000)
    parser.add_argument("--k_max", type=int, default=30)
    parser.add_argument("--no_tables", action="store_true", help="compare clusters only")
    options = parser.parse_args()
    lines = [] if options.no_tables else tables(options.model)
    rows = stored(options.model) if options.model else simulated(options.rows)
    size = f"{len(rows):,} × {rows.shape[1]}"
    lines += compared(f"{size}, euclidean", rows, options.k_max)
    units = whitened(rows, principal_components(rows, WHITENED))
    lines += compared(f"{size}, whitened", units, options.k_max)
    norms = survey(rows).norms
    nearest(rows[:2000], norms[:2000], np.arange(2000))
    _, spent = timed(lambda: nearest(rows, norms, np.arange(len(rows))))
    lines.append(f"| {size}: exact neighbors of all rows | {spent:.1f} s | |")
    text = f"""\
Table: {Path(options.model).resolve().name if options.model else "simulated"}. Machine:
{machine()}. Whole analyses are without pictures. Seconds of the comparisons are of one thread; the
explained share is 1 - inertia / total variance.

| what | measured | target |
|---|---|---|
"""
    write_section("Token embeddings", text + "\n".join(lines))


if __name__ == "__main__":
    main()
