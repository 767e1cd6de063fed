"""One matrix that a program has in memory, measured as the workflow measures it from a file."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from blockresearch.measurement.part import measure_tensor
from blockresearch.measurement.settings import Settings
from blockresearch.safetensors.dtypes import code_values
from blockresearch.tables import io
from blockresearch.weights.layout import Layout
from blockresearch.weights.stored import Stored
from blockresearch.weights.weight import Weight

# How NumPy, ml_dtypes and torch name a type -> how safetensors does.
DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2": "F8_E5M2",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
}

SPECTRA = ("full", "rank", "sketch", "none")


@dataclass(frozen=True)
class Measurement:
    """The statistics of one array.

    statistics       by the names of the table matrices (docs/outputs.md); None if not defined
    singular_values  float64, largest first; empty if there are none (a vector, a NaN inside)
    histogram        columns value and count, by value: every value that is stored; empty for types
                     of more than 16 bits
    """

    statistics: pd.Series
    singular_values: np.ndarray
    histogram: pd.DataFrame

    def __getitem__(self, name: str) -> Any:
        """One statistic. Raises KeyError if there is none of this name."""
        return self.statistics[name]


def measure(array: Any, spectra: str = "full", sparsity_threshold: float = 1e-6) -> Measurement:
    """Measure an array of one or two dimensions, [rows, cols], in the type that it is stored in.

    `array` is a NumPy array (also of ml_dtypes), a torch tensor, or a slice of a safetensors file
    (`safe_open(…).get_slice(name)`). The elements pass through a temporary file, so that the
    numbers are those of the workflow. `spectra` as in the configuration: full, rank (without the
    smallest singular values), sketch or none.

    Raises TypeError if the elements have a type that safetensors does not store, ValueError if the
    array has no elements or more than two dimensions, or `spectra` is another word.

    >>> import numpy as np
    >>> found = measure(np.diag([3.0, 2.0, 1.0]))
    >>> found["rank"], found["stable_rank"], found.singular_values.round(6).tolist()
    (3, 1.5555555555555556, [3.0, 2.0, 1.0])
    """
    if spectra not in SPECTRA:
        raise ValueError(f"spectra is {spectra!r}: choose one of {', '.join(SPECTRA)}.")
    dtype, raw, shape = _stored(array)
    if not 1 <= len(shape) <= 2 or not raw.size:
        raise ValueError(
            f"the array has shape {list(shape)}: pass a matrix or a vector with elements."
        )
    # More than one matrix would need a layout, which only a checkpoint states.
    layout = Layout("matrix" if len(shape) == 2 and dtype != "BOOL" else "values")
    tensor = Stored("array", "array", dtype, shape, 0, raw.size)
    settings = Settings(sparsity_threshold, spectra)
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        path = Path(folder, "array")
        raw.tofile(path)
        rows = measure_tensor({"array": path}, Weight(tensor, layout), settings)
    # Vectors have no row of the table matrices; that of the tensor has the same statistics.
    row = (rows.matrices or rows.params)[0]
    names = [
        name
        for name in io.columns("matrices")
        if name in row and name not in ("param_name", "slice", "expert_index", "piece")
    ]
    spectrum = rows.spectra[0]["singular_values"] if rows.spectra else None
    return Measurement(
        pd.Series({name: row[name] for name in names}, dtype=object),
        np.array([] if spectrum is None else spectrum, np.float64),
        _histogram(rows.histograms),
    )


def _histogram(rows: list[dict[str, Any]]) -> pd.DataFrame:
    if not rows:
        return pd.DataFrame({"value": np.array([], float), "count": np.array([], np.int64)})
    codes, counts = np.array(rows[0]["codes"]), np.array(rows[0]["counts"])
    found = pd.DataFrame({"value": code_values(rows[0]["dtype"])[codes], "count": counts})
    return found.groupby("value", dropna=False, as_index=False)["count"].sum()


def _stored(array: Any) -> tuple[str, np.ndarray, tuple[int, ...]]:
    """The safetensors name of the type, the bytes in the order of a file (uint8 [n]), the shape."""
    if hasattr(array, "get_shape"):
        # A slice of a safetensors file reads its elements when it is indexed.
        array = array[:]
    if not hasattr(array, "dtype"):
        raise TypeError(
            f"cannot measure {type(array).__name__}: pass a NumPy array, a torch tensor or a "
            "slice of a safetensors file."
        )
    # NumPy's str() would add the byte order.
    name = getattr(array.dtype, "name", None) or str(array.dtype).removeprefix("torch.")
    if name not in DTYPES:
        raise TypeError(
            f"cannot measure elements of type {name}: convert them to one of {', '.join(DTYPES)}."
        )
    shape = tuple(int(length) for length in array.shape)
    if hasattr(array, "detach"):
        # Already imported: the array is one of torch's.
        import torch

        flat = array.detach().cpu().contiguous().reshape(-1)
        return DTYPES[name], flat.view(torch.uint8).numpy(), shape
    plain = np.ascontiguousarray(array).reshape(-1)
    if plain.dtype.byteorder == ">":
        plain = plain.astype(plain.dtype.newbyteorder("<"))
    return DTYPES[name], plain.view(np.uint8), shape
