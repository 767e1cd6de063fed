"""How parts are measured, and the tables that this makes.

Imports little: a job that only takes tables that were measured ahead needs nothing more.
"""

from dataclasses import dataclass
from typing import Any

TABLES = ("params", "matrices", "spectra", "histograms")


@dataclass(frozen=True)
class Settings:
    """Settings that the numbers depend on (the first three) and how they are computed.

    `spectra` is full, rank, sketch or none (see `singular_values`); sketch applies to the matrices
    whose full spectrum would take more than `sketch_above` predicted seconds of one core. `device`
    is one that `resolve_device` returns.
    """

    sparsity_threshold: float
    spectra: str = "full"
    sketch_above: float = 60.0
    device: str = "cpu"
    chunk_bytes: int = 32 * 1024**2

    @property
    def of_numbers(self) -> dict[str, Any]:
        """The settings that the numbers depend on, by name."""
        sketch = {"sketch_above": self.sketch_above} if self.spectra == "sketch" else {}
        return {
            "sparsity_threshold": self.sparsity_threshold,
            "spectra": self.spectra,
            **sketch,
        }
