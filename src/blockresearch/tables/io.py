"""Read and write the tables whose columns `columns` records, as CSV, JSON or Parquet.

The writer checks names and types against the records, the reader restores the types. Writers are
atomic: a file appears under its name complete or not at all.
"""

import csv
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pandas.api.types import pandas_dtype

from blockresearch.files import TableError, atomic
from blockresearch.tables.schemas import FIELDS, Field

if TYPE_CHECKING:
    import pyarrow as pa

# Names of tensors may exceed the 128 KiB that Python's csv allows for a field by default.
csv.field_size_limit(2**31 - 1)

PANDAS_DTYPES = {
    "string": "string",
    "integer": "Int64",
    "number": "Float64",
    "boolean": "boolean",
    "integers": "object",
    "numbers": "object",
}

# Columns that name the model of a table, or both models of a comparison.
NAMES = ("model", "base_model")

# Rows that `stack_file` holds in memory at once; spectra have a few thousand numbers each.
STACK_ROWS = 1000

# Rows of a row group of its files, which readers hold in memory at once.
GROUP_ROWS = 100

# Rows whose cells are held in memory as text at once.
TEXT_ROWS = 4096

# One encoder for all cells: json.dumps makes one for each.
as_json = json.JSONEncoder(ensure_ascii=False).encode


def columns(table: str) -> list[str]:
    """Column names of `table` in their order. Raises KeyError if there is no such table."""
    return [column.name for column in FIELDS[table]]


def frame(rows: Iterable[Mapping[str, Any]], table: str) -> pd.DataFrame:
    """Rows as a data frame with exactly the columns and types of `table`.

    A column that is not in a row is missing there. Raises TableError if a row has a column that is
    not in the table.
    """
    rows = list(rows)
    known = set(columns(table))
    for row in rows:
        if not known.issuperset(row):
            unknown = ", ".join(sorted(set(row) - known))
            raise TableError(
                f"table {table} has no column {unknown}: add a record to its module in tables."
            )
    data = {
        column.name: pd.array(
            [row.get(column.name) for row in rows], dtype=PANDAS_DTYPES[column.type]
        )
        for column in FIELDS[table]
    }
    return pd.DataFrame(data)


def typed(data: pd.DataFrame, table: str) -> pd.DataFrame:
    """`data` with the columns, order and types of `table`.

    The names of models are filled in when a table is written (see `labels`); until then they may be
    left out. Raises TableError if another column is missing or unknown.
    """
    data = data.assign(**{n: None for n in NAMES if n in columns(table) and n not in data})
    missing = [name for name in columns(table) if name not in data]
    surplus = [name for name in data if name not in columns(table)]
    if missing or surplus:
        raise TableError(f"table {table}: missing columns {missing}, unknown columns {surplus}.")
    # Converting a hundred columns that have their types takes longer than anything else here.
    has, wanted = data.dtypes, {name: pandas_dtype(text) for name, text in PANDAS_DTYPES.items()}
    others = {
        column.name: wanted[column.type]
        for column in FIELDS[table]
        if has[column.name] != wanted[column.type]
    }
    ordered = data[columns(table)]
    return ordered.astype(others) if others else ordered


def table_format(path: str | os.PathLike[str], format: str | None = None) -> str:
    """The format of a table, csv, json or parquet: `format`, or by default the suffix of `path`.

    Raises TableError for any other.
    """
    format = format or Path(path).suffix.removeprefix(".")
    if format not in ("csv", "json", "parquet"):
        raise TableError(f"{path}: tables are .csv, .json or .parquet; name one of these formats.")
    return format


@dataclass(frozen=True)
class Labels:
    """Texts that a Parquet file contains beside the rows, about the file and about its columns."""

    facts: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)


NO_LABELS = Labels()

NO_ROLES: Mapping[str, str | None] = {}


def write_table(
    data: pd.DataFrame,
    table: str,
    path: str | os.PathLike[str],
    format: str | None = None,
    labels: Labels = NO_LABELS,
) -> None:
    """Write `data` as the table `table`, atomically, in the format of `table_format`.

    The bytes depend on the data alone: no time, no machine, no index column. CSV guards
    formulas (see `csv_text`); a missing value is an empty field. JSON is a list of records with
    null for missing values. Infinities are the text inf or -inf in CSV and JSON. Raises TableError
    if a column is missing or unknown, or the format is.
    """
    data = typed(data, table)
    format = table_format(path, format)
    with atomic(path) as temporary:
        if format == "parquet":
            _write_parquet(data, table, temporary, labels)
        elif format == "json":
            _write_json_records(data, temporary)
        else:
            _write_csv(data, temporary)


def read_table(path: str | os.PathLike[str], table: str) -> pd.DataFrame:
    """A table written by `write_table`, with the same types and without the text guards of CSV.

    Raises TableError if a column is missing or unknown.
    """
    path = Path(path)
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        return _from_arrow(pq.read_table(path), table)
    if path.suffix == ".json":
        return frame(map(_restored, json.loads(path.read_text(encoding="utf-8"))), table)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    parse = {column.name: _parser(column) for column in FIELDS[table]}
    return frame(
        [{name: parse[name](text) for name, text in row.items() if name in parse} for row in rows],
        table,
    )


