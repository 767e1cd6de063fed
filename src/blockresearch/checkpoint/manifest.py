"""What a checkpoint is: the manifest, written once by resolve_model and read by every later step.

What each tensor is in the model (its role) and how it is read (its layout) is decided when the
manifest is made, and nowhere else.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from blockresearch.checkpoint.records import content_key
from blockresearch.files import read_json, write_json_by_line
from blockresearch.hub.transfer import RepoFile
from blockresearch.naming.roles import Role
from blockresearch.weights.adapters.change import Change, change_from_json, change_json
from blockresearch.weights.layout import Layout, layout_from_json, layout_json
from blockresearch.weights.stored import Stored, stored_json

ROLE_FIELDS = fields(Role)

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Tensor(Stored):
    """One stored tensor: where its bytes lie, what it is in the model, and how it is read.

    change   the change of a weight that is measured with this factor of an adapter
    """

    role: Role
    layout: Layout
    change: Change | None = None

    @property
    def logical_shape(self) -> tuple[int, ...]:
        """Shape once it is dequantized, as far as headers give it."""
        return self.layout.scheme.shape if self.layout.scheme else self.shape


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of the checkpoint that is used.

    path      relative to the model's folder or repository
    role      shard, index, config or tokenizer
    size      bytes
    sha256, git_sha1    the hash that is known
    ranges    the bytes that are fetched if the file is not fetched as a whole
    """

    path: str
    role: str
    size: int
    sha256: str | None
    git_sha1: str | None
    ranges: Ranges | None = None

    @property
    def key(self) -> str:
        """Folder of the file once it is downloaded, named by its content."""
        return content_key(self.sha256, self.git_sha1, self.ranges)

    @property
    def fetched_bytes(self) -> int:
        """Bytes that are downloaded."""
        ranges = ((0, self.size),) if self.ranges is None else self.ranges
        return sum(end - begin for begin, end in ranges)

    @property
    def repo_file(self) -> RepoFile:
        """The same file as the hub lists it."""
        return RepoFile(self.path, self.size, self.sha256, self.git_sha1)


@dataclass(frozen=True, slots=True)
class Problem:
    """A disagreement between index, headers and hashes: which check found it, where, and what."""

    check: str
    where: str
    evidence: str

    @property
    def sentence(self) -> str:
        """The problem as one line of a log."""
        return f"{self.check}: {self.where} ({self.evidence})"


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over a checkpoint.

    tensors      how many are stored
    bytes        of all of them
    stored       elements as stored
    logical      elements once unpacked, companions left out
    parameters   of these the learned ones; an output layer that config ties to the embedding
                 counts once
    """

    tensors: int
    bytes: int
    stored: int
    logical: int
    parameters: int


@dataclass(frozen=True)
class Manifest:
    """A checkpoint: a folder, or a repository of the hub at one commit.

    model       as the user named it
    model_id    id on the hub; None for a folder
    model_path  folder, or the id again
    revision, commit    as asked for, and what it was resolved to; None for a folder
    created_at  when it was looked up, UTC
    files       those that are used
    skipped     weight files that are left alone, with the reason
    tensors     each stored tensor once, in the order of the shards
    problems    disagreements found while it was read
    config      config.json ({} if there is none)
    license     as the model card states it
    adapter     adapter_config.json if the tensors are those of an adapter
    index       total_size and total_parameters as the index states them
    embedding, output   names of the token embedding and of the output layer
    tied        the output layer is the embedding; None if nothing states it
    totals      sums over all tensors
    asked       names of the tensors that are read; None for all
    name        folder of the results, by which tables name the model
    commit_date when the commit was made, UTC, as the hub states it
    """

    model: str
    model_id: str | None
    model_path: str
    revision: str | None
    commit: str | None
    created_at: str
    files: tuple[SourceFile, ...]
    skipped: Mapping[str, str]
    tensors: tuple[Tensor, ...]
    problems: tuple[Problem, ...]
    config: Mapping[str, Any]
    license: str | None
    adapter: Mapping[str, Any] | None
    index: Mapping[str, int]
    embedding: str | None
    output: str | None
    tied: bool | None
    totals: Totals
    asked: frozenset[str] | None = None
    name: str = ""
    commit_date: str | None = None

    @cached_property
    def by_name(self) -> dict[str, Tensor]:
        """Tensors by name."""
        return {tensor.name: tensor for tensor in self.tensors}

    @property
    def is_folder(self) -> bool:
        """Whether the checkpoint is a local folder."""
        return self.model_id is None

    @property
    def shards(self) -> list[SourceFile]:
        """The shards, in order."""
        return self.files_of("shard")

    def files_of(self, *roles: str) -> list[SourceFile]:
        """Files that play one of `roles`: shard, index, config or tokenizer."""
        return [file for file in self.files if file.role in roles]

    def is_read(self, name: str) -> bool:
        """Whether a tensor is read; all are, but for an analysis of tokens alone."""
        return self.asked is None or name in self.asked

    @property
    def token_tensors(self) -> list[Tensor]:
        """The token embedding, and the output layer if it is stored separately."""
        names = (self.embedding, self.output) if self.embedding else ()
        return [self.by_name[name] for name in names if name in self.by_name]

    def path_of(self, file: str, weights: str | os.PathLike[str]) -> Path:
        """Where `file` lies: in the model's folder, or among the downloaded weights."""
        if self.is_folder:
            return Path(self.model_path, file)
        entry = next(entry for entry in self.files if entry.path == file)
        return Path(weights, entry.key, Path(file).name)


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    """The manifest in a file that `write_manifest` made."""
    return manifest_from_json(read_json(path))


