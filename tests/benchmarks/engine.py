"""Speed, accuracy and memory against numpy, torch (the plain way) and WeightWatcher.

    python -m tests.benchmarks.engine [FOLDER [NAME]]

measures one model (default: the bundled demo) and two shapes of Qwen3-4B, each alternative in a
process of its own on one thread, and writes RESULTS.md beside this file.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.linalg import svdvals
from threadpoolctl import threadpool_limits

from tests.benchmarks.alternatives import peak
from workflow.lib.checkpoint import describe_folder
from workflow.lib.distribution import Distribution
from workflow.lib.dtypes import decode
from workflow.lib.safetensors_file import read_bytes
from workflow.lib.tables import write_text

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SYNTHETIC = ((4096, 2560), (9728, 2560))
METHODS = ("ours", "torch-f32", "torch-f64", "numpy-f32")
BENCH_PYTHON = os.environ.get("BENCH_PYTHON", str(ROOT / ".venv-bench" / "bin" / "python"))


def alternative(method, *arguments):
    """The JSON that alternatives.py prints, or None where the method cannot run."""
    python = BENCH_PYTHON if method == "weightwatcher" else sys.executable
    if not Path(python).exists():
        return None
    command = [python, str(HERE / "alternatives.py"), method, *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        print(done.stderr[-2000:], file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def shell(command):
    """Seconds of a command as the shell would run it, and the peak memory of its first process."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    memory = 0
    while process.poll() is None:
        memory = peak(process.pid) or memory
        time.sleep(0.02)
    if process.returncode:
        raise RuntimeError(f"{command} failed")
    return {"seconds": time.perf_counter() - start, "peak": memory, "error": None}


def best(function, repeats=5):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def row(what, ours, method, other):
    if other is None:
        return f"| {what} | {method} | | | | |"
    error = "" if other["error"] is None else f"{other['error']:.0e}"
    return (
        f"| {what} | {method} | {other['seconds']:.3g} | {other['seconds'] / ours:.2f} | {error} "
        f"| {other['peak'] / 2**20:.0f} |"
    )


def spectra(folder, work, found):
    """Rows of the table for one matrix of each shape of the model and for the synthetic shapes."""
    for what, w in found:
        matrix, reference = work / "matrix.npy", work / "reference.npy"
        np.save(matrix, w)
        np.save(reference, svdvals(w.astype(np.float64)))
        cells = {method: alternative(method, folder, matrix, reference) for method in METHODS}
        for method, cell in cells.items():
            yield row(f"spectrum, {what}", cells["ours"]["seconds"], method, cell)


def matrices(folder, manifest):
    shapes = {}
    for tensor in sorted(manifest["tensors"], key=lambda tensor: tensor["name"]):
        if len(tensor["shape"]) == 2 and min(tensor["shape"]) > 128:
            shapes.setdefault(tuple(tensor["shape"]), tensor)
    for shape, tensor in sorted(shapes.items())[:4]:
        raw = read_bytes(Path(folder, tensor["shard"]), tensor["begin"], tensor["end"])
        yield f"{shape[0]} x {shape[1]}", decode(raw, tensor["dtype"]).reshape(shape)
    for shape in SYNTHETIC:
        random = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
        yield f"{shape[0]} x {shape[1]} (random)", random


