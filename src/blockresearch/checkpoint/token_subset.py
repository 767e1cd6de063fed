"""Only what is asked: a manifest of which nothing but the tensors of tokens is read.

Of a model on the hub just the bytes of these tensors are fetched, with the headers of their shards.
The manifest then has

    asked      names of the tensors that are read: token embedding, output layer, their companions
    files      with each shard also `ranges`, the (begin, end) of the bytes that are fetched; no
               hash proves a part of a file, so a problem `not_verified` says it of each shard
"""

from collections.abc import Iterable, Mapping
from typing import Any

from blockresearch.checkpoint.manifest import fetched_bytes, tensor_layouts, token_tensors
from blockresearch.checkpoint.selection import CheckpointError


def only_tokens(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """`manifest` for the analysis of tokens alone; CheckpointError where there is no embedding."""
    if manifest["embedding"] is None:
        raise CheckpointError(
            f"{manifest['model']} has no token embedding, so `analyses: [embedding]` has nothing "
            "to read: leave `analyses` out."
        )
    names = {tensor["name"] for tensor in token_tensors(manifest)}
    layouts = tensor_layouts(manifest)
    for name in sorted(names):
        if scheme := layouts[name].scheme:
            names.update(scheme.companions.values())
    restricted = {**manifest, "asked": sorted(names)}
    if manifest["model_id"] is None:
        return restricted
    files = [
        {**file, "ranges": _ranges(manifest["tensors"], file["path"], names)}
        if file["role"] == "shard"
        else file
        for file in manifest["files"]
    ]
    partly = [file for file in files if file.get("ranges")]
    problems = [
        {
            "check": "not_verified",
            "where": file["path"],
            "evidence": f"{fetched_bytes(file):,} of {file['size']:,} bytes were fetched, "
            "which its sha256 cannot prove; header, places and lengths were checked",
        }
        for file in partly
    ]
    return {**restricted, "files": files, "problems": [*manifest["problems"], *problems]}


def _ranges(
    tensors: Iterable[Mapping[str, Any]], shard: str, names: Iterable[str]
) -> list[list[int]]:
    """The header of a shard and the tensors of these names, ranges that touch joined."""
    here = [tensor for tensor in tensors if tensor["shard"] == shard]
    wanted = sorted([t["begin"], t["end"]] for t in here if t["name"] in names)
    if not wanted:
        return []
    joined = [[0, min(tensor["begin"] for tensor in here)]]
    for begin, end in wanted:
        if begin <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([begin, end])
    return joined