def read_rows(
    path: str | os.PathLike[str], table: str, column: str, values: Iterable[str]
) -> pd.DataFrame:
    """The rows of a Parquet table whose `column` is one of `values`; one row group is in memory."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    found, texts = [_arrow_schema(table).empty_table()], pa.array(list(values), pa.string())
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            chosen = pc.is_in(file.read_row_group(number, [column])[column], texts)
            if pc.any(chosen).as_py():
                found.append(file.read_row_group(number).filter(chosen))
    return _from_arrow(pa.concat_tables(found), table)


def read_pieces(path: str | os.PathLike[str], table: str) -> Iterator[pd.DataFrame]:
    """Yield a Parquet table row group by row group."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            yield _from_arrow(file.read_row_group(number), table)


def _from_arrow(rows: "pa.Table", table: str) -> pd.DataFrame:
    data = rows.to_pandas(integer_object_nulls=True)
    for column in FIELDS[table]:
        if column.type in ("integers", "numbers") and column.name in data:
            data[column.name] = data[column.name].map(_plain).astype(object)
    return typed(data, table)


def unguarded(text: str) -> str:
    """The text without the apostrophe that guards it in a CSV file."""
    return text[1:] if text.startswith("'") else text


def _restored(record: dict[str, Any]) -> dict[str, Any]:
    numbers = {"inf": math.inf, "-inf": -math.inf}
    return {
        name: numbers.get(value, value) if isinstance(value, str) else value
        for name, value in record.items()
    }


def _parser(column: Field):
    def parse(text: str):
        if text == "":
            return None
        if column.type == "string":
            return unguarded(text)
        if column.type == "boolean":
            return text == "true"
        if column.type in ("integers", "numbers"):
            return json.loads(text)
        return int(text) if column.type == "integer" else float(text)

    return parse


