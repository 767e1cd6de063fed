"""The device that multiplies the matrices, and one job at a time on each GPU.

A scheduler gives each job a GPU. On a machine without one, Snakemake's resource `gpu` only counts:
it bounds how many jobs run, gives none of them an index, and bounds nothing unless the user passes
`--resources gpu=N`. So jobs divide the GPUs among themselves by `slot`.
"""

import contextlib
import ctypes
import getpass
import importlib.util
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # not on Windows; there jobs share the first GPU
    fcntl = None  # type: ignore[assignment]


def resolve_device(requested: str) -> str:
    """The device for a request of auto, cpu, cuda or cuda:N.

    auto is a GPU if the machine has an NVIDIA driver and torch can use it, else the CPU. Torch is
    imported only if there is a driver, because that import costs seconds in every job. Raises
    ValueError if the device is not available.
    """
    if requested == "cpu" or (requested == "auto" and not _has_driver()):
        return "cpu"
    if importlib.util.find_spec("torch") is None:
        if requested == "auto":
            return "cpu"
        raise ValueError(f"device {requested} needs torch: run `make setup`, or use device cpu.")
    import torch

    if torch.cuda.is_available():
        return "cuda" if requested == "auto" else requested
    if requested == "auto":
        return "cpu"
    raise ValueError(f"device {requested}: torch finds no GPU here; use device auto or cpu.")


@contextlib.contextmanager
def slot(device: str) -> Iterator[str]:
    """Hold one GPU while the block runs and yield its name: the first free one for cuda.

    A slot is a lock on a file, which the system gives back however a process ends. Waits until
    there is a free one. Any other device is yielded as it is.
    """
    if not device.startswith("cuda") or fcntl is None:
        yield device
        return
    names = [device] if ":" in device else [f"cuda:{i}" for i in range(_gpu_count())]
    while True:
        for name in names:
            with _lock_file(name).open("a") as file:
                if _locked(file):
                    yield name
                    return
        time.sleep(0.02)


def _locked(file: IO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_file(name: str) -> Path:
    import torch

    # If a scheduler gives each job one GPU, every one of them is called cuda:0.
    identity = getattr(torch.cuda.get_device_properties(name), "uuid", name)
    return Path(tempfile.gettempdir(), f"ai-block-research-{getpass.getuser()}-{identity}.lock")


def _gpu_count() -> int:
    import torch

    return max(1, torch.cuda.device_count())


def _has_driver() -> bool:
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True
