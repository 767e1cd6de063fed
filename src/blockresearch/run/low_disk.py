"""A model larger than the disk: which shard may come when which others have been measured.

The disk has a number of slots, one for a shard. Shards come in the order in which jobs first read
them; each takes the slot of an earlier one that no later job reads, and waits for all jobs that
read that one. So there are never more shards on the disk than slots, whatever the scheduler does;
and no job waits for itself, because all that a shard waits for reads shards that come before it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blockresearch.checkpoint.records import file_key, token_shards


@dataclass(frozen=True)
class Reader:
    """A job: what it makes, and the content keys of the shards that it reads."""

    makes: str
    keys: tuple[str, ...]


def readers(model: str, manifest: Mapping[str, Any], plan: Mapping[str, Any]) -> list[Reader]:
    """The jobs that read downloaded shards of a model, as paths below the results."""
    if manifest["model_id"] is None:
        return []
    keys = {file["path"]: file_key(file) for file in manifest["files"]}
    found = [Reader(f"{model}/embedding/summary.json", _keys(keys, token_shards(manifest)))]
    for part in plan["parts"]:
        shards = [part["shard"], *(other["shard"] for other in part["companions"])]
        found.append(Reader(f"{model}/parts/{part['part']}.params.parquet", _keys(keys, shards)))
    return found


def _keys(keys: Mapping[str, str], shards: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(keys[shard] for shard in shards))


def waits(jobs: Sequence[Reader], slots: int) -> Mapping[str, list[str]]:
    """For each shard (by its key) what has to be made before it may come.

    Raises ValueError when some job needs more shards at once than there are slots.
    """
    order: dict[str, int] = {}
    for job in jobs:
        for key in job.keys:
            order.setdefault(key, len(order))
    last, made = dict(order), dict[str, list[str]]()
    for job in jobs:
        latest = max((order[key] for key in job.keys), default=0)
        for key in job.keys:
            last[key] = max(last[key], latest)
            made.setdefault(key, []).append(job.makes)
    found: dict[str, list[str]] = {}
    on_disk: list[str] = []
    needed = 0
    for key, place in order.items():
        # A shard that a job reads together with one still to come has to stay.
        free = [other for other in on_disk if last[other] < place]
        needed = max(needed, len(on_disk) - len(free) + 1)
        found[key] = []
        if len(on_disk) >= slots and free:
            on_disk.remove(free[0])
            found[key] = made[free[0]]
        on_disk.append(key)
    if needed > slots:
        raise ValueError(
            f"shards_on_disk: {slots} is too few, because {needed} shards have to lie on the disk "
            f"at once for what is read together: set it to {needed} or more."
        )
    return found
