"""Where the tables of models lie in a store, and the list of all its partitions.

    <table>/schema=1/model=<id>@<version>/data.parquet     one table of one model
    models.parquet                                         one row per model

A partition has one writer, appears complete or not at all, and never changes but with the results
that it was made from. Readers find partitions by `models.parquet` alone, so that a store can lie
behind a server that does not list folders.
"""

import fcntl
import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Raised if a column changes its meaning; columns may be added without that.
SCHEMA = 1

MODELS = "models.parquet"

# A path that models.parquet may name: it may come from a stranger.
PARTITION = re.compile(r"([a-z_]+)/schema=(\d+)/model=([A-Za-z0-9._@-]+)/data\.parquet")


class StoreError(ValueError):
    """A store that cannot be read, written or asked; the message says what to do."""


def model_key(manifest: Mapping[str, Any]) -> str:
    """The name of a model in a store: its id and its version.

    `Qwen--Qwen3-4B@1cfa9a7208912126` for a commit of the hub; for a local folder the first digits
    of a hash of its weight files, so that changed weights are another model.
    """
    name = str(manifest["name"]).partition("@")[0]
    version = manifest["commit"] or _content(manifest)
    return f"{re.sub(r'[^A-Za-z0-9._-]', '_', name)}@{str(version)[:12]}"


def _content(manifest: Mapping[str, Any]) -> str:
    digest = hashlib.sha256()
    for file in sorted(manifest["files"], key=lambda file: str(file["path"])):
        if file["role"] == "shard":
            digest.update(f"{file['path']} {file['sha256']} {file['size']}\n".encode())
    return digest.hexdigest()


def partition(table: str, key: str) -> str:
    """The path of one table of one model, relative to the store."""
    return f"{table}/schema={SCHEMA}/model={key}/data.parquet"


def table_of(path: str) -> str:
    """The table of a partition. Raises StoreError if the path is not one of a partition."""
    found = PARTITION.fullmatch(path)
    if not found or ".." in found[3]:
        raise StoreError(
            f"{MODELS} names {path!r}, which is not a partition: do not use this store."
        )
    if int(found[2]) > SCHEMA:
        raise StoreError(f"{path} has a newer schema than {SCHEMA}: install a newer version.")
    return found[1]


@contextmanager
def alone(store: Path) -> Iterator[None]:
    """Keep other writers of `models.parquet` out, on this machine."""
    store.mkdir(parents=True, exist_ok=True)
    with (store / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
