"""What is read of one checkpoint alone, before it is compared: a survey.

    contents  hash of the stored bytes of each measured tensor, by its name
    spreads   standard deviation of each matrix of attention, by the name of the matrix

A survey of a shard has what lies in it; those of all shards together are that of the checkpoint.
"""

import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from threadpoolctl import threadpool_limits

from blockresearch.checkpoint.manifest import Manifest
from blockresearch.compare.checkpoint import Source
from blockresearch.compare.items import Item, items_of
from blockresearch.compare.profiles import is_profiled, spread
from blockresearch.files import read_json, write_json
from blockresearch.measurement.part import content_hash
from blockresearch.weights.quantized.source import Contradiction

log = logging.getLogger(__name__)

CHUNK_BYTES = 32 * 1024**2


@dataclass(frozen=True)
class Survey:
    """Hashes and spreads; what cannot be read has none."""

    contents: Mapping[str, str] = field(default_factory=dict)
    spreads: Mapping[str, float] = field(default_factory=dict)


def survey(source: Source, shards: Iterable[str], threads: int) -> Survey:
    """The survey of some shards, a tensor on each of `threads` cores."""
    items = _by_tensor(source.manifest, set(shards))
    with source.reading(items) as side:

        def surveyed(name: str) -> tuple[str | None, dict[str, float]]:
            try:
                found = content_hash(side.open(name), CHUNK_BYTES)
            except Contradiction as error:
                log.warning("%s", error)
                return None, {}
            spreads = {each.name: spread(side, each) for each in items[name] if is_profiled(each)}
            return found, {key: value for key, value in spreads.items() if value is not None}

        with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
            found = dict(zip(items, pool.map(surveyed, items), strict=True))
    return Survey(
        {name: content for name, (content, _) in found.items() if content is not None},
        {key: value for _, spreads in found.values() for key, value in spreads.items()},
    )


def write_survey(found: Survey, path: str | Path) -> None:
    """Write a survey as JSON."""
    write_json(asdict(found), path)


def read_surveys(paths: Iterable[str | Path]) -> Survey:
    """The survey of a checkpoint from those of its shards."""
    found = list(map(read_json, paths))
    return Survey(
        {name: content for own in found for name, content in own["contents"].items()},
        {name: value for own in found for name, value in own["spreads"].items()},
    )


def _by_tensor(manifest: Manifest, shards: set[str]) -> dict[str, list[Item]]:
    """The items of the measured tensors in some shards, by the names of the tensors."""
    found: dict[str, list[Item]] = {}
    for item in items_of(manifest):
        if item.tensor.shard in shards:
            found.setdefault(item.tensor.name, []).append(item)
    return found