def _plain(value: Any) -> Any:
    """A cell as a value of JSON: None if missing, Python scalars, lists, inf and -inf as text."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        # Nearly all lists are finite numbers, which need no change.
        if all(type(item) is int or (type(item) is float and item - item == 0) for item in value):
            return value
        return [_plain(item) for item in value]
    if value is None or value is pd.NA:
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def _texts(column: pd.Series) -> list[str | None]:
    """The cells of a typed column as JSON writes them, None if missing.

    Column by column, because a large model has ten million cells and nearly all are numbers.
    """
    from blockresearch.tables.csv_text import number_texts

    missing = column.isna().to_numpy()
    texts: list[str | None]
    if isinstance(column.dtype, pd.Float64Dtype):
        numbers = column.to_numpy(float, na_value=math.nan)
        texts = number_texts(numbers).to_pylist()
        missing = np.isnan(numbers)
        for row in np.flatnonzero(np.isinf(numbers)):
            texts[row] = f'"{texts[row]}"'
    elif isinstance(column.dtype, pd.Int64Dtype):
        texts = list(map(str, column.to_numpy("int64", na_value=0).tolist()))
    elif isinstance(column.dtype, pd.BooleanDtype):
        flags = column.to_numpy(bool, na_value=False)
        texts = np.where(flags, "true", "false").tolist()
    elif isinstance(column.dtype, pd.StringDtype):
        # Most texts, such as block types, occur many times.
        places, values = pd.factorize(column)
        written = list(map(as_json, values))
        texts = [written[place] for place in places.tolist()] if written else [None] * len(column)
    else:
        cells = column.to_numpy(object, na_value=None)
        # Most lists are missing where few rows have one.
        texts = [None if cell is None else _json_text(cell) for cell in cells]
    for row in np.flatnonzero(missing):
        texts[row] = None
    return texts


def _json_text(cell: Any) -> str | None:
    plain = _plain(cell)
    return None if plain is None else as_json(plain)


def _pieces(data: pd.DataFrame) -> Iterator[pd.DataFrame]:
    for start in range(0, len(data), TEXT_ROWS):
        yield data.iloc[start : start + TEXT_ROWS]


def _write_csv(data: pd.DataFrame, path: Path) -> None:
    from blockresearch.tables.csv_text import csv_lines

    with path.open("wb") as file:
        file.write((",".join(data.columns) + "\n").encode())
        for lines in csv_lines(data, _json_text):
            file.write(lines)


def _write_json_records(data: pd.DataFrame, path: Path) -> None:
    record = "{" + ", ".join(f"{json.dumps(name)}: %s" for name in data.columns) + "}"
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("[")
        separator = "\n"
        for piece in _pieces(data):
            cells = [[text or "null" for text in _texts(piece[name])] for name in piece]
            file.write(separator + ",\n".join(record % row for row in zip(*cells, strict=True)))
            separator = ",\n"
        file.write("\n]\n")


def _arrow_schema(table: str) -> "pa.Schema":
    import pyarrow as pa

    types = {
        "string": pa.string(),
        "integer": pa.int64(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
        "integers": pa.list_(pa.int64()),
        "numbers": pa.list_(pa.float64()),
    }
    return pa.schema([(column.name, types[column.type]) for column in FIELDS[table]])


def _parquet_options(table: str) -> dict[str, Any]:
    """Options of the Parquet writer: dictionary encoding for all columns but real numbers, which
    rarely repeat; looking for repeated ones would take most of the time."""
    paths = {"string": "", "integer": "", "integers": ".list.element"}
    coded = [c.name + paths[c.type] for c in FIELDS[table] if c.type in paths]
    return {"compression": "zstd", "use_dictionary": coded}


def _labeled(schema: "pa.Schema", labels: Labels) -> "pa.Schema":
    """`schema` with the facts as metadata of the file, and each unit as metadata of its column."""
    for name, unit in labels.units.items():
        place = schema.get_field_index(name)
        schema = schema.set(place, schema.field(place).with_metadata({"unit": unit}))
    return schema.with_metadata(dict(labels.facts) or None)


def _write_parquet(data: pd.DataFrame, table: str, path: Path, labels: Labels) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = pa.Table.from_pandas(data, schema=_arrow_schema(table), preserve_index=False)
    # The pandas metadata would record library versions, and bytes must depend on the data alone.
    arrays = arrays.cast(_labeled(_arrow_schema(table), labels))
    pq.write_table(arrays, path, **_parquet_options(table))


def stack_file(
    paths: Iterable[str | os.PathLike[str]],
    table: str,
    order: Iterable[str],
    out: Path,
    model: str | None = None,
    roles: Mapping[str, str | None] = NO_ROLES,
    labels: Labels = NO_LABELS,
) -> None:
    """Write the tables of all parts as one Parquet file `out`, without holding it in memory.

    All rows get the name `model`, and those of a tensor its role.

    Rows are in the `order` of their tensors (names), those of one tensor as in its part, and those
    of tensors that are not in `order` last, by name. Reads the names first, then the rows, a
    thousand at a time: the spectra of a large model have a billion numbers. Rows of one tensor must
    be in one part.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    paths = list(paths)

    @lru_cache(maxsize=16)
    def part(number: int) -> pa.Table:
        return _read_part(paths[number], schema)

    schema = _arrow_schema(table)
    names = [
        pq.read_table(path, columns=["param_name"])["param_name"].to_pylist() for path in paths
    ]
    rank = {name: place for place, name in enumerate(order)}
    places = sorted(
        (rank.get(name, len(rank)), name, number, row)
        for number, some in enumerate(names)
        for row, name in enumerate(some)
    )
    options = _parquet_options(table)
    labeled = _labeled(schema, labels)
    with atomic(out) as temporary, pq.ParquetWriter(temporary, labeled, **options) as file:
        for start in range(0, max(len(places), 1), STACK_ROWS):
            wanted = [(number, row) for _, _, number, row in places[start : start + STACK_ROWS]]
            by_part: dict[int, list[int]] = {}
            for number, row in wanted:
                by_part.setdefault(number, []).append(row)
            taken = [part(number).take(rows) for number, rows in by_part.items()]
            rows = pa.concat_tables(taken) if taken else schema.empty_table()
            at = {
                place: index
                for index, place in enumerate(
                    (number, row) for number, own in by_part.items() for row in own
                )
            }
            indices = pa.array([at[place] for place in wanted], pa.int64())
            named = pa.repeat(pa.scalar(model, pa.string()), len(indices))
            rows = rows.take(indices).set_column(0, "model", named)
            own = [roles.get(name) for name in rows["param_name"].to_pylist()]
            place = rows.schema.get_field_index("role")
            rows = rows.set_column(place, "role", pa.array(own, pa.string())).cast(labeled)
            file.write_table(rows, row_group_size=GROUP_ROWS)


def stack(paths: Iterable[str | os.PathLike[str]], table: str, by: list[str]) -> pd.DataFrame:
    """The tables of all parts as one, sorted by the columns `by`; the order of the parts does not
    matter."""
    import pyarrow as pa

    schema = _arrow_schema(table)
    whole = _from_arrow(
        pa.concat_tables([schema.empty_table(), *(_read_part(path, schema) for path in paths)]),
        table,
    )
    return whole.sort_values(by, kind="stable", ignore_index=True)


def _read_part(path: str | os.PathLike[str], schema: "pa.Schema") -> "pa.Table":
    """The table of a part. Raises TableError if another version of the program wrote it.

    Parts have all columns of their table. Arrow would fill a missing one with nulls, and a number
    that was never computed would look like one that does not exist.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if pq.read_schema(path).names == schema.names:
            return pq.read_table(path, schema=schema)
        error = None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as refused:
        error = refused
    raise TableError(
        f"{path} was written by another version of the program: delete the folder "
        f"{Path(path).parent} and run again."
    ) from error
