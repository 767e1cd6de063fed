"""What rules read from the JSON of a manifest: paths of weights, and what jobs depend on.

The Snakefile is parsed again in every job of a cluster, so this imports the standard library only
and builds no typed manifest.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# What determines the numbers read from a tensor; its role does not.
CONTENT = ("name", "dtype", "shape", "shard", "begin", "end", "layout")


# Block types of the matrices of attention.
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj")

# Block types of the matrices of dense MLPs.
MLP = ("gate_proj", "up_proj", "gate_up_proj", "down_proj")


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


def changed_tensors(
    manifest: Mapping[str, Any], before: Mapping[str, Any] | None = None
) -> list[str]:
    """Names of the tensors that do not lie at the same place of equal shards in `before`.

    The shards of their companions count as well. Without `before` they are all.
    """
    known = _places(before) if before else {}
    return [name for name, place in _places(manifest).items() if known.get(name) != place]


def shards_of(manifest: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """The shards that tensors of these names are read from, with those of their companions."""
    tensors = {tensor["name"]: tensor for tensor in manifest["tensors"]}
    chosen = [tensors[name] for name in names if name in tensors]
    shards = {
        tensors[name]["shard"] for tensor in chosen for name in (tensor["name"], *_others(tensor))
    }
    return [file["path"] for file in manifest["files"] if file["path"] in shards]


def shard_tensors(manifest: Mapping[str, Any], number: str) -> list[Mapping[str, Any]]:
    """The tensors in a shard, by its number from 1."""
    shards = [file["path"] for file in manifest["files"] if file["role"] == "shard"]
    return [tensor for tensor in manifest["tensors"] if tensor["shard"] == shards[int(number) - 1]]


def shard_digest(manifest: Mapping[str, Any], number: str) -> str:
    """Short hash of what a survey of a shard is made from."""
    return tensors_digest(manifest, shard_tensors(manifest, number))


def attention_tensors(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The matrices, biases and norms of the layers: what circuits are read from."""
    return [
        tensor
        for tensor in manifest["tensors"]
        if tensor["role"].get("layer_index") is not None
        and tensor["role"].get("component") != "adapter"
        and tensor["role"].get("block_type") in (*ATTENTION, "norm")
    ]


def mlp_tensors(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The matrices of dense MLPs in the layers."""
    return [
        tensor
        for tensor in manifest["tensors"]
        if tensor["role"].get("layer_index") is not None
        and tensor["role"].get("component") != "adapter"
        and tensor["role"].get("block_type") in MLP
        and len(tensor["shape"]) > 1
    ]


def lens_tensors(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The tensors through which directions are seen: the tables of tokens, and norms outside the
    layers."""
    tables = [tensor["name"] for tensor in token_tensors(manifest)]
    return [
        tensor
        for tensor in manifest["tensors"]
        if tensor["name"] in tables
        or (
            tensor["role"].get("layer_index") is None
            and tensor["role"].get("block_type") == "norm"
            and tensor["role"].get("component") != "adapter"
        )
    ]


def lens_shards(manifest: Mapping[str, Any]) -> list[str]:
    """The shards that directions are seen through."""
    return shards_of(manifest, [tensor["name"] for tensor in lens_tensors(manifest)])


def lens_digest(manifest: Mapping[str, Any]) -> str:
    """Short hash of what names directions beside their own weights, the tokens left out."""
    return tensors_digest(manifest, lens_tensors(manifest))


def tensors_digest(manifest: Mapping[str, Any], tensors: Sequence[Mapping[str, Any]]) -> str:
    """Short hash of tensors with their roles, of their shards and the config."""
    shards = shards_of(manifest, [tensor["name"] for tensor in tensors])
    hashes = [
        [file["path"], file["sha256"], file["git_sha1"]]
        for file in manifest["files"]
        if file["path"] in shards
    ]
    entries = [{key: tensor[key] for key in (*CONTENT, "role")} for tensor in tensors]
    text = json.dumps([entries, hashes, manifest["config"]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _places(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What determines the numbers of each tensor, shards by their content. A tensor in a shard of
    unknown content is equal to no other."""
    keys = {file["path"]: file_key(file) for file in manifest["files"]}
    shards = {tensor["name"]: tensor["shard"] for tensor in manifest["tensors"]}
    found = {}
    for tensor in manifest["tensors"]:
        names = (tensor["name"], *_others(tensor))
        contents = [keys[shards[name]] for name in names]
        own = [tensor[name] for name in CONTENT if name != "shard"]
        found[tensor["name"]] = [own, contents] if all(contents) else object()
    return found


def _others(tensor: Mapping[str, Any]) -> list[str]:
    """Names of the companions that a tensor is dequantized with."""
    return list(tensor["layout"].get("scheme", {}).get("companions", {}).values())


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
