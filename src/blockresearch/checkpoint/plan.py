"""What to measure, cut into parts of about equal cost: the plan.

A part is a shard or, if a shard is costly, a group of its tensors. Parts are cut by predicted
cost alone, not by the machine, so the jobs and their artifacts are the same everywhere.

The plan contains what determines the numbers of a part and nothing else (no commit, no date, no
role): the content hash of its shard and its tensors' places, types, shapes and layouts; of a
quantized tensor its scheme, with the companions and the shards they lie in. The digest of a part
changes exactly when its measurements may change.

On disk the plan is {"parts": [...]}, a part being a JSON object with the fields of `Part`.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blockresearch.checkpoint import cost
from blockresearch.checkpoint.manifest import Manifest, SourceFile
from blockresearch.weights.weight import Weight, weight_from_json, weight_json, weight_of

# Short enough that one large shard fills the cores as evenly as many small ones do, long enough
# that the start of a job (two seconds) does not count; more than MAX_PARTS would burden Snakemake.
PART_SECONDS = 15.0

MAX_PARTS = 400

# A weight and the predicted seconds of its measurement.
Costed = tuple[float, Weight]


@dataclass(frozen=True, slots=True)
class ShardContent:
    """A shard by name and content; `sha256` is None for a folder read by hand."""

    shard: str
    size: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Part:
    """What one job measures.

    part              name: number of the shard and of the group of its tensors
    content           the shard
    companions        further shards that are read for companions
    weights           the tensors
    matrices          number of matrices in them
    singular_values   number of their singular values
    seconds           predicted time of one core
    memory            predicted peak memory of one worker, bytes
    digest            short hash of everything that determines the measurements
    """

    part: str
    content: ShardContent
    companions: tuple[ShardContent, ...]
    weights: tuple[Weight, ...]
    matrices: int
    singular_values: int
    seconds: float
    memory: int
    digest: str

    @property
    def shards(self) -> tuple[ShardContent, ...]:
        """The shards that are read: the part's own, then those of companions."""
        return self.content, *self.companions


def make_plan(manifest: Manifest, part_seconds: float | None = None) -> list[Part]:
    """The parts of a manifest, each of about `part_seconds`."""
    by_shard: dict[str, list[Costed]] = {}
    for weight in _weights(manifest):
        by_shard.setdefault(weight.stored.shard, []).append((cost.seconds(weight), weight))
    total = sum(seconds for some in by_shard.values() for seconds, _ in some)
    target = part_seconds or max(PART_SECONDS, total / MAX_PARTS)
    contents = {file.path: _content(file) for file in manifest.shards}
    return [
        _part(f"{number:05d}-{group_number:03d}", content, group, contents)
        for number, content in enumerate(contents.values(), 1)
        if manifest.asked is None or content.shard in by_shard
        for group_number, group in enumerate(groups(by_shard.get(content.shard, []), target), 1)
    ]


def _weights(manifest: Manifest) -> Iterable[Weight]:
    """The tensors of a manifest that are measured."""
    by_name = manifest.by_name
    for tensor in manifest.tensors:
        if not tensor.layout.is_measured or not manifest.is_read(tensor.name):
            continue
        yield weight_of(tensor, tensor.layout, by_name, tensor.change)


def _content(file: SourceFile) -> ShardContent:
    return ShardContent(file.path, file.size, file.sha256)


def _part(
    name: str,
    content: ShardContent,
    group: Sequence[Costed],
    contents: Mapping[str, ShardContent],
) -> Part:
    weights = tuple(weight for _, weight in group)
    others = {shard for weight in weights for shard in weight.other_shards} - {content.shard}
    companions = tuple(contents[shard] for shard in sorted(others))
    sizes = [(min(m.rows, m.cols)) for weight in weights for m in weight.matrices()]
    return Part(
        name,
        content,
        companions,
        weights,
        matrices=len(sizes),
        singular_values=sum(sizes),
        seconds=round(sum(seconds for seconds, _ in group), 1),
        memory=max(map(cost.memory, weights), default=cost.BASE_BYTES),
        digest=digest(content, companions, weights),
    )


def groups(weights: Sequence[Costed], part_seconds: float) -> list[list[Costed]]:
    """Weights of a shard in groups of about `part_seconds`, longest first into the emptiest group.

    One group at least, so that every shard has a part even if nothing in it is measured.
    """
    total = sum(seconds for seconds, _ in weights)
    count = max(1, min(len(weights), round(total / part_seconds)))
    result: list[list[Costed]] = [[] for _ in range(count)]
    loads = [0.0] * count
    for seconds, weight in sorted(weights, key=lambda pair: (-pair[0], pair[1].stored.begin)):
        lightest = loads.index(min(loads))
        result[lightest].append((seconds, weight))
        loads[lightest] += seconds
    return [sorted(group, key=lambda pair: pair[1].stored.begin) for group in result]


def digest(
    content: ShardContent, companions: Sequence[ShardContent], weights: Sequence[Weight]
) -> str:
    """Short hash of all that determines a part's measurements."""
    # A shard without a hash (read by hand) is identified by name and size alone.
    identity = {
        "size": content.size,
        "sha256": content.sha256,
        "companions": [_content_json(other) for other in companions],
        "tensors": [weight_json(weight) for weight in weights],
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def _content_json(content: ShardContent) -> dict[str, Any]:
    return {"shard": content.shard, "size": content.size, "sha256": content.sha256}


def plan_json(parts: Iterable[Part]) -> dict[str, Any]:
    """The plan as it is kept on disk."""
    return {
        "parts": [
            {
                "part": part.part,
                **_content_json(part.content),
                "companions": [_content_json(other) for other in part.companions],
                "tensors": [weight_json(weight) for weight in part.weights],
                "matrices": part.matrices,
                "singular_values": part.singular_values,
                "seconds": part.seconds,
                "memory": part.memory,
                "digest": part.digest,
            }
            for part in parts
        ]
    }


def tensors_of(plan: Mapping[str, Any], part: str) -> set[str]:
    """Names of the tensors of a part of a plan on disk, or of a shard by its number."""
    entries = [entry for entry in plan["parts"] if entry["part"].startswith(part)]
    return {tensor["name"] for entry in entries for tensor in entry["tensors"]}


def part_from_json(entry: Mapping[str, Any]) -> Part:
    """The part of an entry of a plan on disk."""
    content = _content_from_json(entry)
    return Part(
        entry["part"],
        content,
        tuple(map(_content_from_json, entry["companions"])),
        tuple(weight_from_json(tensor, content.shard) for tensor in entry["tensors"]),
        entry["matrices"],
        entry["singular_values"],
        entry["seconds"],
        entry["memory"],
        entry["digest"],
    )


def _content_from_json(entry: Mapping[str, Any]) -> ShardContent:
    return ShardContent(entry["shard"], entry["size"], entry["sha256"])
