"""Receive the bytes of files of the hub, over any number of broken connections, and verify them.

`hf_hub_download` of huggingface_hub 2.4.0 is not used for that. It deletes all that was received
when a connection is reset, starts anew after a kill, never completes a file over connections that
break before its pieces of 10 MiB are whole, gives up at a 503 of the server behind the redirect,
and accepts wrong bytes of the right size. tests/unit/hub/test_library.py fails when that changes.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from blockresearch.hub.names import is_hex
from blockresearch.hub.requests import HubError, RepoRef, Retry, get

# Bytes that a transfer must add for its failures to be forgotten.
PROGRESS_BYTES = 2**20

PIECE_BYTES = 2**20

Progress = Callable[[int, int], None]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RepoFile:
    """A file of a commit: size in bytes, `sha256` of an LFS object, `git_sha1` of a plain blob."""

    path: str
    size: int
    sha256: str | None
    git_sha1: str | None


def receive(ref: RepoRef, file: RepoFile, begin: int, end: int) -> Iterator[bytes]:
    """Bytes `begin` to `end` of a file in pieces, over any number of broken connections.

    Each try requests the bytes that are still missing, and from the hub itself, because the signed
    address behind its redirect expires. Raises HubError if no bytes come any more, if the hub no
    longer lists the same file, or for an answer to another request.
    """
    from huggingface_hub import hf_hub_url

    url = hf_hub_url(ref.repo, ref.path, revision=ref.revision)
    retry, position, furthest = Retry(ref), begin, begin
    while position < end:
        whole = (position, end) == (0, file.size)
        headers = {} if whole else {"Range": f"bytes={position}-{end - 1}"}
        with retry, get(url, headers) as response:
            skipped = _bytes_before(response, ref, file, position, end)
            for piece in response.iter_bytes():
                start, skipped = min(skipped, len(piece)), max(skipped - len(piece), 0)
                piece = piece[start : start + end - position]
                position += len(piece)
                if piece:
                    yield piece
                if position == end:
                    return
                if position - furthest >= PROGRESS_BYTES:
                    retry.failures, furthest = 0, position
            raise ConnectionError(f"only {position - begin} of {end - begin} bytes came")


def _bytes_before(response: Any, ref: RepoRef, file: RepoFile, position: int, end: int) -> int:
    """Bytes of an answer's body that come before byte `position` of the file.

    Raises HubError for another file or another part than requested.
    """
    first = response.history[0] if response.history else response
    listed = first.headers.get("x-linked-etag", "").strip('"')
    if file.sha256 and is_hex(listed, 64) and listed != file.sha256:
        raise HubError(
            f"{ref}: the hub now has another file there (sha256 {listed[:12]}…); look the model up "
            "again"
        )
    if response.status_code != 206:
        if position:
            log.warning("%s: the server ignores ranges and sends the whole file", ref)
        return position
    expected = f"bytes {position}-{end - 1}/{file.size}"
    answered = response.headers.get("content-range", "")
    if answered != expected:
        raise HubError(
            f"{ref}: the server was requested to send {expected} and sends {answered or 'a part'}; "
            "try again later, or another HF_ENDPOINT"
        )
    return 0


def receive_verified(
    ref: RepoRef, file: RepoFile, out: BinaryIO, progress: Progress | None = None
) -> None:
    """Fill `out` with the verified content of a file; wrong bytes get a second chance.

    Continues after the bytes that `out` holds, and leaves those of a failed transfer for the next
    one. Raises HubError.
    """
    for _ in range(2):
        digest = _digest(file)
        out.seek(0)
        size = _hash_stream(out, digest)
        if size:
            log.info("%s: continues after %.1f MB received earlier", ref, size / 1e6)
        for piece in receive(ref, file, size, file.size):
            out.write(piece)
            digest.update(piece)
            size += len(piece)
            if progress is not None:
                progress(size, file.size)
        got, expected = digest.hexdigest(), expected_hash(file)
        if size == file.size and expected in (None, got):
            return
        difference = f"the {digest.name} of the bytes sent is {got[:12]}… and not {expected:.12}…"
        log.warning("%s: %s", ref, difference)
        out.seek(0)
        out.truncate()
    raise HubError(
        f"{ref}: {difference}, so nothing was kept; try again later, or another HF_ENDPOINT"
    )


def is_intact(path: Path, file: RepoFile) -> bool:
    """Whether the bytes at `path` have the size and the hash of `file` (reads all of them)."""
    digest = _digest(file)
    with path.open("rb") as stream:
        size = _hash_stream(stream, digest)
    return size == file.size and expected_hash(file) in (None, digest.hexdigest())


def expected_hash(file: RepoFile) -> str | None:
    """The hash that verifies a file."""
    return file.sha256 or file.git_sha1


def _digest(file: RepoFile) -> "hashlib._Hash":
    """An empty hash of the kind that verifies a file."""
    if file.git_sha1 and not file.sha256:
        return hashlib.sha1(b"blob %d\0" % file.size)
    return hashlib.sha256()


def _hash_stream(stream: BinaryIO, digest: "hashlib._Hash") -> int:
    """Add the bytes of a stream to a hash; returns how many there were."""
    size = 0
    while piece := stream.read(PIECE_BYTES):
        digest.update(piece)
        size += len(piece)
    return size
