"""Describe a checkpoint: its files, its tensors, what each of them is and how it is read.

A checkpoint is a folder of safetensors files, local or a repository of the Hugging Face hub at one
commit. `describe_folder` and `describe_repo` read headers only and return the manifest that every
later step reads (`assemble`). A folder is not left: links that lead elsewhere are refused.
"""

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from blockresearch.checkpoint.assemble import Choice, Origin, Source, manifest_of
from blockresearch.checkpoint.hashes import file_sha256
from blockresearch.checkpoint.manifest import Manifest, Problem
from blockresearch.checkpoint.selection import SUFFIX, CheckpointError
from blockresearch.hub.cache import cache_root, cached_file, opened_snapshot
from blockresearch.hub.names import is_folder
from blockresearch.hub.repository import (
    list_files,
    read_range,
    read_small_file,
    read_start,
    resolve_commit,
)
from blockresearch.hub.transfer import RepoFile
from blockresearch.results import hub_name, local_name
from blockresearch.safetensors.header import Header
from blockresearch.safetensors.reader import header_from, read_bytes, read_header

SHA256 = re.compile("[0-9a-f]{64}")


def describe_folder(
    folder: str | os.PathLike[str],
    created_at: str,
    hashed: bool = True,
    progress: Callable[[str], None] = lambda line: None,
    subfolder: str = "",
    variant: str | None = None,
    file: str | None = None,
) -> Manifest:
    """Manifest of a local folder; `hashed` adds the sha256 of every file.

    `subfolder`, `variant` and `file` choose among several sets of weights (see `selection`). The
    path of a weight file stands for its folder and that file. A folder of the hub's cache is its
    snapshot of main. Raises CheckpointError or SafetensorsError with a sentence for the user.
    """
    named = Path(folder)
    if file is None and named.suffix == SUFFIX and named.is_file():
        folder, file = named.parent, named.name
    if not Path(folder).is_dir():
        raise CheckpointError(
            f"{folder} is not a folder: give the folder with the .safetensors files."
        )
    root = opened_snapshot(Path(folder))
    inner = safe_subfolder(subfolder)
    names = {
        path.relative_to(root).as_posix()
        for pattern in ("*", "*/*", "*/*/*", *((f"{inner}/*", f"{inner}/*/*") if inner else ()))
        for path in root.glob(pattern)
        # A non-file with the name of a weight file is refused when it is opened.
        if path.is_file() or path.name.endswith((SUFFIX, ".json"))
    }

    mismatches: list[Problem] = []

    def regular(name: str) -> Path:
        path = root / name
        _refuse_outside(path, root)
        # Opening a FIFO blocks until someone writes to it.
        if not path.is_file():
            raise CheckpointError(f"{path} is not a regular file: put the model's file there.")
        return path

    def read(name: str, limit: int) -> bytes:
        path = regular(name)
        if path.stat().st_size > limit:
            raise CheckpointError(
                f"{path} is larger than {limit} bytes, which no such file is: put the right one "
                "there."
            )
        return path.read_bytes()

    def listed_file(name: str) -> RepoFile:
        path = regular(name)
        sha256 = file_sha256(path, progress) if hashed else None
        known = known_sha256(root, name)
        if sha256 and known and sha256 != known:
            mismatches.append(
                Problem(
                    "sha256_mismatch", name, f"its sha256 is {sha256}, on the hub it is {known}"
                )
            )
        return RepoFile(name, path.stat().st_size, sha256, None)

    def header(shard: str) -> Header:
        _refuse_outside(root / shard, root)
        return read_header(root / shard)

    def piece(shard: str, begin: int, end: int) -> bytes:
        return read_bytes(root / shard, begin, end).tobytes()

    path = str(folder if root == Path(folder) else root)
    origin = Origin(str(folder), None, path, None, None, created_at)
    source = Source(origin, str(folder), names, read, listed_file, header, piece)
    manifest = manifest_of(source, Choice(inner, variant, file))
    name = local_name(Path(folder).resolve().name)
    return replace(manifest, problems=(*manifest.problems, *mismatches), name=name)


def known_sha256(root: Path, name: str) -> str | None:
    """The sha256 that the hub's client recorded for a file it downloaded, None without one.

    In its cache it is the name of the blob; in a plain folder it is the second line of
    .cache/huggingface/download/<name>.metadata.
    """
    real = (root / name).resolve()
    if real.parent.name == "blobs" and SHA256.fullmatch(real.name):
        return real.name
    try:
        record = root / ".cache/huggingface/download" / f"{name}.metadata"
        lines = record.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return None
    return lines[1] if len(lines) > 1 and SHA256.fullmatch(lines[1]) else None


def describe_repo(
    repo: str,
    revision: str,
    created_at: str,
    progress: Callable[[str], None] = lambda line: None,
    subfolder: str = "",
    variant: str | None = None,
    file: str | None = None,
) -> Manifest:
    """Manifest of a hub repository at the commit that `revision` names now.

    Reads the file list, config.json, the index and the shards' headers (ranged requests).
    Raises CheckpointError, SafetensorsError or hub.HubError with a sentence for the user.
    """
    commit, commit_date = resolve_commit(repo, revision)
    progress(f"{repo} at {revision} is commit {commit}")
    listed = {file.path: file for file in list_files(repo, commit)}

    def checked_file(name: str) -> RepoFile:
        if not (listed[name].sha256 or listed[name].git_sha1):
            raise CheckpointError(
                f"{repo}/{name}: neither the hub nor the cache has its hash, so it cannot be "
                "verified: unset HF_HUB_OFFLINE and HF_ENDPOINT, or name the folder itself."
            )
        return listed[name]

    def header(name: str) -> Header:
        shard = listed[name]
        cached = cached_file(repo, commit, shard)
        if cached:
            return read_header(cached)
        progress(f"reading the header of {shard.path}")
        return header_from(
            lambda count: read_start(repo, commit, shard, count),
            shard.size,
            f"{repo}/{shard.path}",
        )

    source = Source(
        Origin(repo, repo, repo, revision, commit, created_at),
        f"{repo} at {revision}",
        listed.keys(),
        lambda name, limit: read_small_file(repo, commit, listed[name], limit),
        checked_file,
        header,
        lambda shard, begin, end: read_range(repo, commit, listed[shard], begin, end),
    )
    manifest = manifest_of(source, Choice(safe_subfolder(subfolder), variant, file))
    return replace(manifest, name=hub_name(repo, revision), commit_date=commit_date)


def safe_subfolder(subfolder: str) -> str:
    """A subfolder without outer slashes. Raises CheckpointError if it leads outside."""
    inner = subfolder.strip("/")
    if inner and not is_folder(inner):
        raise CheckpointError(f"{subfolder!r} is not a folder inside the model.")
    return inner


def _refuse_outside(path: Path, root: Path) -> None:
    """A link in a model folder may lead inside the folder, into the user's hub cache, or from a
    snapshot in any such cache to the blobs of the same repository."""
    try:
        real, home = path.resolve(), root.resolve()
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{path} is a link that leads to itself: remove it.") from error
    allowed = [home, cache_root().resolve()]
    if home.parent.name == "snapshots":
        allowed.append(home.parent.parent / "blobs")
    if not any(real.is_relative_to(place) for place in allowed):
        raise CheckpointError(
            f"{path} is a link that leads out of the model folder to {real}: copy the file there."
        )
