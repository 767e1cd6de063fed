"""The device that measures, and a few workers at a time on each GPU.

A scheduler gives each job a GPU. On a machine without one, Snakemake's resource `gpu` only counts:
it bounds how many jobs run, gives none of them an index, and bounds nothing unless the user passes
`--resources gpu=N`. So jobs, and the threads in them, divide the GPUs among themselves by `slot`.

Imports little, because the rules import it too.
"""

import contextlib
import ctypes
import getpass
import importlib.util
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from typing import IO

try:
    import fcntl
except ImportError:  # not on Windows; there only the threads of one job wait for each other
    fcntl = None  # type: ignore[assignment]

# Workers that use a GPU at once: while one copies or waits for the host, another one computes.
WORKERS = 2

# Seconds until a worker looks again whether another process has given its slot back.
LOOK_AGAIN = 0.002

# A GPU by torch's name, and which of its workers.
Slot = tuple[str, int]


def resolve_device(requested: str) -> str:
    """The device for a request of auto, cpu, cuda, cuda:N or torch-cpu.

    auto is a GPU if the machine has an NVIDIA driver and torch can use it, else the CPU. torch-cpu
    is the program of a GPU, run by torch on the CPU: for tests and trials. Torch is imported only
    if there is a driver, because that import costs seconds in every job. Raises ValueError if the
    device is not available.
    """
    if requested == "cpu" or (requested == "auto" and not _has_driver()):
        return "cpu"
    if importlib.util.find_spec("torch") is None:
        if requested == "auto":
            return "cpu"
        raise ValueError(
            f"device {requested} needs torch: run `make setup GPU=yes`, or use device cpu."
        )
    if requested == "torch-cpu":
        return requested
    import torch

    if torch.cuda.is_available():
        return "cuda" if requested == "auto" else requested
    if requested == "auto":
        return "cpu"
    raise ValueError(f"device {requested}: torch finds no GPU here; use device auto or cpu.")


@contextlib.contextmanager
def slot(device: str) -> Iterator[Slot]:
    """Hold one of the `WORKERS` slots of a GPU while the block runs; cuda is the first free one.

    A slot is a lock on a file, which the system gives back however a process ends. Waits until
    there is a free one. Any other device has no slots and is yielded as it is.
    """
    if not device.startswith("cuda"):
        yield device, 0
        return
    free = _free_slots(device)
    while True:
        # Waits while workers of this process hold all of them.
        found = free.get()
        try:
            with _lock_file(*found).open("a") as file:
                if _locked(file):
                    yield found
                    return
        finally:
            free.put(found)
        time.sleep(LOOK_AGAIN)


@cache
def _free_slots(device: str) -> "SimpleQueue[Slot]":
    """The slots that no worker of this process holds."""
    names = [device] if ":" in device else [f"cuda:{i}" for i in range(_gpu_count())]
    slots: SimpleQueue[Slot] = SimpleQueue()
    for number in range(WORKERS):
        for name in names:
            slots.put((name, number))
    return slots


def _locked(file: IO) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_file(name: str, number: int) -> Path:
    import torch

    # If a scheduler gives each job one GPU, every one of them is called cuda:0.
    gpu = getattr(torch.cuda.get_device_properties(name), "uuid", name)
    user = getpass.getuser()
    return Path(tempfile.gettempdir(), f"ai-block-research-{user}-{gpu}-{number}.lock")


def _gpu_count() -> int:
    import torch

    return max(1, torch.cuda.device_count())


def may_find_gpu(requested: str) -> bool:
    """Whether a request for a device may lead to a GPU here, without importing torch."""
    if requested == "auto":
        return _has_driver() and importlib.util.find_spec("torch") is not None
    return requested.startswith("cuda")


def unused_gpu() -> str | None:
    """One line for a machine with a GPU that nothing here can use; None for any other."""
    if not _has_driver() or importlib.util.find_spec("torch") is not None:
        return None
    return (
        "There is a GPU here, but no torch, so the CPU measures: `make setup GPU=yes` in a clone, "
        "or `pip install torch`, adds torch."
    )


def _has_driver() -> bool:
    """Whether the machine has an NVIDIA driver."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True
