"""Speed, accuracy and memory against numpy, torch (the plain way) and WeightWatcher.

    python -m tests.benchmarks.engine [FOLDER [NAME]]

measures one model (default: the bundled demo) and two shapes of Qwen3-4B, each alternative in a
process of its own on one thread, and writes a section of RESULTS.md.
"""

import cProfile
import json
import os
import pstats
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.linalg import svdvals
from threadpoolctl import threadpool_info, threadpool_limits

from blockresearch.checkpoint.describe import describe_folder
from blockresearch.checkpoint.plan import make_plan
from blockresearch.compiled import read_only
from blockresearch.measurement.part import Settings, measure_part
from blockresearch.safetensors.dtypes import decode
from blockresearch.safetensors.reader import read_bytes
from blockresearch.values.distribution import Distribution
from blockresearch.values.loops import count_codes
from tests.benchmarks.alternatives import peak
from tests.benchmarks.results import machine, write_section

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SYNTHETIC = ((4096, 2560), (9728, 2560))
ANALYZE = ROOT / "workflow" / "scripts" / "analyze.py"
STAGES = {
    "Gram matrices": ("lapack", "add_gram"),
    "their eigenvalues": ("eigen", "solve"),
    "metrics of spectra": ("spectral_metrics", "spectral_metrics"),
    "values": ("measurement", "distribution"),
    "rounding errors": ("errors", "rounding_errors"),
    "summaries of values": ("measurement", "described"),
    "hashes": ("measurement", "content_hash"),
}
METHODS = ("ours", "torch-f32", "torch-f64", "numpy-f32")
BENCH_PYTHON = os.environ.get("BENCH_PYTHON", str(ROOT / ".venv-bench" / "bin" / "python"))


