"""Where the tables of models lie in a store, and the list of all its partitions.

    <table>/schema=1/model=<id>@<version>/data.parquet     one table of one model
    models.parquet                                         one row per model
    summaries.parquet                                      what the page of all models shows

A partition has one writer, appears complete or not at all, and never changes but with the results
that it was made from. Readers find partitions by `models.parquet` alone, so that a store can lie
behind a server that does not list folders.
"""

import fcntl
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Raised if a column changes its meaning; columns may be added without that.
SCHEMA = 1

MODELS = "models.parquet"

# A path that models.parquet may name: it may come from a stranger.
PARTITION = re.compile(r"([a-z_]+)/schema=(\d+)/model=([A-Za-z0-9._@-]+)/data\.parquet")


class StoreError(ValueError):
    """A store that cannot be read, written or asked; the message says what to do."""


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
