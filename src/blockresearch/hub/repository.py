"""Repositories of the Hugging Face hub: revisions to commits, listings, and small files.

HF_ENDPOINT, HF_TOKEN, HF_HOME, HF_HUB_CACHE and HF_HUB_OFFLINE mean what they mean for
huggingface_hub.
"""

import io
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from blockresearch.hub.cache import cached_commit, cached_file, cached_files, in_snapshot
from blockresearch.hub.names import is_hex, is_inside
from blockresearch.hub.requests import (
    HubError,
    RepoRef,
    Retry,
    errors_of_the_request,
    is_offline,
    not_a_hub,
    timeout_seconds,
)
from blockresearch.hub.transfer import RepoFile, is_intact, receive, receive_verified

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo

# Beyond that the hub no longer lists all files with the description of a model.
# Source: huggingface_hub 2.4.0, _snapshot_download.py.
MAX_FILES = 50_000


class Commit(NamedTuple):
    """A commit: its 40 digits, and when the hub says that the revision was last changed.

    The date is UTC as in 2026-01-31T12:00:00Z; None if the hub states none.
    """

    id: str
    date: str | None


def resolve_commit(repo: str, revision: str) -> Commit:
    """The commit that a branch, tag, refs/pr/N or (short) commit names now.

    With HF_HUB_OFFLINE, the one that the cache remembers for the revision, without a date. Raises
    HubError.
    """
    ref = RepoRef(repo, revision)
    ref.check()
    if is_offline():
        return Commit(cached_commit(ref), None)
    info = _model_info(ref)
    commit = info.sha
    if commit is None or not is_hex(commit, 40):
        raise HubError(not_a_hub("names no commit"))
    date = info.last_modified
    stated = f"{date.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if isinstance(date, datetime) else None
    return Commit(commit, stated)


def list_files(repo: str, commit: str) -> list[RepoFile]:
    """All files of a commit, sorted by path; with HF_HUB_OFFLINE those that the cache holds.

    Raises HubError.
    """
    ref = RepoRef(repo, commit)
    ref.check()
    if is_offline():
        return cached_files(ref)
    listed = _model_info(ref).siblings or []
    if len(listed) >= MAX_FILES:
        raise HubError(f"{ref} has {MAX_FILES} files or more; choose another model")
    files = []
    for entry in listed:
        sha256 = entry.lfs.sha256 if entry.lfs else None
        # Of an LFS object git holds only a pointer, whose hash verifies nothing.
        git_sha1 = None if entry.lfs else entry.blob_id
        digits = {sha256: 64, git_sha1: 40}
        if (
            not isinstance(entry.size, int)
            or entry.size < 0
            or not is_inside(entry.rfilename)
            or not any(is_hex(value, count) for value, count in digits.items())
        ):
            raise HubError(not_a_hub("lists files without sizes or hashes"))
        files.append(RepoFile(entry.rfilename, entry.size, sha256, git_sha1))
    return sorted(files, key=lambda file: file.path)


def _model_info(ref: RepoRef) -> "ModelInfo":
    """The hub's description of a model: `sha`, and `siblings` with sizes and hashes."""
    from huggingface_hub import HfApi

    retry = Retry(ref)
    while True:
        with retry, errors_of_the_request():
            try:
                return HfApi().model_info(
                    ref.repo,
                    revision=ref.revision,
                    files_metadata=True,
                    # Without it the library waits for a silent server without end.
                    timeout=timeout_seconds(),
                )
            except (json.JSONDecodeError, KeyError, TypeError, AttributeError, RecursionError):
                raise HubError(not_a_hub("answers with something other than a model")) from None


def read_small_file(repo: str, commit: str, file: RepoFile, limit: int = 32 * 2**20) -> bytes:
    """The verified content of a file of at most `limit` bytes, from the cache or the hub.

    Raises HubError.
    """
    ref = RepoRef(repo, commit, file.path)
    if file.size > limit:
        raise HubError(
            f"{ref} has {file.size} bytes but {limit} are the limit; choose another model"
        )
    cached = cached_file(repo, commit, file)
    if cached is not None and is_intact(cached, file):
        return cached.read_bytes()
    content = io.BytesIO()
    receive_verified(ref, file, content)
    return content.getvalue()


def read_start(repo: str, commit: str, file: RepoFile, length: int) -> bytes:
    """The first `length` bytes of a file, or all of a shorter one; see `read_range`."""
    return read_range(repo, commit, file, 0, min(length, file.size))


def read_range(repo: str, commit: str, file: RepoFile, begin: int, end: int) -> bytes:
    """Bytes `begin` to `end` of a file; no hash verifies a part.

    Hardly more than that is received, even from a server that ignores Range. Raises HubError.
    """
    ref = RepoRef(repo, commit, file.path)
    cached = in_snapshot(ref)
    if cached is not None:
        with cached.open("rb") as stream:
            stream.seek(begin)
            return stream.read(end - begin)
    return b"".join(receive(ref, file, begin, end))
