"""One measurement in a process of its own; prints seconds, peak memory and the error as JSON.

    python tests/benchmarks/alternatives.py METHOD FOLDER [MATRIX.npy REFERENCE.npy]

Imports nothing of the program at the top: WeightWatcher runs it in an environment of its own.
"""

import contextlib
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[2]


def peak(process="self"):
    """Largest resident memory so far, bytes (Linux). ru_maxrss would begin with the parent's."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0


def tensors(folder):
    from safetensors.torch import load_file

    for path in sorted(Path(folder).glob("*.safetensors")):
        yield from load_file(path).items()


def torch_model(folder):
    """The plain way: float(), moments, share near zero, matrix_rank."""
    import torch

    for _, tensor in tensors(folder):
        w = tensor.float()
        _ = w.mean(), w.std(), w.var(), w.min(), w.max(), (w.abs() <= 1e-6).float().mean()
        if w.ndim == 2:
            torch.linalg.matrix_rank(w)


def numpy_model(folder):
    import numpy as np

    for _, tensor in tensors(folder):
        w = tensor.float().numpy()
        _ = w.mean(), w.std(), w.var(), w.min(), w.max(), (np.abs(w) <= 1e-6).mean()
        if w.ndim == 2:
            np.linalg.matrix_rank(w)


def linear_layers(named):
    import torch

    layers = {}
    for name, w in named:
        if w.ndim == 2:
            layer = torch.nn.Linear(w.shape[1], w.shape[0], bias=False)
            layer.weight.data = w.float()
            layers[name.replace(".", "_")] = layer
    return torch.nn.ModuleDict(layers)


def weightwatcher(model):
    import weightwatcher as ww

    with contextlib.redirect_stdout(sys.stderr):
        return ww.WeightWatcher(model=model).analyze()


def values(method, matrix):
    """Singular values of a float32 matrix by `method`; None where it does not hand them out."""
    import numpy as np

    if method == "ours":
        sys.path.insert(0, str(ROOT))
        from blockresearch.spectra.singular_values import singular_values

        step = max(1, 2**23 // matrix.shape[1])
        return singular_values(
            lambda: (matrix[i : i + step] for i in range(0, len(matrix), step)), *matrix.shape
        ).values
    if method.startswith("torch"):
        import torch

        w = torch.from_numpy(matrix)
        return torch.linalg.svdvals(w.double() if method == "torch-f64" else w).numpy()
    return np.linalg.svd(matrix, compute_uv=False)


def main(method, folder, matrix=None, reference=None):
    import numpy as np

    error = None
    if matrix is None:
        if method == "weightwatcher":
            model = linear_layers(tensors(folder))
            import weightwatcher as ww  # noqa: F401

            before, start = peak(), time.perf_counter()
            weightwatcher(model)
        else:
            before, start = peak(), time.perf_counter()
            {"torch": torch_model, "numpy": numpy_model}[method](folder)
        seconds = time.perf_counter() - start
    else:
        w = np.load(matrix)
        values(method, np.eye(200, dtype=np.float32))
        before, times = peak(), []
        while not times or (sum(times) < 0.5 and len(times) < 7):
            start = time.perf_counter()
            found = values(method, w)
            times.append(time.perf_counter() - start)
        seconds, expected = min(times), np.load(reference)
        kept = expected >= 1e-4 * expected[0]
        error = float(np.max(np.abs(found[kept] - expected[kept]) / expected[kept]))
    print(json.dumps({"seconds": seconds, "peak": peak() - before, "error": error}))


if __name__ == "__main__":
    with contextlib.suppress(ImportError):
        import torch

        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    main(*sys.argv[1:])
