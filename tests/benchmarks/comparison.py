"""A comparison of two checkpoints against the plain way in torch and in NumPy.

    python -m tests.benchmarks.comparison [FOLDER]

compares a model (default: the bundled demo) in BF16 with a copy of which all matrices of layers
changed. The plain ways compute a part of our numbers: sizes, codes that changed, singular values of
the change and the overlap of leading directions. Each runs in a separate process on one thread;
processor time counts, because other programs do not change it much.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

from tests.benchmarks.results import machine, write_section
from tests.cases import variants
from tests.conftest import ROOT

COMPARE = ROOT / "workflow/scripts/compare.py"

LEADING = (8, 32, 128)

PLAIN = ("torch", "numpy")


def main(folder: str = "resources/demo") -> None:
    with tempfile.TemporaryDirectory(prefix="comparison-") as place:
        work, model = Path(place), Path(folder)
        copy = variants.write(work / "tuned", variants.tuned(variants.read(model)), model)
        ours = [sys.executable, str(COMPARE), "--base", str(model), "--other", str(copy)]
        costs = {}
        # Machine code that is not compiled yet is compiled by this run.
        run([*ours[:-1], str(model), "--out", str(work / "warm")])
        for threads in (1, 2):
            name = f"ours, whole process, {threads} thread{'s'[: threads > 1]}"
            more = ["--out", str(work / "ours"), "--threads", str(threads)]
            costs[name] = run([*ours, *more])
        table = pd.read_csv(work / "ours/differences.csv").merge(
            pd.read_csv(work / "ours/subspaces.csv"), on="param_name"
        )
        rows = [row(name, cost, costs) for name, cost in costs.items()]
        for method in PLAIN:
            out = work / f"{method}.json"
            given = method, *map(str, (model, copy, out))
            code = f"from tests.benchmarks.comparison import plain; plain{given}"
            cost = run([sys.executable, "-c", code])
            rows.append(row(method, cost, costs, apart(table, json.loads(out.read_text()))))
        write_section("Comparing two checkpoints", text(model.name, rows))


def run(command: list[str]) -> float:
    """Processor seconds of a command on one thread of BLAS. Raises RuntimeError if it fails."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} failed")
    return used.ru_utime + used.ru_stime


def plain(method: str, base: str, other: str, out: str) -> None:
    """Write what a method finds of each matrix that changed."""
    import torch
    from safetensors.torch import load_file

    torch.set_num_threads(1)
    sides = [
        {
            name: w
            for path in sorted(Path(side).glob("*.safetensors"))
            for name, w in load_file(path).items()
        }
        for side in (base, other)
    ]
    found = {}
    for name, w in sides[0].items():
        if w.ndim == 2 and not torch.equal(w, sides[1][name]):
            found[name] = {"torch": by_torch, "numpy": by_numpy}[method](w, sides[1][name])
    Path(out).write_text(json.dumps(found))


def by_torch(a, b):
    import torch

    changed = (a != b).float().mean().item()
    a, b = a.float(), b.float()
    delta = b - a
    (u, _, _), (v, _, _) = (torch.linalg.svd(w, full_matrices=False) for w in (a, b))
    cosine = torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0)
    return {
        "changed": changed,
        "relative_change": (delta.norm() / a.norm()).item(),
        "cosine": cosine.item(),
        "delta_spectral_norm": torch.linalg.svdvals(delta)[0].item(),
        **{
            f"left_overlap_{k}": ((u[:, :k].T @ v[:, :k]) ** 2).sum().item() / k
            for k in LEADING
            if 2 * k <= min(a.shape)
        },
    }


def by_numpy(a, b):
    import numpy as np

    changed = float((a != b).float().mean())
    a, b = a.float().numpy(), b.float().numpy()
    delta = b - a
    u, v = (np.linalg.svd(w, full_matrices=False)[0] for w in (a, b))
    return {
        "changed": changed,
        "relative_change": float(np.linalg.norm(delta) / np.linalg.norm(a)),
        "cosine": float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b)),
        "delta_spectral_norm": float(np.linalg.svd(delta, compute_uv=False)[0]),
        **{
            f"left_overlap_{k}": float(((u[:, :k].T @ v[:, :k]) ** 2).sum()) / k
            for k in LEADING
            if 2 * k <= min(a.shape)
        },
    }


def apart(table: pd.DataFrame, plain: dict[str, dict[str, float]]) -> dict[str, float]:
    """The largest difference of each number from ours."""
    theirs = pd.DataFrame.from_dict(plain, orient="index").reindex(table["param_name"])
    theirs = theirs.reset_index(drop=True)
    return {name: float((table[name] - theirs[name]).abs().max()) for name in theirs}


def row(
    name: str, cost: float, ours: dict[str, float], found: dict[str, float] | None = None
) -> str:
    first = next(iter(ours.values()))
    differences = ", ".join(f"{key} {value:.0e}" for key, value in (found or {}).items())
    return f"| {name} | {cost:.1f} | {cost / first:.2f} | {differences} |"


def text(model: str, rows: list[str]) -> str:
    table = "\n".join(rows)
    return f"""\
{model} in BF16 with a copy of which all matrices of layers changed by 5 %. Machine:
{machine()}. Processor seconds of whole processes with their start, one thread of BLAS each.
Ours has all tables of a comparison; the plain ways have the numbers of the last column, with the
largest difference from ours. Overlaps differ where σ_k is within a percent of the next one: ours
come from three passes of subspace iteration.

| method | CPU seconds | ratio | largest difference |
|---|---|---|---|
{table}
"""


if __name__ == "__main__":
    main(*sys.argv[1:])
