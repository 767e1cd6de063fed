"""Which device multiplies the matrices."""

import ctypes
import importlib.util
import sys


def chosen_device(wish: str) -> str:
    """The device for a wish of auto, cpu, cuda or cuda:N.

    auto is a GPU where the machine has an NVIDIA driver and torch can use it, else the CPU. Torch
    is imported only where there is a driver, because that import costs seconds in every job.
    Raises ValueError for a wish that cannot be fulfilled.
    """
    if wish == "cpu" or (wish == "auto" and not _has_driver()):
        return "cpu"
    if importlib.util.find_spec("torch") is None:
        if wish == "auto":
            return "cpu"
        raise ValueError(f"device {wish} needs torch: run `make setup`, or use device cpu.")
    import torch

    if torch.cuda.is_available():
        return "cuda" if wish == "auto" else wish
    if wish == "auto":
        return "cpu"
    raise ValueError(f"device {wish}: torch sees no GPU here; use device auto or cpu.")


def _has_driver() -> bool:
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True
