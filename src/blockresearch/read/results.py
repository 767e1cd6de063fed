"""The results of one model, for programs: its tables as data frames, its findings as records."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from blockresearch.files import read_json
from blockresearch.results import TABLES
from blockresearch.safetensors.dtypes import code_values
from blockresearch.tables.io import read_rows, read_table

if TYPE_CHECKING:
    import pyarrow as pa


def load(folder: str | os.PathLike[str]) -> "Results":
    """The results in a model's folder, such as results/Qwen--Qwen3-4B.

    Nothing is read but the manifest; tables are read when they are first used.
    Raises FileNotFoundError if the folder has no results.
    """
    path = Path(folder).expanduser()
    if not (path / "manifest.json").is_file():
        raise FileNotFoundError(
            f"{path} has no manifest.json: pass the folder of a model, such as "
            "results/Qwen--Qwen3-4B."
        )
    return Results(path)


@dataclass(frozen=True)
class Results:
    """The results of one model. Columns and units of all tables: docs/outputs.md."""

    folder: Path

    def __repr__(self) -> str:
        return f"Results({str(self.folder)!r}: {', '.join(self.tables)})"

    @property
    def tables(self) -> list[str]:
        """Names of the tables that this model has."""
        return [name for name, path in TABLES.items() if (self.folder / path).is_file()]

    def table(self, name: str) -> pd.DataFrame:
        """A table by its name, with the types of its columns.

        Raises KeyError if there is no table of this name, FileNotFoundError if this model does not
        have it.
        """
        return read_table(self._path(name), _schema(name))

    def arrow(self, name: str) -> "pa.Table":
        """The same as a table of Arrow, with units and provenance in its metadata."""
        import pyarrow.parquet as pq

        return pq.read_table(self._path(name))

    def _path(self, name: str) -> Path:
        if name not in TABLES:
            raise KeyError(f"no table {name}: there are {', '.join(TABLES)}.")
        path = self.folder / TABLES[name]
        if not path.is_file():
            raise FileNotFoundError(
                f"{self.folder} has no {TABLES[name]}: this model was not analyzed for it, or the "
                f"run did not end. It has {', '.join(self.tables)}."
            )
        return path

    @cached_property
    def manifest(self) -> Mapping[str, Any]:
        """Files, tensors and configuration of the checkpoint (manifest.json)."""
        return read_json(self.folder / "manifest.json")

    @cached_property
    def params(self) -> pd.DataFrame:
        """One row per stored tensor."""
        return self.table("params")

    @cached_property
    def matrices(self) -> pd.DataFrame:
        """One row per weight matrix: fused tensors split, quantized ones dequantized."""
        return self.table("matrices")

    @cached_property
    def layers(self) -> pd.DataFrame:
        """One row per layer, block type and role."""
        return self.table("layers")

    @cached_property
    def tokens(self) -> pd.DataFrame:
        """One row per token of the embedding."""
        return self.table("tokens")

    @cached_property
    def heads(self) -> pd.DataFrame:
        """One row per attention head, if `analyses` had circuits."""
        return self.table("attention_heads")

    @cached_property
    def findings(self) -> pd.DataFrame:
        """What the tables mean: one row per finding, columns as its keys in findings.json.

        `tensors` are lists of objects with name, slice, row and col.
        """
        records = read_json(self._file("findings.json"))["findings"]
        columns = ("id", "topic", "severity", "text", "tensors", "metric", "value", "reference")
        return pd.DataFrame(records, columns=[*columns, "why", "action"])

    @cached_property
    def audit(self) -> pd.DataFrame:
        """What looks damaged: one row per finding, columns as the keys of audit.json."""
        records = read_json(self._file("audit.json"))["findings"]
        columns = ["severity", "check", "where", "evidence", "meaning"]
        return pd.DataFrame(records, columns=columns)

    def _file(self, name: str) -> Path:
        path = self.folder / name
        if not path.is_file():
            raise FileNotFoundError(f"{self.folder} has no {name}: the run did not end.")
        return path

    def spectrum(self, param_name: str, slice: str = "") -> np.ndarray:
        """All singular values of a matrix, float64 [min(rows, cols)], largest first.

        `slice` names one of several matrices in a tensor, such as `[3]` (see the table matrices).
        Raises KeyError if there is no such matrix, ValueError with the reason if it has none.
        """
        found = self._rows("spectra", param_name)
        chosen = found[found["slice"].fillna("") == slice]
        if chosen.empty:
            slices = ", ".join(map(repr, found["slice"].fillna("")))
            raise KeyError(f"{param_name} has no matrix {slice!r}: its slices are {slices}.")
        values = chosen["singular_values"].iloc[0]
        if values is None:
            raise ValueError(f"{param_name} has no spectrum: {chosen['method'].iloc[0]}.")
        return np.array(values, np.float64)

    def histogram(self, param_name: str) -> pd.DataFrame:
        """Every stored value of a tensor with its count, by value: columns value and count.

        Exists for plain tensors of up to 16 bits. Raises KeyError if there is none.
        """
        row = self._rows("histograms", param_name).iloc[0]
        values = code_values(row["dtype"])[np.array(row["codes"], np.int64)]
        found = pd.DataFrame({"value": values, "count": np.array(row["counts"], np.int64)})
        # Zero has two codes, NaN many.
        return found.groupby("value", dropna=False, as_index=False)["count"].sum()

    def _rows(self, name: str, param_name: str) -> pd.DataFrame:
        """The rows of one tensor in a table that is too large to be read as a whole."""
        found = read_rows(self._path(name), name, "param_name", [param_name])
        if found.empty:
            raise KeyError(f"{param_name} is not in {TABLES[name]}.")
        return found


def _schema(name: str) -> str:
    """The table whose columns a table has: that of an output layer has those of the embedding."""
    return "tokens" if name == "output_tokens" else name
