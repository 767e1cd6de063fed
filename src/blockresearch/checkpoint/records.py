"""What rules read from the JSON of a manifest: paths of weights, and what jobs depend on.

The Snakefile is parsed again in every job of a cluster, so this imports the standard library only
and builds no typed manifest.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

# What determines the numbers read from a tensor; its role does not.
CONTENT = ("name", "dtype", "shape", "shard", "begin", "end", "layout")


def content_key(
    sha256: str | None, git_sha1: str | None, ranges: Sequence[Sequence[int]] | None = None
) -> str:
    """Folder of a downloaded file: the first 12 hex digits of its hash.

    A file of which only `ranges` are fetched has another one, so that it never stands for the
    whole.
    """
    whole = sha256 or git_sha1 or ""
    if ranges is None:
        return whole[:12]
    text = json.dumps([whole, [list(pair) for pair in ranges]])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def file_key(file: Mapping[str, Any]) -> str:
    """Content key of a file's entry in a manifest."""
    return content_key(file["sha256"], file["git_sha1"], file.get("ranges"))


def fetched_bytes(file: Mapping[str, Any]) -> int:
    """Bytes of a file that are downloaded: all, or those of its ranges."""
    return sum(end - begin for begin, end in file.get("ranges", [[0, file["size"]]]))


def weight_path(manifest: Mapping[str, Any], file: str, weights: str) -> str:
    """Where a job finds `file` of a model: in its folder, or among the downloaded weights."""
    entry = next(entry for entry in manifest["files"] if entry["path"] == file)
    if manifest["model_id"] is None:
        return os.path.join(manifest["model_path"], file)
    return os.path.join(weights, file_key(entry), os.path.basename(file))


def token_tensors(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The token embedding, and the output layer if it is stored separately."""
    names = (manifest["embedding"], manifest["output"]) if manifest["embedding"] else ()
    return [tensor for name in names for tensor in manifest["tensors"] if tensor["name"] == name]


def token_shards(manifest: Mapping[str, Any]) -> list[str]:
    """Shards that embedding and output layer are read from: their own and their companions'."""
    names = set()
    for tensor in token_tensors(manifest):
        scheme = tensor["layout"].get("scheme", {})
        names |= {tensor["name"], *scheme.get("companions", {}).values()}
    return sorted({tensor["shard"] for tensor in manifest["tensors"] if tensor["name"] in names})


def embedding_digest(manifest: Mapping[str, Any]) -> str:
    """Short hash of what the analysis of tokens reads: the tensors, their shards, the tokenizer."""
    tensors = [{key: t[key] for key in CONTENT} for t in token_tensors(manifest)]
    shards = token_shards(manifest)
    files = [
        file for file in manifest["files"] if file["role"] == "tokenizer" or file["path"] in shards
    ]
    hashes = [[file["path"], file["sha256"], file["git_sha1"]] for file in files]
    text = json.dumps([tensors, hashes], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
