"""Fetch the files of a manifest, verified, from the user's hub cache or the hub."""

import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from blockresearch.checkpoint.manifest import Manifest, SourceFile
from blockresearch.hub.cache import cached_file
from blockresearch.hub.download import download, download_ranges, still_to_come
from blockresearch.hub.transfer import RepoFile
from blockresearch.safetensors.reader import read_header

log = logging.getLogger(__name__)

REPORT_SECONDS = 5.0

# Free space that must remain after a download, for the results.
MARGIN_BYTES = 200 * 1024**2


class DownloadError(ValueError):
    """A file cannot be fetched; the message gives the reason and the remedy."""


def file_of_key(manifest: Manifest, key: str) -> SourceFile:
    """The file of a manifest whose content key is `key`. Raises DownloadError if there is none."""
    for file in manifest.files:
        if file.key == key:
            return file
    raise DownloadError(f"No file of {manifest.model} has a hash that starts with {key}.")


def hub_origin(manifest: Manifest) -> tuple[str, str]:
    """Repository and commit of a manifest. Raises DownloadError if it is of a local folder."""
    if manifest.model_id is None or manifest.commit is None:
        raise DownloadError(f"{manifest.model} is a local folder: nothing is downloaded from it.")
    return manifest.model_id, manifest.commit


def fetch(manifest: Manifest, source: SourceFile, target: Path) -> None:
    """Put a file of a hub manifest at `target`, its size and hash verified.

    A file of which only ranges are requested has holes; its header and size are verified, unless
    the user's cache has the whole file.
    """
    repo, commit = hub_origin(manifest)
    file = source.repo_file
    cached = cached_file(repo, commit, file) is not None
    size = source.fetched_bytes
    started = time.monotonic()
    if source.ranges is not None and not cached:
        require_space(target.parent, size)
        ranges, progress = source.ranges, reporter(file)
        download_ranges(repo, commit, file, ranges, target, progress)
        _check_places(manifest, file, target)
        how = "downloaded in parts, not verified by sha256"
    else:
        if not cached:
            require_space(target.parent, still_to_come(file, target))
        how = download(repo, commit, file, target, progress=reporter(file))
    seconds = max(time.monotonic() - started, 1e-3)
    log.info(
        "%s: %s, %.1f MB in %.1f s (%.1f MB/s)",
        file.path,
        how,
        size / 1e6,
        seconds,
        size / 1e6 / seconds,
    )


def _check_places(manifest: Manifest, file: RepoFile, target: Path) -> None:
    """Remove a file whose header differs from the one in the manifest."""
    header = {(t.name, t.dtype, t.shape, t.begin, t.end) for t in read_header(target).tensors}
    for t in manifest.tensors:
        place = (t.name, t.dtype, t.shape, t.begin, t.end)
        if t.shard == file.path and place not in header:
            target.unlink()
            raise DownloadError(f"{file.path}: its header has changed: look the model up again.")


def reporter(file: RepoFile) -> Callable[[int, int], None]:
    """A progress callback (bytes done, bytes in all) that logs a line every few seconds."""
    state = {"time": time.monotonic(), "done": 0}

    def report(done: int, total: int) -> None:
        now = time.monotonic()
        if now - state["time"] >= REPORT_SECONDS:
            speed = max(done - state["done"], 0) / (now - state["time"])
            left = (total - done) / speed if speed else float("inf")
            log.info(
                "%s: %.1f of %.1f MB (%.0f %%), %.1f MB/s, about %.0f s left",
                file.path,
                done / 1e6,
                total / 1e6,
                100 * done / max(total, 1),
                speed / 1e6,
                left,
            )
            state.update(time=now, done=done)

    return report


def check_space(manifest: Manifest, weights: Path, shards_on_disk: int | None = None) -> None:
    """Check before any download that the missing shards of a model fit on the disk.

    With a limit of `shards_on_disk`, that many of the largest count.
    """
    repo, commit = hub_origin(manifest)
    targets = {manifest.path_of(shard.path, weights): shard for shard in manifest.shards}
    to_come = [
        still_to_come(shard.repo_file, target) if shard.ranges is None else shard.fetched_bytes
        for target, shard in targets.items()
        if not target.exists() and cached_file(repo, commit, shard.repo_file) is None
    ]
    missing = sum(sorted(to_come, reverse=True)[:shards_on_disk])
    log.info("to download: %.1f MB", sum(to_come) / 1e6)
    if missing:
        require_space(weights, missing)


def require_space(folder: Path, size: int) -> None:
    """Raises DownloadError if the disk of `folder` has not `size` bytes and a margin free."""
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(place).free
    if size + MARGIN_BYTES > free:
        raise DownloadError(
            f"The download needs {size / 1e9:.1f} GB but {place} has {free / 1e9:.1f} GB free: "
            "make room, or set `weights` in the config to a folder on a larger disk."
        )
