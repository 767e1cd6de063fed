"""The Hugging Face hub: revisions to commits, listings, and files whose bytes are proved.

With `hub_requests` the only module that talks to the network. HF_ENDPOINT, HF_TOKEN, HF_HOME,
HF_HUB_CACHE and HF_HUB_OFFLINE mean what they mean for huggingface_hub. The user's cache is read,
never written: a file that is there is used in place. All functions raise HubError, one sentence
for the user.
"""

import hashlib
import io
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urljoin, urlsplit

from blockresearch.hub.partial import PREFIX, partial_file, received, remove_abandoned
from blockresearch.hub.requests import (
    HubError,
    Patience,
    Place,
    get,
    get_json,
    not_a_hub,
    not_cached,
    offline,
)

PROGRESS = 2**20  # bytes that a transfer must add for its failures to be forgotten

MAX_FILES, MAX_PAGES = 200_000, 1_000  # of a listing; the hub puts 1000 files on a page

XET_FROM = 50e9  # bytes; the hub gives larger files no plain address

Progress = Callable[[int, int], None]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RepoFile:
    """A file of a commit: size in bytes, `sha256` of an LFS object, `git_sha1` of a plain blob."""

    path: str
    size: int
    sha256: str | None
    git_sha1: str | None


def resolve_commit(repo: str, revision: str) -> str:
    """The 40-digit commit that a branch, tag, refs/pr/N or (short) commit names now.

    With HF_HUB_OFFLINE, the commit that the cache remembers for the revision.
    """
    place = Place(repo, revision)
    place.check()
    if offline():
        return _cached_commit(place)
    answer, _ = get_json(place.address("revision"), place)
    commit = str(answer.get("sha")) if isinstance(answer, dict) else ""
    if not _is_hex(commit, 40):
        raise HubError(not_a_hub("names no commit"))
    return commit


def list_files(repo: str, commit: str) -> list[RepoFile]:
    """All files of a commit, sorted by path; with HF_HUB_OFFLINE those that the cache holds."""
    place = Place(repo, commit)
    place.check()
    if offline():
        return _cached_files(place)
    from huggingface_hub.utils import fix_hf_endpoint_in_url

    files: list[RepoFile] = []
    pages = 0
    url: str | None = f"{place.address('tree')}?recursive=true&expand=false"
    while url is not None:
        page, following = get_json(url, place)
        try:
            files += [_repo_file(entry) for entry in page if entry["type"] == "file"]
        except (TypeError, KeyError, ValueError):
            raise HubError(not_a_hub("lists files in an unknown form")) from None
        # a mirror may pass on addresses of the hub that it mirrors; the token must not go there
        url = following and fix_hf_endpoint_in_url(urljoin(url, following), None)
        if url and urlsplit(url)[:2] != urlsplit(place.address("tree"))[:2]:
            raise HubError(not_a_hub("continues its listing on another server"))
        pages += 1
        if len(files) > MAX_FILES or pages > MAX_PAGES:
            raise HubError(f"{place} lists files without end; choose another model")
    return sorted(files, key=lambda file: file.path)


def cached_file(repo: str, commit: str, file: RepoFile) -> Path | None:
    """The real path of a file in the user's cache, if it is there with the right size.

    Looked for under the commit, then by content (sha256) under the repository's other commits. The
    bytes are not read: see `is_intact`.
    """
    candidates = [_snapshot_path(repo, commit, file.path)]
    if file.sha256:
        candidates.append(_cache_folder(repo) / "blobs" / file.sha256)
    for path in candidates:
        if path.is_file() and path.stat().st_size == file.size and os.access(path, os.R_OK):
            return path.resolve()
    return None


def is_intact(path: Path, file: RepoFile) -> bool:
    """Whether the bytes at `path` have the size and the hash of `file` (reads all of them)."""
    digest = _Digest(file)
    with path.open("rb") as stream:
        while chunk := stream.read(2**20):
            digest.update(chunk)
    return digest.fits()


def read_small_file(repo: str, commit: str, file: RepoFile, limit: int = 32 * 2**20) -> bytes:
    """The proved content of a file of at most `limit` bytes, from the cache or the hub."""
    place = Place(repo, commit, file.path)
    if file.size > limit:
        raise HubError(
            f"{place} has {file.size} bytes where {limit} are the limit; choose another model"
        )
    cached = cached_file(repo, commit, file)
    if cached is not None and is_intact(cached, file):
        return cached.read_bytes()
    content = io.BytesIO()
    _fetch(place, file, content, None)
    return content.getvalue()


