"""Files of a model for as long as they are read: those in place, and others that come and go.

This is how a model larger than the disk is read: a file is downloaded into a folder of the job that
reads it, verified, and deleted when the job has read it.
"""

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from blockresearch.checkpoint.fetch import fetch
from blockresearch.checkpoint.manifest import Manifest, Ranges, SourceFile
from blockresearch.checkpoint.plan import Part
from blockresearch.weights.stored import Stored
from blockresearch.weights.weight import Weight

# Folder among the weights that has a folder for each job.
FOLDER = "streaming"


def job_folder(weights: str | os.PathLike[str], manifest: str | os.PathLike[str], job: str) -> Path:
    """Folder for the files that a job on the model of the file `manifest` downloads.

    It is the same for every attempt of a job, and another one for each folder of results.
    """
    model = hashlib.sha256(os.fsencode(os.path.abspath(manifest))).hexdigest()[:12]
    return Path(weights, FOLDER, f"{model}-{job}")


@contextmanager
def borrowed(
    manifest: Manifest, files: Iterable[SourceFile], weights: str | os.PathLike[str], folder: Path
) -> Iterator[Mapping[str, Path]]:
    """Yield the places of `files` by their names, and delete `folder` when they have been read.

    Files that are not in place are downloaded to `folder`. What has arrived stays there if a
    download fails, and the next attempt continues it.
    """
    places = {}
    for file in files:
        place = manifest.path_of(file.path, weights)
        if not manifest.is_folder and not place.exists():
            # Named by the content, so that other ranges of the file are never taken for these.
            place = folder / file.key / Path(file.path).name
            if not place.exists():
                fetch(manifest, file, place)
        places[file.path] = place
    try:
        yield places
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def shards_of(manifest: Manifest, parts: Sequence[Part]) -> list[SourceFile]:
    """The shards that parts of one shard are read from, as `shards_with`."""
    own = {part.content.shard for part in parts}
    return shards_with(manifest, (weight for part in parts for weight in part.weights), own)


def shards_with(
    manifest: Manifest, weights: Iterable[Weight], own: Iterable[str] = ()
) -> list[SourceFile]:
    """The shards `own`, and those that weights are read from.

    Those of the weights are fetched as the manifest says. Of others, which contain companions of
    the weights, only the header and the bytes of these companions are fetched.
    """
    whole = set(own)
    others: dict[str, set[tuple[int, int]]] = {}
    for weight in weights:
        whole.add(weight.stored.shard)
        for stored in weight.others:
            others.setdefault(stored.shard, set()).add((stored.begin, stored.end))
    sources = []
    for file in manifest.shards:
        if file.path in whole:
            sources.append(file)
        elif file.path in others:
            header = (0, _header_end(manifest.tensors, file.path))
            sources.append(replace(file, ranges=_merged([header, *others[file.path]])))
    return sources


def token_files(manifest: Manifest) -> list[SourceFile]:
    """The shards of embedding and output layer, with those of their companions; the tokenizer."""
    names: set[str] = set()
    for tensor in manifest.token_tensors:
        scheme = tensor.layout.scheme
        names |= {tensor.name, *(scheme.companions.values() if scheme else ())}
    shards = {tensor.shard for tensor in manifest.tensors if tensor.name in names}
    used = [file for file in manifest.shards if file.path in shards]
    return [*used, *manifest.files_of("tokenizer")]


def _header_end(tensors: Iterable[Stored], shard: str) -> int:
    """Offset of the first byte of data in a shard."""
    return min(tensor.begin for tensor in tensors if tensor.shard == shard)


def _merged(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """The same bytes as ranges in order that do not touch."""
    result: list[tuple[int, int]] = []
    for begin, end in sorted(ranges):
        if result and begin <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((begin, end))
    return tuple(result)
