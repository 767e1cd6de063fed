"""What a manifest says: its files, tensors, and where weights lie."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blockresearch.hub.transfer import RepoFile
from blockresearch.naming.roles import classify
from blockresearch.weights.layout import Layout, layouts


def still_the_same(manifest: dict[str, Any], earlier: str | os.PathLike[str]) -> dict[str, Any]:
    """`manifest` with the date of the file `earlier` when nothing but the date differs from it.

    So looking again at a model that has not changed rebuilds nothing.
    """
    try:
        known = json.loads(Path(earlier).read_text(encoding="utf-8"))
        date = known["created_at"]
    except (OSError, ValueError, KeyError, TypeError):
        return manifest
    dated = {**manifest, "created_at": date}
    return dated if dated == known else manifest


def file_sha256(path: str | os.PathLike[str]) -> str:
    """sha256 of a file's bytes, 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def used_files(manifest: Mapping[str, Any], role: str | None = None) -> list[RepoFile]:
    """Files of a manifest, all or those that play `role`: shard, index, config or tokenizer."""
    return [repo_file(file) for file in manifest["files"] if role in (None, file["role"])]


def repo_file(entry: Mapping[str, Any]) -> RepoFile:
    """The file that an entry of a manifest names."""
    return RepoFile(entry["path"], entry["size"], entry["sha256"], entry["git_sha1"])


def shard_files(manifest: Mapping[str, Any]) -> list[RepoFile]:
    """The shards of a manifest, in order."""
    return used_files(manifest, "shard")


def weight_path(manifest: Mapping[str, Any], file: str, weights: str) -> str:
    """Where a job finds `file` of a model: in its folder, or among the downloaded weights."""
    entry = next(entry for entry in manifest["files"] if entry["path"] == file)
    if manifest["model_id"] is None:
        return os.path.join(manifest["model_path"], file)
    return os.path.join(weights, content_key(entry), os.path.basename(file))


def content_key(entry: Mapping[str, Any]) -> str:
    """Folder of a downloaded file: the first 12 hex digits of its hash.

    A file of which only ranges are fetched has another one, so that it never stands for the whole.
    """
    whole = entry["sha256"] or entry["git_sha1"] or ""
    if "ranges" in entry:
        return hashlib.sha256(json.dumps([whole, entry["ranges"]]).encode()).hexdigest()[:12]
    return whole[:12]


def fetched_bytes(entry: Mapping[str, Any]) -> int:
    """Bytes of a file of a manifest that are downloaded: all, or those of its ranges."""
    return sum(end - begin for begin, end in entry.get("ranges", [[0, entry["size"]]]))


def token_tensors(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The token embedding, and the output layer where it is a tensor of its own."""
    wanted = (manifest["embedding"], manifest["output"]) if manifest["embedding"] else ()
    return [tensor for name in wanted for tensor in manifest["tensors"] if tensor["name"] == name]


def token_shards(plan: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[str]:
    """Shards that embedding and output layer are read from: their own and their companions'."""
    tensors = token_tensors(manifest)
    names = {tensor["name"] for tensor in tensors}
    shards = {tensor["shard"] for tensor in tensors}
    for part in plan["parts"]:
        for tensor in part["tensors"]:
            if tensor["name"] in names:
                companions = tensor.get("scheme", {}).get("companions", {}).values()
                shards.update(other["shard"] for other in companions)
    return sorted(shards)


def embedding_digest(plan: Mapping[str, Any], manifest: Mapping[str, Any]) -> str:
    """Short hash of what the analysis of tokens reads: the tensors, their shards, the tokenizer."""
    entries, shards = token_tensors(manifest), token_shards(plan, manifest)
    files = [
        file for file in manifest["files"] if file["role"] == "tokenizer" or file["path"] in shards
    ]
    hashes = [[file["path"], file["sha256"], file["git_sha1"]] for file in files]
    text = json.dumps([entries, hashes], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def tensor_layouts(manifest: Mapping[str, Any]) -> dict[str, Layout]:
    """Layout of each tensor of a manifest."""
    signatures = tensor_signatures(manifest)
    roles = classify(signatures, manifest["config"])
    return layouts(signatures, roles, manifest["config"])


def tensor_signatures(manifest: Mapping[str, Any]) -> list[tuple[str, tuple[int, ...], str]]:
    """(name, shape, dtype) of each tensor of a manifest."""
    return [(t["name"], tuple(t["shape"]), t["dtype"]) for t in manifest["tensors"]]
