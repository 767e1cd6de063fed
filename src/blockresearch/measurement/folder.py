"""Analyze a local folder without Snakemake: the same parts, the same numbers."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from blockresearch.checkpoint.cost import BASE_BYTES
from blockresearch.checkpoint.describe import describe_folder
from blockresearch.checkpoint.manifest import Manifest, Problem
from blockresearch.checkpoint.plan import Part, make_plan
from blockresearch.measurement import merge
from blockresearch.measurement.part import TABLES, Rows, Settings, measure_parts
from blockresearch.tables.io import frame

log = logging.getLogger(__name__)

# Without Snakemake the parts are small, so that all cores finish at about the same time.
PIECE_SECONDS = 0.2

# A stale index may name thousands of tensors.
WARNED = 10


@dataclass(frozen=True)
class Analysis:
    """The merged tables of one model."""

    manifest: Manifest
    params: pd.DataFrame
    matrices: pd.DataFrame
    spectra: pd.DataFrame
    coverage: pd.DataFrame


def analyze_folder(
    folder: str,
    settings: Settings,
    threads: int,
    created_at: str,
    subfolder: str = "",
    variant: str | None = None,
    file: str | None = None,
    memory_limit: int | None = None,
) -> Analysis:
    """Measure a local folder on `threads` cores (one part per core, longest first).

    Disagreements of headers, index and files are logged as warnings, and so are tensors that are
    not supported. With a `memory_limit` (bytes) fewer parts run at once. Raises ValueError if one
    exceeds it.
    """
    manifest = describe_folder(
        folder, created_at, hashed=False, subfolder=subfolder, variant=variant, file=file
    )
    _warn(manifest.problems)
    parts = sorted(make_plan(manifest, PIECE_SECONDS), key=lambda part: -part.seconds)
    log.info("%s: %d tensors in %d parts", folder, manifest.totals.tensors, len(parts))
    threads = _within(memory_limit, parts, threads)
    rows = Rows()
    files = {file.path: Path(manifest.model_path, file.path) for file in manifest.shards}
    for done, (_, measured) in enumerate(measure_parts(files, parts, settings, threads), 1):
        rows.extend(measured)
        log.info("%d of %d parts done", done, len(parts))
    stacked = {table: frame(getattr(rows, table), table) for table in TABLES}
    params = merge.with_roles(stacked["params"], "params", manifest)
    numel = params.set_index("param_name")["numel"]
    spectra = merge.in_order_of(params, stacked["spectra"])
    coverage = merge.coverage(manifest, numel, merge.refused(params, spectra))
    _warn(_unsupported(coverage))
    return Analysis(
        manifest,
        params,
        merge.with_roles(stacked["matrices"], "matrices", manifest),
        spectra,
        coverage,
    )


def _warn(problems: Iterable[Problem]) -> None:
    """Log problems as warnings, of each kind the first few."""
    counts: Counter[str] = Counter()
    for problem in problems:
        counts[problem.check] += 1
        if counts[problem.check] <= WARNED:
            log.warning("%s", problem.sentence)
    for check, count in counts.items():
        if count > WARNED:
            log.warning("%s: %d more; --coverage lists all tensors", check, count - WARNED)


def _unsupported(coverage: pd.DataFrame) -> Iterator[Problem]:
    """Tensors that are not supported, those of one reason together."""
    rows = coverage[coverage["status"] == "unsupported"]
    for reason, names in rows.groupby("reason", sort=False)["param_name"]:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield Problem("unsupported", f"{names.iloc[0]}{more}", str(reason))


def _within(memory_limit: int | None, parts: list[Part], threads: int) -> int:
    """Number of workers, at most `threads`, that fit into memory with any combination of parts."""
    if memory_limit is None:
        return threads
    # The workers share the interpreter and its libraries.
    needs = sorted((part.memory - BASE_BYTES for part in parts), reverse=True)
    if BASE_BYTES + needs[0] > memory_limit:
        raise ValueError(
            f"the largest part needs {(BASE_BYTES + needs[0]) / 1e9:.1f} GB and the limit is "
            f"{memory_limit / 1e9:.1f} GB: raise --memory_limit, or use --spectra none."
        )
    together = (BASE_BYTES + sum(needs[:count]) for count in range(1, threads + 1))
    return sum(needed <= memory_limit for needed in together)