def read_start(repo: str, commit: str, path: str, length: int) -> bytes:
    """The first `length` bytes of a file, or all of a shorter one; no hash proves a part.

    Reads hardly more than that even where the server ignores Range and sends everything.
    """
    from huggingface_hub import hf_hub_url

    cached = _snapshot_path(repo, commit, path)
    if cached.is_file():
        with cached.open("rb") as stream:
            return stream.read(length)
    place = Place(repo, commit, path)
    patience, url = Patience(place), hf_hub_url(repo, path, revision=commit)
    while True:
        start = bytearray()
        with patience, get(url, {"Range": f"bytes=0-{length - 1}"}) as response:
            for chunk in response.iter_bytes():
                start += chunk
                if len(start) > length:
                    break
            # of a part, Content-Range tells the length of the whole; of a whole, Content-Length
            total = response.headers.get("content-range", "").rpartition("/")[2]
            if len(start) < min(length, int(total) if total.isdecimal() else 0):
                raise ConnectionError(f"only {len(start)} bytes came")
            return bytes(start[:length])


def download(
    repo: str, commit: str, file: RepoFile, target: Path, progress: Progress | None = None
) -> str:
    """Put a file at `target`, whole and proved, or leave nothing there.

    One in the user's cache is linked, or copied where links are not permitted. What an earlier
    call received before it was broken off or killed is not fetched again. `progress` gets the bytes
    received and the bytes to come to. Returns "downloaded", "linked from cache" or "copied from
    cache".
    """
    place, folder = Place(repo, commit, file.path), target.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder)
        cached = _intact_in_cache(repo, commit, file)
        if cached is not None:
            return _use_in_place(cached, target)
        if file.size > XET_FROM:
            _require_space(folder, file, file.size)
            _fetch_by_xet(place, file, target)
            return "downloaded"
        with partial_file(folder, _partial_key(file)) as partial:
            _require_space(folder, file, file.size - partial.path.stat().st_size)
            _fetch(place, file, partial.stream, progress)
            partial.stream.flush()
            os.fsync(partial.stream.fileno())
            os.replace(partial.path, target)
    except OSError as error:
        raise HubError(
            f"cannot write {target} ({error.strerror or error}); make room or choose another folder"
        ) from error
    return "downloaded"


def still_to_come(file: RepoFile, target: Path) -> int:
    """Bytes that a download to `target` would fetch, after what an earlier one has received."""
    return max(file.size - received(target.parent, _partial_key(file)), 0)


def _partial_key(file: RepoFile) -> str:
    return (file.sha256 or file.git_sha1 or "")[:16]


