"""Put files of the hub on the disk: whole and verified, or parts of them in a file with holes.

No hash verifies a part. The checks are: the commit is pinned, the hub lists the same sha256 for the
whole file with each answer, and the server answers with exactly the range requested of a file of
the size that the hub lists.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from blockresearch.hub.cache import intact_in_cache, link_or_copy
from blockresearch.hub.partial import PREFIX, partial_file, received_bytes, remove_abandoned
from blockresearch.hub.requests import HubError, RepoRef
from blockresearch.hub.transfer import (
    Progress,
    RepoFile,
    expected_hash,
    is_intact,
    receive,
    receive_verified,
)

# The hub gives larger files no plain address.
XET_FROM_BYTES = 50e9


def download(
    repo: str, commit: str, file: RepoFile, target: Path, progress: Progress | None = None
) -> str:
    """Put a file at `target`, whole and verified, or leave nothing there.

    One in the user's cache is linked, or copied if links are not permitted. Bytes that an earlier
    call received before it was broken off or killed are not fetched again. `progress` gets the
    bytes received and the bytes of the file. Returns "downloaded", "linked from cache" or "copied
    from cache". Raises HubError.
    """
    ref, folder = RepoRef(repo, commit, file.path), target.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder)
        cached = intact_in_cache(repo, commit, file)
        if cached is not None:
            return link_or_copy(cached, target)
        if file.size > XET_FROM_BYTES:
            _require_space(folder, file, file.size)
            _fetch_by_xet(ref, file, target)
            return "downloaded"
        with partial_file(folder, _partial_key(file)) as partial:
            _require_space(folder, file, file.size - partial.path.stat().st_size)
            receive_verified(ref, file, partial.stream, progress)
            partial.stream.flush()
            os.fsync(partial.stream.fileno())
            os.replace(partial.path, target)
    except OSError as error:
        raise _cannot_write(target, error) from error
    return "downloaded"


def download_ranges(
    repo: str,
    commit: str,
    file: RepoFile,
    ranges: Iterable[Sequence[int]],
    target: Path,
    progress: Progress | None = None,
) -> None:
    """Put a file of the size of `file` at `target`, in which only `ranges` (begin, end) are filled.

    `progress` gets the bytes received and the bytes of all ranges. Raises HubError, and leaves
    nothing there.
    """
    ref, ranges = RepoRef(repo, commit, file.path), list(ranges)
    total, done = sum(end - begin for begin, end in ranges), 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(target.parent)
        with tempfile.TemporaryDirectory(prefix=PREFIX, dir=target.parent) as folder:
            path = Path(folder, "file")
            with path.open("wb") as out:
                out.truncate(file.size)
                for begin, end in ranges:
                    out.seek(begin)
                    for piece in receive(ref, file, begin, end):
                        out.write(piece)
                        done += len(piece)
                        if progress is not None:
                            progress(done, total)
                out.flush()
                os.fsync(out.fileno())
            os.replace(path, target)
    except OSError as error:
        raise _cannot_write(target, error) from error


def still_to_come(file: RepoFile, target: Path) -> int:
    """Bytes that a download to `target` would fetch, after those that an earlier one received."""
    return max(file.size - received_bytes(target.parent, _partial_key(file)), 0)


def _partial_key(file: RepoFile) -> str:
    return (expected_hash(file) or "")[:16]


def _require_space(folder: Path, file: RepoFile, missing: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < missing:
        raise HubError(
            f"{folder} has {free / 1e9:.1f} GB free but {file.path} needs {missing / 1e9:.1f} GB; "
            "make room or choose another folder"
        )


def _fetch_by_xet(ref: RepoRef, file: RepoFile, target: Path) -> None:
    """Let huggingface_hub fetch a file that comes by its xet protocol alone, and verify it."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=target.parent) as folder:
        try:
            path = Path(
                hf_hub_download(ref.repo, ref.path, revision=ref.revision, local_dir=folder)
            )
        except Exception as error:  # hf_xet has no class for its errors
            reason = str(error).partition("\n")[0]
            raise HubError(f"{ref} did not come ({reason}); try again later") from error
        if not is_intact(path, file):
            raise HubError(
                f"{ref}: the bytes sent are not those that the hub lists; try again later"
            )
        os.replace(path, target)


def _cannot_write(target: Path, error: OSError) -> HubError:
    """The error for a disk that does not take a file."""
    return HubError(
        f"cannot write {target} ({error.strerror or error}); make room or choose another folder"
    )
