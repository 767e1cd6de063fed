"""AI Block Research takes language models apart; see README.md and docs/python.md.

    import blockresearch as br

    results = br.load("results/Qwen--Qwen3-4B")
    found = br.measure(array)

Nothing is imported until it is used, and no module of the package imports from here: importing the
package costs nothing, and the fingerprints of jobs do not follow `__init__.py`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blockresearch.measurement.in_memory import Measurement, measure
    from blockresearch.read.results import Results, load

__all__ = ["Measurement", "Results", "load", "measure"]


def __getattr__(name: str) -> Any:
    """What this package offers to programs, and its version, looked up on demand."""
    if name in ("Results", "load"):
        from blockresearch.read import results

        return getattr(results, name)
    if name in ("Measurement", "measure"):
        from blockresearch.measurement import in_memory

        return getattr(in_memory, name)
    if name == "__version__":
        from importlib.metadata import version

        return version("ai-block-research")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
