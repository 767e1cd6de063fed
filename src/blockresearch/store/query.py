"""Ask a store: its tables as views of DuckDB, on this machine or behind an address."""

import io
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from blockresearch.hub.filesystems import RemoteError, is_remote, open_remote
from blockresearch.store.partitions import MODELS, StoreError, table_of

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    from fsspec import AbstractFileSystem

# One row per singular value: lists are made for reading whole spectra, this for sums over them.
UNNESTED = """
create view singular_values as
select model, param_name, slice, rows, cols,
       generate_subscripts(singular_values, 1) as rank, unnest(singular_values) as value
from spectra
"""


def models(store: str) -> "pa.Table":
    """The table of all models of a store, a folder or an address (s3://, hf://, https:// …).

    Raises StoreError if there is no store.
    """
    try:
        if not is_remote(store):
            return pq.read_table(Path(store, MODELS))
        system, path = open_remote(store)
        return pq.read_table(io.BytesIO(system.cat_file(f"{path.rstrip('/')}/{MODELS}")))
    except RemoteError as error:
        raise StoreError(str(error)) from error
    except OSError as error:
        raise StoreError(
            f"{store} has no {MODELS} ({error}): `blockresearch store add results/… --store DIR` "
            "makes a store."
        ) from error


def connect(store: str) -> "duckdb.DuckDBPyConnection":
    """A connection to an empty database with a view per table of the store, and `models`.

    A view has the rows of all models; a condition on `model` reads only the files of these models.
    No extension of DuckDB is fetched. Raises StoreError if there is no store, or its list names
    files outside of it.
    """
    import duckdb

    found = models(store)
    connection = duckdb.connect(
        config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    )
    # Otherwise each question reads the ends of all files again.
    connection.execute("set parquet_metadata_cache = true")
    connection.register("models", found)
    root = store.rstrip("/")
    if is_remote(store):
        connection.register_filesystem(_listed(open_remote(store)[0]))
    try:
        for table, schemas in sorted(_partitions(found).items()):
            rows = [_rows_of([f"{root}/{path}" for path in paths]) for paths in schemas.values()]
            connection.execute(f'create view "{table}" as {" union all by name ".join(rows)}')
            if table == "spectra":
                connection.execute(UNNESTED)
    except duckdb.Error as error:
        raise StoreError(f"{store} cannot be read: {_reason(error)}") from error
    return connection


def _listed(system: "AbstractFileSystem") -> "AbstractFileSystem":
    """A file system whose files exist because models.parquet names them, and do not change:
    otherwise DuckDB sends two requests for each file of each table before the first question."""
    system.exists = lambda path, **_: True
    system.modified = lambda path: datetime.fromtimestamp(0, UTC)
    return system


def _reason(error: Exception) -> str:
    """The line of an error of DuckDB that says what is wrong, without its quote of the SQL."""
    lines = str(error).partition("\nLINE ")[0].strip().splitlines()
    return lines[-1] if lines and lines[0].startswith("Traceback") else " ".join(lines)


def _partitions(found: "pa.Table") -> dict[str, dict[str, list[str]]]:
    """Table -> schema -> the paths of its partitions, so that DuckDB need not read all to know the
    columns: that takes as long as most answers."""
    tables: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in found.to_pylist():
        if len(row.get("schemas") or ()) != len(row["files"]):
            raise StoreError(f"{MODELS} has no schemas for {row['model']}: add this model again.")
        for path, schema in zip(row["files"], row["schemas"], strict=True):
            tables[table_of(path)][schema].append(path)
    return tables


def _rows_of(paths: Iterable[str]) -> str:
    """The query for all rows of files with one schema; those of other models are skipped by their
    path."""
    listed = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
    return (
        f"select * exclude (schema) from read_parquet([{listed}], hive_partitioning = true, "
        "hive_types = {'schema': bigint, 'model': varchar})"
    )


def ask(connection: "duckdb.DuckDBPyConnection", question: str) -> "pa.Table":
    """The answer to SQL as a table of Arrow; an empty one for statements without rows.

    Raises StoreError with DuckDB's reason if the SQL is wrong.
    """
    import duckdb
    import pyarrow as pa

    try:
        answer = connection.sql(question)
        return pa.table({}) if answer is None else answer.to_arrow_table()
    except duckdb.Error as error:
        raise StoreError(f"the store cannot answer: {_reason(error)}") from error