def value_pass():
    """Rows for the statistics of 64 MB of BF16."""
    import torch

    torch.set_num_threads(1)
    weights = (torch.randn(4096, 8192, generator=torch.manual_seed(0)) * 0.02).bfloat16()
    raw = weights.view(torch.uint8).numpy().reshape(-1)
    target = np.empty_like(raw)

    def ours():
        distribution = Distribution("BF16", *weights.shape)
        distribution.update(raw)
        return distribution.summary()

    def plain():
        w = weights.float()
        return w.mean(), w.std(), w.var(), w.min(), w.max(), (w.abs() <= 1e-6).float().mean()

    def numpy_plain():
        w = weights.float().numpy()
        return w.mean(), w.std(), w.var(), w.min(), w.max(), (np.abs(w) <= 1e-6).mean()

    ours()
    seconds = best(ours)
    cells = {"ours (all statistics)": seconds, "torch": best(plain, 3)}
    cells |= {"numpy": best(numpy_plain, 3), "memcpy": best(lambda: np.copyto(target, raw))}
    for method, spent in cells.items():
        rate = len(raw) / spent / 1e9
        what = f"values, 64 MB BF16 ({rate:.2f} GB/s)"
        yield f"| {what} | {method} | {spent:.3g} | {spent / seconds:.2f} | | |"


def roofline():
    """GFLOP/s of the parts of the spectrum against dgemm, one thread."""
    from scipy.linalg.blas import dgemm, dsyrk

    from workflow.lib import eigen

    n, m = 2560, 4096
    a = np.asfortranarray(np.random.default_rng(0).standard_normal((n, m)))
    product = best(lambda: dgemm(1.0, a, a, trans_b=1), 2)
    gram = best(lambda: dsyrk(1.0, a, lower=1), 2)
    matrices = [dsyrk(1.0, a, lower=1) for _ in range(2)]
    solver = best(lambda: eigen.solve(matrices.pop()), 2)
    flops = {"dgemm": 2 * n * n * m / product, "Gram (dsyrk)": n * n * m / gram}
    flops["eigenvalues (4/3 n³)"] = 4 / 3 * n**3 / solver
    parts = [f"{name} {rate / 1e9:.0f} GFLOP/s" for name, rate in flops.items()]
    return f"Roofline, {m} x {n}, one thread: " + ", ".join(parts) + "."


def whole_model(folder):
    cells = {}
    for threads in (1, 2, 2, 1):
        out = Path(tempfile.gettempdir(), f"bench-{os.getpid()}.parquet")
        command = [sys.executable, str(ROOT / "workflow" / "scripts" / "analyze.py")]
        command += ["--model_path", folder, "--device", "cpu"]
        command += ["--threads", str(threads), "--out", str(out)]
        method = f"ours, whole process, {threads} thread(s)"
        # the first run may compile; the better of two counts
        cells[method] = min(
            (cell for cell in (shell(command), cells.get(method)) if cell),
            key=lambda cell: cell["seconds"],
        )
        out.unlink()
    for method in ("torch", "numpy", "weightwatcher"):
        cells[method] = alternative(method, folder)
    ours = cells["ours, whole process, 2 thread(s)"]["seconds"]
    return [row("whole model", ours, method, cell) for method, cell in cells.items()]


def main(folder="resources/demo", name=None):
    name = name or ("the bundled demo" if folder == "resources/demo" else Path(folder).name)
    manifest = describe_folder(folder, "", hashed=False)
    with threadpool_limits(1), tempfile.TemporaryDirectory() as work:
        table = [*value_pass(), *spectra(folder, Path(work), matrices(folder, manifest))]
        table += whole_model(folder)
        line = roofline()
    load = os.getloadavg()[0]
    text = f"""\
# Benchmarks of the engine

Written by `make bench`. Model: {name}, {manifest["totals"]["parameters"] / 1e6:.0f} million
parameters. Machine: {platform.machine()}, {os.cpu_count()} cores, {platform.system()}, Python
{platform.python_version()}, load {load:.1f} at the end. One thread where not said; ratio = seconds
over ours; error = largest relative error against LAPACK's float64 SVD for σ ≥ 1e-4·σ₁; peak =
memory over that of the process before (for the whole model that of our first process).
WeightWatcher analyses the matrices as a loaded model of linear layers; loading is not counted.

{line}

| what | method | seconds | ratio | error | peak, MiB |
|---|---|---|---|---|---|
""" + "\n".join(table)
    write_text(text + "\n", HERE / "RESULTS.md")
    print(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
