"""Parts of a file of the hub: ranged requests into a file of the right size with holes.

No hash proves a part. What can be checked is: the commit is pinned, the server answers with exactly
the range that was asked for of a file of the size that it lists, and where it names the sha256 of
the whole (as the hub does in its ETag) that is the one that it lists.
"""

import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from blockresearch.hub.partial import PREFIX, remove_abandoned
from blockresearch.hub.repository import PROGRESS, Progress, RepoFile
from blockresearch.hub.requests import HubError, Patience, Place, get


def download_ranges(
    repo: str,
    commit: str,
    file: RepoFile,
    ranges: Iterable[Sequence[int]],
    target: Path,
    progress: Progress | None = None,
) -> None:
    """Put a file of the size of `file` at `target`, of which only `ranges` (begin, end) are filled.

    `progress` gets the bytes received and the bytes to come to. Raises HubError, and leaves nothing
    there.
    """
    place, ranges = Place(repo, commit, file.path), list(ranges)
    total, done = sum(end - begin for begin, end in ranges), 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(target.parent)
        with tempfile.TemporaryDirectory(prefix=PREFIX, dir=target.parent) as folder:
            path = Path(folder, "file")
            with path.open("wb") as out:
                out.truncate(file.size)
                for begin, end in ranges:
                    for count in _receive(place, file, begin, end, out):
                        done += count
                        if progress is not None:
                            progress(done, total)
                out.flush()
                os.fsync(out.fileno())
            os.replace(path, target)
    except OSError as error:
        raise HubError(
            f"cannot write {target} ({error.strerror or error}); make room or choose another folder"
        ) from error


def _receive(place: Place, file: RepoFile, begin: int, end: int, out: BinaryIO) -> Iterable[int]:
    """Fill bytes `begin` to `end` of `out`, over any number of broken connections."""
    from huggingface_hub import hf_hub_url

    url = hf_hub_url(place.repo, place.path, revision=place.revision)
    patience, position, furthest = Patience(place), begin, begin
    out.seek(begin)
    while position < end:
        with patience, get(url, {"Range": f"bytes={position}-{end - 1}"}) as response:
            expected = f"bytes {position}-{end - 1}/{file.size}"
            answer = response.headers.get("content-range", "")
            if response.status_code != 206 or answer != expected:
                raise HubError(
                    f"{place}: asked for {expected}, the server answers with "
                    f"{answer or 'the whole file'}; leave `analyses` out to fetch whole files"
                )
            whole = response.headers.get("etag", "").strip('"')
            if re.fullmatch("[0-9a-f]{64}", whole) and whole != file.sha256:
                raise HubError(
                    f"{place}: the server sends parts of another file (sha256 {whole[:12]}…); look "
                    "the model up again"
                )
            for chunk in response.iter_bytes():
                if position + len(chunk) > end:
                    raise HubError(f"{place}: the server sends more than was asked for")
                out.write(chunk)
                position += len(chunk)
                yield len(chunk)
                if position - furthest >= PROGRESS:
                    patience.failures, furthest = 0, position
            if position < end:
                raise ConnectionError(f"only {position - begin} of {end - begin} bytes came")