def alternative(method, *arguments, threads=1):
    """The JSON that alternatives.py prints, or None where the method cannot run."""
    python = BENCH_PYTHON if method == "weightwatcher" else sys.executable
    if not Path(python).exists():
        return None
    command = [python, str(HERE / "alternatives.py"), method, *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "MPLBACKEND": "Agg"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        print(done.stderr[-2000:], file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def shell(command):
    """Seconds of a command as the shell would run it, and its peak memory."""
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
    for tensor in sorted(manifest.tensors, key=lambda tensor: tensor.name):
        if len(tensor.shape) == 2 and min(tensor.shape) > 128:
            shapes.setdefault(tuple(tensor.shape), tensor)
    for shape, tensor in sorted(shapes.items())[:4]:
        raw = read_bytes(Path(folder, tensor.shard), tensor.begin, tensor.end)
        yield f"{shape[0]} x {shape[1]}", decode(raw, tensor.dtype).reshape(shape)
    for shape in SYNTHETIC:
        random = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
        yield f"{shape[0]} x {shape[1]} (random)", random


VALUE_PASS = """\
The value pass counts each code of 16 bits in one table, which stays in the cache. Counting alone
takes a third to two thirds of the pass and bounds it: no pass that counts is more than three times
as fast. Tried without AVX-512, in billions of codes per second, beside 2.6 for one table of 64-bit
counts: two tables in turn 2.0, two or four of 32 bits 1.8, one of 32 bits 2.3, two passes of 8 bits
(sorted by the high byte, then counted by the low one) 0.23. So one table stays. Sums and largest
magnitudes of rows and columns come from the tile in the cache, with NaN, Inf and signs masked once
per tile and four rows added to a column at a time: 1.6 times as fast as one row at a time.
"""


def value_pass():
    """Rows for the statistics of 64 MB of BF16.

    The roofline: counting alone (a load and a store per value) and one copy of the bytes. See
    `VALUE_PASS`.
    """
    import torch

    torch.set_num_threads(1)
    weights = (torch.randn(4096, 8192, generator=torch.manual_seed(0)) * 0.02).bfloat16()
    raw = weights.view(torch.uint8).numpy().reshape(-1)
    target = np.empty_like(raw)

    def ours():
        distribution = Distribution("BF16", *weights.shape, 1e-6)
        distribution.update(raw)
        return distribution.summary()

    def plain():
        w = weights.float()
        return w.mean(), w.std(), w.var(), w.min(), w.max(), (w.abs() <= 1e-6).float().mean()

    def numpy_plain():
        w = weights.float().numpy()
        return w.mean(), w.std(), w.var(), w.min(), w.max(), (np.abs(w) <= 1e-6).mean()

    codes, counts = read_only(raw.view(np.uint16)), np.zeros(2**16, dtype=np.int64)
    ours()
    seconds = best(ours)
    cells = {"ours (all statistics)": seconds, "torch": best(plain, 3)}
    cells["ours, counting alone"] = best(lambda: count_codes(codes, counts))
    cells |= {"numpy": best(numpy_plain, 3), "memcpy": best(lambda: np.copyto(target, raw))}
    for method, spent in cells.items():
        rate = len(raw) / spent / 1e9
        what = f"values, 64 MB BF16 ({rate:.2f} GB/s)"
        yield f"| {what} | {method} | {spent:.3g} | {spent / seconds:.2f} | | |"


def roofline():
    """GFLOP/s of the parts of the spectrum against dgemm, one thread."""
    from scipy.linalg.blas import dgemm, dsyrk

    from blockresearch.spectra import eigen

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


def analyze(folder, threads, *flags):
    out = Path(tempfile.gettempdir(), f"bench-{os.getpid()}.parquet")
    command = [sys.executable, str(ANALYZE)]
    command += ["--model_path", str(folder), "--device", "cpu", *flags]
    try:
        return shell([*command, "--threads", str(threads), "--out", str(out)])
    finally:
        out.unlink(missing_ok=True)


def whole_model(folder):
    """Rows for a whole model, and how much faster two workers are than one."""
    cells = {}
    for threads in (1, 2, 2, 1):
        method = f"ours, whole process, {threads} thread" + "s" * (threads > 1)
        # the first run may compile; the better of two counts
        cells[method] = min(
            (cell for cell in (analyze(folder, threads), cells.get(method)) if cell),
            key=lambda cell: cell["seconds"],
        )
    one, two = (cell["seconds"] for cell in cells.values())
    for method in ("torch", "numpy", "weightwatcher"):
        cells[method] = alternative(method, folder)
    cells["torch, 2 threads"] = alternative("torch", folder, threads=2)
    table = [row("whole model", two, method, cell) for method, cell in cells.items()]
    return table, f"Two workers on the whole model, start and end among it: {one / two:.2f}x one."


def two_at_once():
    """What the machine gives to two: the sum of their dgemm rates over that of one alone."""
    code = "from tests.benchmarks.engine import dgemm_rate; print(dgemm_rate())"
    command = [sys.executable, "-c", code]

    def rates(count):
        running = [
            subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) for _ in range(count)
        ]
        return sum(float(process.communicate()[0]) for process in running)

    return f"Two processes of dgemm at once: {rates(2) / rates(1):.2f}x one alone."


def dgemm_rate():
    from scipy.linalg.blas import dgemm

    a = np.asfortranarray(np.random.default_rng(0).standard_normal((1024, 1024)))
    with threadpool_limits(1):
        return 1 / best(lambda: [dgemm(1.0, a, a) for _ in range(20)], 5)


def write_random(folder, shapes, shards=1):
    """A checkpoint of BF16 matrices from one random sequence, of whose length no row is a part."""
    values = np.random.default_rng(0).standard_normal(2**22 - 3, dtype=np.float32) * 0.02
    pool = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    folder.mkdir()
    for shard in range(shards):
        header, end = {}, 0
        for number in range(shard, len(shapes), shards):
            rows, cols = shapes[number]
            place = {"dtype": "BF16", "shape": [rows, cols]}
            header[f"layers.{number}.weight"] = place | {
                "data_offsets": [end, end + 2 * rows * cols]
            }
            end += 2 * rows * cols
        text = json.dumps(header).encode()
        with (folder / f"model-{shard + 1:05d}-of-{shards:05d}.safetensors").open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            while end:
                file.write(pool[: min(end, len(pool))])
                end -= min(end, len(pool))
    return folder


def sizes(work):
    """Rows of time and peak for one file or many, and for tensors that are large."""
    shapes = [(2048, 2048)] * 128
    one = write_random(work / "one", shapes)
    many = write_random(work / "many", shapes, shards=8)
    large = write_random(work / "large", [(151_936, 4096)])
    huge = write_random(work / "huge", [(524_288, 4096)])
    cells = {}
    for what, folder, spectra in (
        ("1 GB in one file, without spectra", one, "none"),
        ("the same in 8 shards", many, "none"),
        ("151,936 x 4,096, without spectra", large, "none"),
        ("151,936 x 4,096, all singular values", large, "full"),
        ("one tensor of 4 GiB, without spectra", huge, "none"),
    ):
        threads = 2 if folder in (one, many) else 1
        cells[what] = analyze(folder, threads, "--spectra", spectra)
    first = cells["1 GB in one file, without spectra"]["seconds"]
    for what, cell in cells.items():
        yield row(what, first, "ours, whole process", cell)


def measured_parts(folder):
    """Measure a model part by part; yields each part of its plan and the time it took."""
    manifest = describe_folder(folder, "", hashed=False)
    for part in make_plan(manifest, 1.0):
        files = {shard.shard: Path(folder, shard.shard) for shard in part.shards}
        start = time.process_time()
        measure_part(files, part, Settings(1e-6))
        yield part, time.process_time() - start


def predictions(folder):
    """Predicted over measured time of each part."""
    ratios = [part.seconds / spent for part, spent in measured_parts(folder)]
    return (
        f"Predicted over measured time of a part: {min(ratios):.2f} to {max(ratios):.2f} "
        f"({len(ratios)} parts)."
    )


def profile(folder):
    """Where one worker's time goes on the model."""
    profiler = cProfile.Profile()
    profiler.enable()
    total = sum(spent for _, spent in measured_parts(folder))
    profiler.disable()
    spent = {}
    for (file, _, name), (_, _, _, cumulative, _) in pstats.Stats(profiler).stats.items():
        spent[Path(file).stem, name] = cumulative
    shares = ", ".join(f"{what} {spent[stage] / total:.0%}" for what, stage in STAGES.items())
    start = shell([sys.executable, str(ANALYZE), "--help"])["seconds"]
    return (
        f"One worker measures for {total:.1f} s: {shares}; `analyze.py --help` takes {start:.2f} s."
    )


def main(folder="resources/demo", name=None):
    name = name or ("the bundled demo" if folder == "resources/demo" else Path(folder).name)
    manifest = describe_folder(folder, "", hashed=False)
    with threadpool_limits(1), tempfile.TemporaryDirectory() as work:
        table = [*value_pass(), *spectra(folder, Path(work), matrices(folder, manifest))]
        rows, workers = whole_model(folder)
        table += [*rows, *sizes(Path(work))]
        lines = "\n".join(
            [roofline(), two_at_once(), workers, predictions(folder), profile(folder)]
        )
        blas = ", ".join(
            sorted({lib["architecture"] for lib in threadpool_info() if "architecture" in lib})
        )
    load = os.getloadavg()[0]
    text = f"""\
Model: {name}, {manifest.totals.parameters / 1e6:.0f} million parameters. Machine:
{machine()}, BLAS kernels {blas}, load {load:.1f} at the end. One thread where not said; ratio =
seconds over ours; error = largest relative error against LAPACK's float64 SVD for σ ≥ 1e-4·σ₁;
peak = memory over that of the process before (of our whole processes: all of it, interpreter
included). For the whole model torch and numpy are timed without their start and import, ours with
it. WeightWatcher analyzes the matrices as a loaded model of linear layers; loading is not counted.

{lines}

{VALUE_PASS}
| what | method | seconds | ratio | error | peak, MiB |
|---|---|---|---|---|---|
"""
    write_section("Engine", text + "\n".join(table))


if __name__ == "__main__":
    main(*sys.argv[1:])
