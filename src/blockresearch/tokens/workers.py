"""Threads that work through parts of a table, with a line in the log every few seconds.

Parts depend on the table alone, each is computed by one thread with one BLAS thread, and results
are used in the order of the parts. So no result depends on the number of threads.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

log = logging.getLogger(__name__)

# Between two lines in the log.
SECONDS = 3.0

Part = TypeVar("Part")
Result = TypeVar("Result")


class Workers:
    """Up to `threads` threads, and the `device` that multiplies: the CPU, or a GPU of torch.

    A job that runs on a thread must not wait for another one.
    """

    def __init__(self, threads: int = 1, device: str = "cpu") -> None:
        self.threads = threads
        self.device = device
        self._pool = ThreadPoolExecutor(threads)
        self._last_line = time.monotonic()

    @property
    def on_cpu(self) -> bool:
        """Whether NumPy multiplies, and not torch."""
        return self.device == "cpu"

    def start(self, job: Callable[..., Result], *arguments: Any) -> "Future[Result]":
        """The future of a job that one thread does."""
        return self._pool.submit(job, *arguments)

    def map(
        self, job: Callable[[Part], Result], parts: Iterable[Part], what: str
    ) -> Iterator[Result]:
        """Yield the results of `job` for each of `parts`, in their order.

        Only a few results wait in memory. `what` names the work in the log.
        """
        parts = list(parts)
        waiting: deque[Future[Result]] = deque()
        for done, part in enumerate(parts):
            waiting.append(self._pool.submit(job, part))
            if len(waiting) > 2 * self.threads:
                yield waiting.popleft().result()
                self.report(f"{what}: {100 * (done + 1 - len(waiting)) // len(parts)} %")
        while waiting:
            yield waiting.popleft().result()

    def report(self, line: str) -> None:
        """Log a line, if the last one was a few seconds ago."""
        if time.monotonic() - self._last_line >= SECONDS:
            self._last_line = time.monotonic()
            log.info("%s", line)


SERIAL = Workers()
