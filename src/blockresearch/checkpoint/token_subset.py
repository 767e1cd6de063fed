"""Restrict a manifest to the token embedding and the output layer.

Of a model on the hub only the bytes of these tensors are downloaded, with the headers of their
shards. No hash verifies a part of a file, so a problem `not_verified` names each shard.
"""

from collections.abc import Collection
from dataclasses import replace

from blockresearch.checkpoint.manifest import Manifest, Problem, Ranges, SourceFile
from blockresearch.checkpoint.selection import CheckpointError


def only_tokens(manifest: Manifest) -> Manifest:
    """`manifest` for the analysis of tokens alone.

    Raises CheckpointError if there is no token embedding.
    """
    if manifest.embedding is None:
        raise CheckpointError(
            f"{manifest.model} has no token embedding, so `analyses: [embedding]` has nothing "
            "to read: leave `analyses` out."
        )
    names = {tensor.name for tensor in manifest.token_tensors}
    for tensor in manifest.token_tensors:
        if tensor.layout.scheme:
            names.update(tensor.layout.scheme.companions.values())
    restricted = replace(manifest, asked=frozenset(names))
    if manifest.is_folder:
        return restricted
    files = tuple(
        replace(file, ranges=_ranges(manifest, file.path, names)) if file.role == "shard" else file
        for file in manifest.files
    )
    problems = tuple(_not_verified(file) for file in files if file.ranges)
    return replace(restricted, files=files, problems=(*manifest.problems, *problems))


def _not_verified(file: SourceFile) -> Problem:
    return Problem(
        "not_verified",
        file.path,
        f"{file.fetched_bytes:,} of {file.size:,} bytes were fetched, which its sha256 cannot "
        "prove; header, places and lengths were checked",
    )


def _ranges(manifest: Manifest, shard: str, names: Collection[str]) -> Ranges:
    """The header of a shard and the tensors of these names; ranges that touch are joined."""
    here = [tensor for tensor in manifest.tensors if tensor.shard == shard]
    chosen = sorted((t.begin, t.end) for t in here if t.name in names)
    if not chosen:
        return ()
    joined = [(0, min(tensor.begin for tensor in here))]
    for begin, end in chosen:
        first, last = joined[-1]
        if begin <= last:
            joined[-1] = (first, max(last, end))
        else:
            joined.append((begin, end))
    return tuple(joined)
