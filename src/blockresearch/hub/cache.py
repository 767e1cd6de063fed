"""The user's hub cache, which is read and never written: a file that is there is used in place."""

import logging
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from blockresearch.hub.names import is_hex, is_inside
from blockresearch.hub.partial import PREFIX
from blockresearch.hub.requests import HubError, RepoRef, not_cached
from blockresearch.hub.transfer import RepoFile, is_intact

log = logging.getLogger(__name__)


def cache_root() -> Path:
    """The folder of the user's hub cache (HF_HUB_CACHE, else in HF_HOME or the home folder)."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def cached_commit(ref: RepoRef) -> str:
    """The commit that the cache remembers for a revision. Raises HubError if there is none."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RevisionResolutionError

    try:
        return (
            HfApi()
            .resolve_revision(ref.repo, revision=ref.revision, local_files_only=True)
            .resolved
        )
    except RevisionResolutionError as error:
        raise HubError(not_cached(ref)) from error


def cached_files(ref: RepoRef) -> list[RepoFile]:
    """The listing of a cached commit, whose blobs have their hash for a name. Raises HubError."""
    snapshot = _cache_folder(ref.repo) / "snapshots" / ref.revision
    files = []
    for path in sorted(path for path in snapshot.rglob("*") if path.is_file()):
        # Only the first link: the blob may itself be a link to a store of xet hashes.
        blob = Path(os.readlink(path)).name if path.is_symlink() else ""
        sha256 = blob if is_hex(blob, 64) else None
        git_sha1 = blob if is_hex(blob, 40) else None
        name = path.relative_to(snapshot).as_posix()
        files.append(RepoFile(name, path.stat().st_size, sha256, git_sha1))
    if not files:
        raise HubError(not_cached(ref))
    return files


def opened_snapshot(folder: Path) -> Path:
    """The snapshot of refs/main if `folder` is a repository of the hub's cache, else `folder`.

    Raises HubError if the cache has no files of main.
    """
    if not all((folder / name).is_dir() for name in ("blobs", "snapshots")):
        return folder
    snapshots = sorted(path.name for path in (folder / "snapshots").iterdir() if path.is_dir())
    main = folder / "refs" / "main"
    commit = main.read_text(encoding="utf-8", errors="replace").strip() if main.is_file() else ""
    if commit in snapshots:
        return folder / "snapshots" / commit
    named = ", ".join(f"{folder}/snapshots/{name}" for name in snapshots[:3]) or "there is none"
    raise HubError(
        f"{folder} is a repository of the hub's cache without the files of main: name one of its "
        f"snapshots ({named})"
    )


def cached_file(repo: str, commit: str, file: RepoFile) -> Path | None:
    """The real path of a file in the user's cache, if it is there with the right size.

    It is looked up under the commit, then by content (sha256) under the repository's other commits.
    The bytes are not read: see `is_intact`.
    """
    candidates = [in_snapshot(RepoRef(repo, commit, file.path))]
    if file.sha256:
        candidates.append(_cache_folder(repo) / "blobs" / file.sha256)
    for path in filter(None, candidates):
        if path.is_file() and path.stat().st_size == file.size and os.access(path, os.R_OK):
            return path.resolve()
    return None


def in_snapshot(ref: RepoRef) -> Path | None:
    """A file of a commit in the user's cache. Raises HubError for a path that leads out of it."""
    from huggingface_hub import try_to_load_from_cache

    if not is_inside(ref.path):
        raise HubError(f"{ref.path!r} cannot be a file of {ref.repo}; choose another model")
    path = try_to_load_from_cache(ref.repo, ref.path, revision=ref.revision)
    return Path(path) if isinstance(path, str) else None


def intact_in_cache(repo: str, commit: str, file: RepoFile) -> Path | None:
    """A file of the user's cache, every byte checked; None if it is missing or damaged."""
    cached = cached_file(repo, commit, file)
    if cached is not None and not is_intact(cached, file):
        log.warning("%s is damaged and not used; delete it and fetch it again", cached)
        return None
    return cached


def link_or_copy(cached: Path, target: Path) -> str:
    """Make `target` the file of the user's cache, by a link if links are permitted."""
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=target.parent) as folder:
        path, how = Path(folder) / "file", "copied from cache"
        for link in (os.symlink, os.link):
            # Windows requires a right for symlinks, hard links require one file system.
            with suppress(OSError):
                link(cached, path)
                how = "linked from cache"
                break
        else:
            shutil.copyfile(cached, path)
        os.replace(path, target)
    return how


def _cache_folder(repo: str) -> Path:
    """The folder of a repository in the user's hub cache."""
    from huggingface_hub.file_download import repo_folder_name

    return cache_root() / repo_folder_name(repo_id=repo, repo_type="model")
