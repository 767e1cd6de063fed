"""A GPU beside the CPU and beside plain torch: whole scripts, the steps of a matrix, the tables.

    python -m tests.benchmarks.gpu [--scale small] [--device cuda] [--skip plain circuits …]

Makes a checkpoint of Qwen3-4B's shapes (8 GB; `--scale small`: 30 MB) of power-law directions and
noise, and a changed copy. Measures and compares them by the scripts in processes of their own, and
times the steps of the largest and of a usual matrix in this one. Then it compares the tables of
both devices with the bounds of docs/metrics.md, and fails if they differ. Without `compare` it took
up to five minutes on an H100 with 16 cores. On a GPU it also writes a section of RESULTS.md.
`--device torch-cpu` is a trial without a GPU.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from blockresearch.checkpoint.describe import describe_folder
from blockresearch.checkpoint.manifest import write_manifest
from blockresearch.device import resolve_device
from blockresearch.lane import Lane, lane
from blockresearch.safetensors.on_device import unsigned
from blockresearch.safetensors.reader import read_header
from blockresearch.spectra.on_device import singular_values
from blockresearch.values.on_device import distribution_of
from blockresearch.values.rounding.on_device import rounding_errors
from blockresearch.weights.layout import Layout
from blockresearch.weights.on_device import DeviceMatrix
from blockresearch.weights.reading import TensorReader, open_tensor
from blockresearch.weights.weight import Weight
from tests.benchmarks import shapes
from tests.benchmarks.alternatives import peak
from tests.benchmarks.results import machine, write_section
from tests.tools.devices import differences, largest_difference

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "workflow" / "scripts"
FULL = shapes.MODELS["Qwen3-4B"]
SMALL = replace(FULL, layers=4, hidden=384, inner=1152, heads_width=512, kv=128, vocab=8192)
SCALES = {"full": FULL, "small": SMALL}
MATRICES = ("model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight")
DIRECTIONS = 64


def write_weights(
    model: shapes.Dense, folder: Path, device: torch.device, change: float = 0.0
) -> None:
    """A checkpoint of power-law directions and noise in BF16; with `change`, a share of other noise
    is added to it."""
    shapes.write(model, folder)
    generator, another = (torch.Generator(device).manual_seed(seed) for seed in (0, 1))

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, device=device)

    for path in sorted(folder.glob("*.safetensors")):
        with path.open("r+b") as file:
            for entry in read_header(path).tensors:
                weights = 1 + 0.1 * normal(*entry.shape)
                if len(entry.shape) == 2:
                    rows, cols = entry.shape
                    sizes = torch.arange(1, DIRECTIONS + 1, device=device) ** -0.7
                    strong = (normal(rows, DIRECTIONS) * sizes) @ normal(DIRECTIONS, cols)
                    weights = 0.02 * (0.3 * strong + normal(rows, cols))
                if change:
                    noise = torch.randn(entry.shape, generator=another, device=device)
                    weights = weights + change * weights.std() * noise
                file.seek(entry.begin)
                file.write(weights.bfloat16().view(torch.int16).cpu().numpy().tobytes())


def run(command: Iterable[object], device: str) -> tuple[float, int]:
    """Seconds and peak memory (of the GPU, without one of the process) of a command.

    Raises RuntimeError with its errors if it fails.
    """
    start, before = time.perf_counter(), used(device)
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, cwd=ROOT)
    errors: list[bytes] = []
    reading = threading.Thread(target=lambda: errors.append(process.stderr.read()))
    reading.start()
    most = 0
    while process.poll() is None:
        most = max(most, used(device, process.pid) - before)
        time.sleep(0.05)
    reading.join()
    if process.returncode:
        raise RuntimeError(errors[0].decode()[-2000:])
    return time.perf_counter() - start, most


def used(device: str, process: int | None = None) -> int:
    """Bytes in use on a GPU, or the peak of a process."""
    if device.startswith("cuda"):
        free, total = torch.cuda.mem_get_info()
        return total - free
    return peak(process) if process else 0


def plain(folder: str, device: str) -> None:
    """What a few lines of torch compute: mean, std, largest and float32 singular values."""
    from safetensors import safe_open

    place = "cpu" if device == "torch-cpu" else device
    for path in sorted(Path(folder).glob("*.safetensors")):
        with safe_open(path, framework="pt", device=place) as file:
            for name in sorted(file.keys()):
                w = file.get_tensor(name).float()
                _ = w.mean().item(), w.std().item(), w.abs().max().item()
                if w.ndim == 2:
                    torch.linalg.svdvals(w).cpu()


def processes(folder: Path, work: Path, device: str, skipped: Iterable[str]) -> Iterator[str]:
    """Rows of the table of whole processes."""

    def script(name: str, out: str, where: str) -> list[object]:
        files = ["--model_path", folder, "--out", work / out]
        return [sys.executable, SCRIPTS / f"{name}.py", *files, "--device", where]

    def comparing(out: str, where: str) -> list[object]:
        sides = ["--base", folder, "--other", work / "changed", "--out", work / out]
        return [sys.executable, SCRIPTS / "compare.py", *sides, "--device", where]

    def circuits(out: str, where: str) -> list[object]:
        files = ["--manifest", work / "manifest.json", "--group", "00001", "--out", work / out]
        return [sys.executable, SCRIPTS / "circuits_part.py", *files, "--device", where]

    write_manifest(describe_folder(str(folder), "now", hashed=False), work / "manifest.json")
    itself = [sys.executable, "-m", "tests.benchmarks.gpu", "--device", device]
    for key, what, where, command in (
        ("gpu", "`analyze.py`", device, script("analyze", "gpu.parquet", device)),
        ("cpu", "`analyze.py`", "cpu", script("analyze", "cpu.parquet", "cpu")),
        ("plain", "plain torch", device, [*itself, "--plain", folder]),
        ("embedding", "`embedding_analysis.py`", device, script("embedding_analysis", "e", device)),
        ("circuits", "`circuits_part.py`, a group", device, circuits("c", device)),
        ("circuits", "`circuits_part.py`, a group", "cpu", circuits("d", "cpu")),
        ("compare", "`compare.py`", device, comparing("gpu", device)),
        ("compare", "`compare.py`", "cpu", comparing("cpu", "cpu")),
    ):
        if {key, where} & set(skipped):
            continue
        try:
            seconds, memory = run(command, where)
        except RuntimeError as error:
            print(f"{what} on {where} failed:\n{error}", file=sys.stderr)
            yield f"| {what}, {where} | failed | |"
        else:
            yield f"| {what}, {where} | {seconds:.1f} | {memory / 2**30:.2f} |"


def steps(folder: Path, device: str) -> Iterator[str]:
    """Rows of the table of the steps of measuring two matrices."""
    tensors = describe_folder(str(folder), "now", hashed=False).by_name
    costs: dict[str, list[str]] = {}
    for name in MATRICES:
        files = {tensors[name].shard: folder / tensors[name].shard}
        source = open_tensor(files, Weight(tensors[name], Layout("matrix")))
        with lane(device) as held:
            for step, work in work_on(held, source).items():
                costs.setdefault(step, []).append(f"{1000 * best(work, held):.3g}")
    for step, milliseconds in costs.items():
        yield f"| {step} | {' | '.join(milliseconds)} |"


def work_on(held: Lane, source: TensorReader) -> dict[str, Callable[[], object]]:
    """The steps of measuring one matrix, by name; its bytes are on the device but for the first."""
    whole = source.weight.whole()
    rows, cols = shape = whole.rows, whole.cols
    matrix = DeviceMatrix(held, source, whole)
    absmax = max(float(panel.abs().max()) for panel in matrix.panels())

    def gram() -> torch.Tensor:
        return sum(panel.double().T @ panel.double() for panel in matrix.panels())

    solved = gram()
    return {
        "read from the page cache and copy": lambda: list(
            DeviceMatrix(held, source, whole).codes()
        ),
        "count codes": lambda: [
            torch.bincount(unsigned(codes).reshape(-1), minlength=2**16) for codes in matrix.codes()
        ],
        "all statistics of values": lambda: distribution_of(matrix.codes, "BF16", *shape, 1e-6),
        "rounding to all formats": lambda: rounding_errors(matrix.panels(), absmax),
        "Gram matrix in float64": gram,
        "`eigvalsh` of it": lambda: torch.linalg.eigvalsh(solved),
        "`eigh` of it": lambda: torch.linalg.eigh(solved),
        "all singular values": lambda: singular_values(matrix.panels, rows, cols, held.kind),
    }


def best(work: Callable[[], object], held: Lane, repeats: int = 3) -> float:
    """Seconds of the fastest of a few runs, the first one not counted."""
    seconds = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        work()
        if held.stream is not None:
            held.stream.synchronize()
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", choices=SCALES, default="full")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or torch-cpu")
    parser.add_argument(
        "--skip", nargs="*", default=[], help="cpu, plain, embedding, circuits, compare"
    )
    parser.add_argument("--folder", help="where the checkpoint is made (default: temporary)")
    parser.add_argument("--plain", help=argparse.SUPPRESS)
    options = parser.parse_args()
    device = resolve_device(options.device)
    if options.plain:
        plain(options.plain, device)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as work:
        text, apart = report(SCALES[options.scale], Path(work), device, options.skip)
    if device.startswith("cuda") and options.scale == "full":
        write_section("A GPU", text)
    else:
        print(text)
    if apart:
        sys.exit("\n".join(["the tables of both devices differ:", *apart]))


def report(
    model: shapes.Dense, work: Path, device: str, skipped: Iterable[str]
) -> tuple[str, list[str]]:
    """The section in Markdown, and the columns in which the tables differ."""
    (folder := work / "model").mkdir()
    (changed := work / "changed").mkdir()
    place = torch.device("cpu" if device == "torch-cpu" else device)
    start = time.perf_counter()
    write_weights(model, folder, place)
    write_weights(model, changed, place, change=0.02)
    made = time.perf_counter() - start
    size = sum(path.stat().st_size for path in folder.iterdir())
    gpu = torch.cuda.get_device_name(place) if place.type == "cuda" else "no GPU"
    embedding, usual = (f"{model.vocab} x {model.hidden}", f"{model.inner} x {model.hidden}")
    lines = [
        f"{machine()}, {gpu}, torch {torch.__version__}; a checkpoint of {size / 1e6:.0f} MB from "
        f"the page cache, made in {made:.0f} s. Scripts with {os.cpu_count()} threads; plain torch "
        "computes mean, std, largest and float32 singular values. Memory is that of the GPU, on "
        "the CPU that of the process.",
        "",
        "| process | seconds | peak GB |\n|---|---|---|",
        *processes(folder, work, device, skipped),
        "",
        f"| step, milliseconds | {embedding} | {usual} |\n|---|---|---|",
        *steps(folder, device),
        "",
    ]
    apart: list[str] = []
    for what, table in (("analyze.py", "{}.parquet"), ("compare.py", "{}/differences.parquet")):
        tables = [work / table.format(name) for name in ("gpu", "cpu")]
        if not all(path.exists() for path in tables):
            lines.append(f"The tables of `{what}` were not compared.")
            continue
        found, expected = map(pd.read_parquet, tables)
        apart += (own := differences(found, expected))
        real = expected.select_dtypes("floating").shape[1]
        lines.append(
            f"Tables of `{what}` for {len(expected)} tensors: {real} columns of real numbers agree "
            f"to {largest_difference(found, expected):.2g} of the bound, all others are equal."
            if not own
            else f"The tables of `{what}` differ in {len(own)} columns."
        )
    return "\n".join(lines), apart


if __name__ == "__main__":
    main()
