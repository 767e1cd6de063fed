"""A worker's use of a device: its stream, its buffers for copies, and what it does without it."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from functools import cache
from typing import TypeVar

import numpy as np
import torch

from blockresearch.device import slot
from blockresearch.text import quoted

log = logging.getLogger(__name__)

Result = TypeVar("Result")

# Bytes that are copied at once.
STAGE_BYTES = 32 * 2**20

# A full device, eigenvalues that are not found, and operations that torch has on the CPU alone.
FAILURES = (torch.OutOfMemoryError, torch.linalg.LinAlgError, NotImplementedError)


class Lane:
    """The stream of a worker on a GPU, and two buffers to copy from in turn.

    They are pinned, so that a copy runs while the host already fills the other one. With one
    stream for each worker, the copies of one overlap the arithmetic of the others. `kind` names
    the device in results: they do not depend on which of several GPUs computed them.
    """

    def __init__(self, name: str):
        self.device = torch.device("cpu" if name == "torch-cpu" else name)
        self.kind = name.partition(":")[0]
        self.stream = torch.cuda.Stream(self.device) if self.device.type == "cuda" else None
        self._buffers: list[tuple[torch.Tensor, torch.cuda.Event]] = []

    def send(self, fill: Callable[[np.ndarray, int], None], nbytes: int) -> torch.Tensor:
        """A new tensor uint8 [nbytes] on the device.

        `fill(view, position)` sets `view` (uint8 [n]) to the bytes from `position` on.
        """
        result = torch.empty(nbytes, dtype=torch.uint8, device=self.device)
        for start in range(0, nbytes, STAGE_BYTES):
            part = result[start : start + STAGE_BYTES]
            if self.stream is None:
                fill(part.numpy(), start)
                continue
            buffer, copied = self._next_buffer()
            fill(buffer[: len(part)].numpy(), start)
            part.copy_(buffer[: len(part)], non_blocking=True)
            copied.record()
        return result

    def send_array(self, array: np.ndarray) -> torch.Tensor:
        """The bytes of an array in C order as a new tensor uint8 [n] on the device."""
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)

        def fill(view: np.ndarray, position: int) -> None:
            view[:] = data[position : position + len(view)]

        return self.send(fill, len(data))

    def _next_buffer(self) -> tuple[torch.Tensor, torch.cuda.Event]:
        """A buffer that no copy needs any more, and the event that ends its next copy."""
        if len(self._buffers) < 2:
            pinned = torch.empty(STAGE_BYTES, dtype=torch.uint8, pin_memory=True)
            self._buffers.append((pinned, torch.cuda.Event()))
        else:
            self._buffers.reverse()
            self._buffers[-1][1].synchronize()
        return self._buffers[-1]


@contextlib.contextmanager
def lane(device: str) -> Iterator[Lane]:
    """Hold a slot of a device while the block runs; torch's operations go to the lane's stream."""
    with slot(device) as held:
        found = _lane(*held)
        if found.stream is None:
            yield found
            return
        with torch.cuda.device(found.device), torch.cuda.stream(found.stream):
            yield found


def attempt(
    device: str, name: str, there: Callable[[Lane], Result], here: Callable[[], Result]
) -> Result:
    """What `there` computes with a lane of a device; if the device fails, what `here` computes on
    the CPU, with a warning that has the `name` of what was measured."""
    try:
        with lane(device) as held:
            return there(held)
    except FAILURES as error:
        reason = str(error).partition("\n")[0]
        log.warning("%s on %s: %s: using the CPU", quoted(name), device, reason)
    if torch.cuda.is_available():
        # Give the GPU back what torch keeps for later.
        torch.cuda.empty_cache()
    return here()


@cache
def _lane(name: str, number: int) -> Lane:
    """The lane of a slot. It stays, because torch keeps freed memory for the same stream."""
    return Lane(name)
