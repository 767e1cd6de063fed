"""Put results of models into a store."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from blockresearch.files import atomic, require_writable
from blockresearch.model_config import ModelConfig
from blockresearch.results import TABLES
from blockresearch.store.partitions import MODELS, StoreError, alone, partition
from blockresearch.store.summaries import replace
from blockresearch.summary import Summary, model_key, written_ns

# Left out unless named: a row per token or per distinct value makes a store ten times as large.
LARGE = ("histograms", "clusters", "tokens", "output_tokens", "projection")

# Columns of models.parquet with a value for each partition.
LISTS = ("files", "schemas")

# Facts that a Parquet file of results states about itself.
PROVENANCE = ("tool", "tool_commit", "settings", "settings_hash")

# What complete results have.
DOCUMENTS = ("manifest.json", "comparison.json", "findings.json", "audit.json")

FINDINGS = ("id", "topic", "severity", "text", "metric", "value", "reference", "why", "action")

AUDIT = ("severity", "check", "where", "evidence", "meaning")


@dataclass(frozen=True)
class Added:
    """A model of a store: its key, its row of models.parquet, and what the page of all shows."""

    key: str
    row: Mapping[str, Any]
    summary: Summary


def add(folders: Iterable[Path], store: Path, tables: Iterable[str] = ()) -> list[Added]:
    """Write the tables of models to a store, and the models to its list.

    `tables` names large ones to be written as well. Adding the same results again changes nothing;
    results of the same weights that were made anew replace the former. Raises StoreError if a
    folder has no complete results, before anything of it is written, and ValueError if nothing can
    be written to the store.
    """
    also = tuple(tables)
    unknown = [name for name in also if name not in TABLES]
    if unknown:
        raise StoreError(f"no table {', '.join(unknown)}: there are {', '.join(TABLES)}.")
    require_writable(store, "store")
    added = []
    try:
        for folder in folders:
            added.append(_add(folder, store, also))
    finally:
        if added:
            with alone(store):
                _list(store, added)
    return added


def models_in(paths: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """The folders with complete results among `paths`, and what was left out.

    A folder of results stands for everything in it. Beside a complete model, everything else in
    the same folder of results is left out: other models, comparisons, pages. Raises StoreError if
    there is no model where one was named.
    """
    named = [each for path in paths for each in _inside(path)]
    complete = [path for path in named if all((path / name).is_file() for name in DOCUMENTS)]
    beside = {path.resolve().parent for path in complete}
    left_out = [path for path in named if path not in complete]
    for path in left_out:
        if not path.exists() or path.resolve().parent not in beside:
            raise StoreError(
                f"{path} has no complete results: run its analysis to the end first."
                if path.exists()
                else f"{path} does not exist: name the results of a model, or the folder of all."
            )
    return complete, left_out


def _inside(path: Path) -> list[Path]:
    """The entries of a folder of results; anything else is itself."""
    is_results = not (path / DOCUMENTS[0]).exists() and any(path.glob(f"*/{DOCUMENTS[0]}"))
    return sorted(path.iterdir()) if is_results else [path]


def _add(folder: Path, store: Path, also: tuple[str, ...]) -> Added:
    written = written_ns(folder)
    try:
        # Not cached: a thousand manifests take a gigabyte.
        manifest, comparison, findings, audit = (
            json.loads((folder / name).read_text(encoding="utf-8")) for name in DOCUMENTS
        )
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{folder} has no complete results ({error}): run its analysis to the end first."
        ) from error
    key = model_key(manifest)
    files: dict[str, str] = {}
    facts: dict[str, str] = {}
    for name, path in TABLES.items():
        source = folder / path
        if (name in LARGE and name not in also) or not source.is_file():
            continue
        table = pq.read_table(source)
        stated = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
        if name == "params":
            facts = stated
        files |= _write(store, name, key, table)
    files |= _write(store, "findings", key, _records(findings["findings"], FINDINGS))
    files |= _write(store, "audit", key, _records(audit["findings"], AUDIT))
    summary = Summary(key, folder.name, written, comparison, audit["counts"])
    return Added(key, _row(key, manifest, comparison["numbers"], facts, files), summary)


def _records(records: list[dict[str, Any]], names: tuple[str, ...]) -> pa.Table:
    kinds = {"value": pa.float64(), "reference": pa.float64()}
    columns = {
        name: pa.array([record.get(name) for record in records], kinds.get(name, pa.string()))
        for name in names
    }
    return pa.table(columns)


def _write(store: Path, name: str, key: str, table: pa.Table) -> dict[str, str]:
    """Write one partition; its path in the store, with the first digits of a hash of its schema."""
    model = pa.array([key] * len(table), pa.string())
    place = table.schema.get_field_index("model")
    if place >= 0:
        table = table.set_column(place, "model", model)
    else:
        table = table.add_column(0, "model", model)
    path = partition(name, key)
    with atomic(store / path) as temporary:
        # Every file has few rows, so that statistics of columns would only make all files slower.
        pq.write_table(table, temporary, compression="zstd", write_statistics=False)
    schema = str(table.schema.remove_metadata()).encode()
    return {path: hashlib.sha256(schema).hexdigest()[:12]}


def _row(
    key: str,
    manifest: Mapping[str, Any],
    numbers: Mapping[str, Any],
    facts: Mapping[str, str],
    files: Mapping[str, str],
) -> dict[str, Any]:
    """The row of a model. Numbers of the page of all models are columns of the same names."""
    config = manifest["config"]
    architectures = ModelConfig(config).architectures
    kind = config.get("model_type")
    texts = {
        "model": key,
        "name": manifest["name"],
        "model_id": manifest["model_id"],
        "revision": manifest["revision"],
        "commit": manifest["commit"],
        "family": kind if isinstance(kind, str) else None,
        "architecture": architectures[0] if architectures else None,
        "licence": manifest["licence"] if isinstance(manifest["licence"], str) else None,
        "created_at": manifest["created_at"],
        "commit_date": manifest["commit_date"],
        **{name: facts.get(name) for name in PROVENANCE},
    }
    measured = {
        name: float(value) if isinstance(value, int | float) else value
        for name, value in numbers.items()
        if name not in texts
    }
    paths = sorted(files)
    schemas = [files[path] for path in paths]
    return {**texts, **measured, "files": paths, "schemas": schemas}


def _list(store: Path, added: list[Added]) -> None:
    """Put the rows of added models into models.parquet; delete partitions no longer named."""
    rows = {added_model.key: dict(added_model.row) for added_model in added}
    target = store / MODELS
    former = pq.read_table(target).to_pylist() if target.is_file() else []
    stale = {
        path
        for row in former
        if row["model"] in rows
        for path in row["files"]
        if path not in rows[row["model"]]["files"]
    }
    kept = [row for row in former if row["model"] not in rows]
    table = _typed(sorted([*kept, *rows.values()], key=lambda row: str(row["model"])))
    with atomic(target) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    replace(store, {added_model.key: added_model.summary for added_model in added}.values())
    for path in stale:
        (store / path).unlink(missing_ok=True)


def _typed(rows: list[dict[str, Any]]) -> pa.Table:
    """Rows as a table; a column has numbers if any of its values is one, otherwise texts."""
    names = dict.fromkeys(name for row in rows for name in row if name not in LISTS)
    columns: dict[str, pa.Array] = {}
    for name in names:
        values = [row.get(name) for row in rows]
        is_number = any(isinstance(value, float) for value in values)
        kind = pa.float64() if is_number else pa.string()
        columns[name] = pa.array(
            [v if v is None or isinstance(v, float) == is_number else None for v in values], kind
        )
    for name in LISTS:
        columns[name] = pa.array([row.get(name) for row in rows], pa.list_(pa.string()))
    return pa.table(columns)