def write_manifest(manifest: Manifest, path: str | os.PathLike[str]) -> None:
    """Write a manifest as JSON."""
    write_json_by_line(manifest_json(manifest), path)


def with_earlier_date(manifest: Manifest, earlier: str | os.PathLike[str]) -> Manifest:
    """`manifest` with the dates of the file `earlier` if nothing but dates differs from it.

    So looking again at a model that has not changed rebuilds nothing, even if the cache, which
    keeps no date of the commit, is what was looked at.
    """
    try:
        known = json.loads(Path(earlier).read_text(encoding="utf-8"))
        dates = {"created_at": known["created_at"], "commit_date": known["commit_date"]}
        dated = replace(manifest, **dates)
    except (OSError, ValueError, KeyError, TypeError):
        return manifest
    return dated if manifest_json(dated) == known else manifest


def manifest_json(manifest: Manifest) -> dict[str, Any]:
    """The manifest as it is kept on disk; docs/outputs.md explains the keys."""
    entry: dict[str, Any] = {
        "name": manifest.name,
        "model": manifest.model,
        "model_id": manifest.model_id,
        "model_path": manifest.model_path,
        "revision": manifest.revision,
        "commit": manifest.commit,
        "commit_date": manifest.commit_date,
        "created_at": manifest.created_at,
        "files": [_file_json(file) for file in manifest.files],
        "skipped": [{"path": path, "reason": why} for path, why in manifest.skipped.items()],
        "tensors": list(map(_tensor_json, manifest.tensors)),
        "problems": [asdict(problem) for problem in manifest.problems],
        "config": dict(manifest.config),
        "licence": manifest.license,
        "adapter": None if manifest.adapter is None else dict(manifest.adapter),
        "index": dict(manifest.index),
        "embedding": manifest.embedding,
        "output": manifest.output,
        "tied": manifest.tied,
        "totals": asdict(manifest.totals),
    }
    if manifest.asked is not None:
        entry["asked"] = sorted(manifest.asked)
    return entry


def manifest_from_json(entry: Mapping[str, Any]) -> Manifest:
    """The manifest of the JSON value that `manifest_json` made."""
    asked = entry.get("asked")
    return Manifest(
        model=entry["model"],
        model_id=entry["model_id"],
        model_path=entry["model_path"],
        revision=entry["revision"],
        commit=entry["commit"],
        created_at=entry["created_at"],
        files=tuple(map(_file_from_json, entry["files"])),
        skipped={skipped["path"]: skipped["reason"] for skipped in entry["skipped"]},
        tensors=tuple(map(_tensor_from_json, entry["tensors"])),
        problems=tuple(Problem(**problem) for problem in entry["problems"]),
        config=entry["config"],
        license=entry["licence"],
        adapter=entry["adapter"],
        index=entry["index"],
        embedding=entry["embedding"],
        output=entry["output"],
        tied=entry["tied"],
        totals=Totals(**entry["totals"]),
        asked=None if asked is None else frozenset(asked),
        name=entry["name"],
        commit_date=entry["commit_date"],
    )


def _file_json(file: SourceFile) -> dict[str, Any]:
    entry = asdict(file)
    if file.ranges is None:
        del entry["ranges"]
    return entry


def _file_from_json(entry: Mapping[str, Any]) -> SourceFile:
    ranges = entry.get("ranges")
    pairs = None if ranges is None else tuple((begin, end) for begin, end in ranges)
    return SourceFile(**{**entry, "ranges": pairs})


def _role_json(role: Role) -> dict[str, Any]:
    """What is usual (None, False) is left out."""
    values = ((field.name, getattr(role, field.name)) for field in ROLE_FIELDS)
    return {key: value for key, value in values if value is not None and value is not False}


def _tensor_json(tensor: Tensor) -> dict[str, Any]:
    entry = stored_json(tensor)
    entry |= {"role": _role_json(tensor.role), "layout": layout_json(tensor.layout)}
    return entry | ({"change": change_json(tensor.change)} if tensor.change else {})


def _tensor_from_json(entry: Mapping[str, Any]) -> Tensor:
    role = {
        "layer_index": None,
        "projection": None,
        "role": None,
        "expert_index": None,
        "is_bias": False,
        "is_buffer": False,
        **entry["role"],
    }
    return Tensor(
        entry["name"],
        entry["shard"],
        entry["dtype"],
        tuple(entry["shape"]),
        entry["begin"],
        entry["end"],
        Role(**role),
        layout_from_json(entry["layout"]),
        change_from_json(entry["change"]) if "change" in entry else None,
    )