def _require_space(folder: Path, file: RepoFile, missing: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < missing:
        raise HubError(
            f"{folder} has {free / 1e9:.1f} GB free where {file.path} needs "
            f"{missing / 1e9:.1f} GB; make room or choose another folder"
        )


class _Digest:
    """The hash that proves a file, and the number of bytes that went into it."""

    def __init__(self, file: RepoFile) -> None:
        self.size, self._file = 0, file
        self._wanted = file.sha256 or file.git_sha1
        self._hash = hashlib.sha256()
        if file.git_sha1 and not file.sha256:
            self._hash = hashlib.sha1(b"blob %d\0" % file.size)

    def update(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        self.size += len(chunk)

    def fits(self) -> bool:
        return self.size == self._file.size and self._wanted in (None, self._hash.hexdigest())

    def difference(self) -> str:
        if self.size != self._file.size:
            return f"the hub sends more than the {self._file.size} bytes that it lists"
        kind, got, wanted = self._hash.name, self._hash.hexdigest(), str(self._wanted)
        return f"the {kind} of the bytes sent is {got[:12]}… and not {wanted[:12]}…"


def _fetch(place: Place, file: RepoFile, out: BinaryIO, progress: Progress | None) -> None:
    """Fill `out` with the proved content of a file; wrong bytes get a second chance.

    Goes on after what `out` holds, which leaves a failed transfer for the next one.
    """
    for _ in range(2):
        digest = _transfer(place, file, out, progress)
        if digest.fits():
            return
        logger.warning("%s: %s", place, digest.difference())
        out.seek(0)
        out.truncate()
    raise HubError(
        f"{place}: {digest.difference()}, so nothing was kept; try again later, or another "
        "HF_ENDPOINT"
    )


def _transfer(place: Place, file: RepoFile, out: BinaryIO, progress: Progress | None) -> _Digest:
    """Receive a file over any number of broken connections, each going on where the last ended.

    Every try asks the hub anew, so the signed address behind its redirect is always a fresh one.
    """
    from huggingface_hub import hf_hub_url

    url = hf_hub_url(place.repo, place.path, revision=place.revision)
    digest, etag = _Digest(file), ""
    out.seek(0)
    while chunk := out.read(2**20):
        digest.update(chunk)
    patience, furthest = Patience(place), digest.size
    if digest.size:
        logger.info("%s: going on after %.1f MB received earlier", place, digest.size / 1e6)
    while digest.size < file.size:
        headers = {"Range": f"bytes={digest.size}-"} if digest.size else {}
        if digest.size and etag:
            headers["If-Range"] = etag
        with patience, get(url, headers) as response:
            part = response.headers.get("content-range", "")
            if response.status_code != 206:
                out.seek(0)
                out.truncate()
                digest = _Digest(file)
            elif not part.startswith(f"bytes {digest.size}-"):
                raise ConnectionError(f"the answer is {part}")
            # a weak etag does not promise equal bytes
            etag = response.headers.get("etag", "")
            etag = "" if etag.startswith("W/") else etag
            for chunk in response.iter_bytes():
                out.write(chunk)
                digest.update(chunk)
                if progress is not None:
                    progress(digest.size, file.size)
                if digest.size > file.size:
                    return digest
                if digest.size - furthest >= PROGRESS:
                    patience.failures, furthest = 0, digest.size
            if digest.size < file.size:
                raise ConnectionError(f"only {digest.size} of {file.size} bytes came")
    return digest


def _fetch_by_xet(place: Place, file: RepoFile, target: Path) -> None:
    """Let huggingface_hub fetch a file that only its xet protocol can give, and prove it."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=target.parent) as folder:
        try:
            path = Path(
                hf_hub_download(place.repo, place.path, revision=place.revision, local_dir=folder)
            )
        except Exception as error:  # hf_xet has no class of its own for its errors
            reason = str(error).partition("\n")[0]
            raise HubError(f"{place} did not come ({reason}); try again later") from error
        if not is_intact(path, file):
            raise HubError(
                f"{place}: the bytes sent are not those that the hub lists; try again later"
            )
        os.replace(path, target)


def _intact_in_cache(repo: str, commit: str, file: RepoFile) -> Path | None:
    """A file of the user's cache, every byte checked; None where it is missing or damaged."""
    cached = cached_file(repo, commit, file)
    if cached is not None and not is_intact(cached, file):
        logger.warning("%s is damaged and not used; delete it and fetch it again", cached)
        return None
    return cached


def _use_in_place(cached: Path, target: Path) -> str:
    """Make `target` the file of the user's cache, by a link where links are permitted."""
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=target.parent) as folder:
        path, how = Path(folder) / "file", "copied from cache"
        for link in (os.symlink, os.link):
            # Windows wants a right for symlinks, hard links want one file system
            with suppress(OSError):
                link(cached, path)
                how = "linked from cache"
                break
        else:
            shutil.copyfile(cached, path)
        os.replace(path, target)
    return how


def _repo_file(entry: dict[str, Any]) -> RepoFile:
    """The checked form of an entry of the hub's listing; ValueError where it cannot be one."""
    path, size, lfs = entry["path"], entry["size"], entry.get("lfs")
    if not isinstance(path, str) or type(size) is not int or size < 0 or not _is_inside(path):
        raise ValueError(path)
    # of an LFS object git holds only a pointer, whose hash proves nothing
    sha256, git_sha1 = (lfs["oid"], None) if lfs else (None, entry["oid"])
    if not _is_hex(sha256, 64) and not _is_hex(git_sha1, 40):
        raise ValueError(path)
    return RepoFile(path, size, sha256, git_sha1)


def _is_inside(path: str) -> bool:
    """Whether a path of a repository stays in the folder it is put in."""
    return "\0" not in path and {"", ".", ".."}.isdisjoint(path.split("/"))


def _is_hex(value: object, digits: int) -> bool:
    return isinstance(value, str) and re.fullmatch(f"[0-9a-f]{{{digits}}}", value) is not None


def cache_root() -> Path:
    """The user's hub cache (HF_HUB_CACHE, else in HF_HOME or the home folder)."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _cache_folder(repo: str) -> Path:
    return cache_root() / f"models--{repo.replace('/', '--')}"


def _snapshot_path(repo: str, commit: str, path: str) -> Path:
    """Where the cache has a file of a commit, if it has it."""
    if not _is_inside(path):
        raise HubError(f"{path!r} cannot be a file of {repo}; choose another model")
    return _cache_folder(repo) / "snapshots" / commit / path


def _cached_commit(place: Place) -> str:
    folder = _cache_folder(place.repo)
    ref = folder / "refs" / place.revision
    commit = ref.read_text().strip() if ref.is_file() else place.revision
    if not _is_hex(commit, 40) or not (folder / "snapshots" / commit).is_dir():
        raise HubError(not_cached(place))
    return commit


def _cached_files(place: Place) -> list[RepoFile]:
    """The listing of a cached commit; the cache names a file's blob by the hash that proves it."""
    snapshot = _cache_folder(place.repo) / "snapshots" / place.revision
    files = []
    for path in sorted(path for path in snapshot.rglob("*") if path.is_file()):
        # only the first link: the blob may itself be a link to a store of xet hashes
        blob = Path(os.readlink(path)).name if path.is_symlink() else ""
        sha256 = blob if _is_hex(blob, 64) else None
        git_sha1 = blob if _is_hex(blob, 40) else None
        name = path.relative_to(snapshot).as_posix()
        files.append(RepoFile(name, path.stat().st_size, sha256, git_sha1))
    if not files:
        raise HubError(not_cached(place))
    return files
