"""Compare two checkpoints: match their tensors, then measure every matched pair."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from blockresearch.checkpoint.describe import describe_folder
from blockresearch.checkpoint.manifest import Manifest
from blockresearch.compare.differences import Panels, Row, Side, difference
from blockresearch.compare.matching import Pair, compared_shares, copies, match
from blockresearch.compare.vocabulary import SharedRows, shared_rows, token_changes
from blockresearch.measure.elements import PANEL_BYTES
from blockresearch.measure.part import content_hash
from blockresearch.spectra.cost import predicted_seconds
from blockresearch.tables.io import frame
from blockresearch.text import quoted
from blockresearch.tokens.tokenizer import Token, read_tokens
from blockresearch.weights.layout import Matrix
from blockresearch.weights.quantized.source import Contradiction
from blockresearch.weights.reading import TensorReader, open_tensor, panels
from blockresearch.weights.weight import weight_of

log = logging.getLogger(__name__)

CHUNK_BYTES = 32 * 1024**2


@dataclass(frozen=True)
class Comparison:
    """The tables of a comparison, and the share of each side's elements that was compared."""

    pairs: pd.DataFrame
    differences: pd.DataFrame
    vocabulary: pd.DataFrame
    base_share: float
    other_share: float


class Checkpoint:
    """A checkpoint whose tensors are opened by name; `files` are its files in place, by name."""

    def __init__(self, manifest: Manifest, files: Mapping[str, Path]):
        self.manifest, self.files = manifest, files

    def open(self, name: str) -> TensorReader:
        """A reader of a tensor. Raises Contradiction if companions contradict its scheme."""
        tensor = self.manifest.by_name[name]
        return open_tensor(self.files, weight_of(tensor, tensor.layout, self.manifest.by_name))

    def contents(self) -> dict[str, str]:
        """Hash of the stored bytes of each measured tensor, by name."""
        names = [tensor.name for tensor in self.manifest.tensors if tensor.layout.is_measured]
        found = {}
        for name in names:
            try:
                found[name] = content_hash(self.open(name), CHUNK_BYTES)
            except Contradiction as error:
                log.warning("%s", error)
        return found

    def tokens(self) -> Sequence[Token]:
        """The tokens of the rows of the embedding; without a tokenizer they have no text."""
        embedding = self.manifest.embedding
        if embedding is None or embedding not in self.manifest.by_name:
            return []
        file = next(iter(self.manifest.files_of("tokenizer")), None)
        path = None if file is None else self.files[file.path]
        return read_tokens(path, self.manifest.by_name[embedding].logical_shape[0])


def local_checkpoint(folder: str, created_at: str) -> Checkpoint:
    """The checkpoint in a local folder.

    Raises CheckpointError or SafetensorsError if the folder holds none that can be read.
    """
    manifest = describe_folder(folder, created_at, hashed=False)
    read = [*manifest.shards, *manifest.files_of("tokenizer")]
    return Checkpoint(manifest, {file.path: manifest.path_of(file.path, "") for file in read})


def compare_checkpoints(left: Checkpoint, right: Checkpoint, threads: int) -> Comparison:
    """Compare a base (`left`) with another checkpoint on `threads` cores, a pair on each."""
    log.info("hashing the tensors of both sides")
    with ThreadPoolExecutor(threads) as pool:
        contents = list(pool.map(Checkpoint.contents, (left, right)))
    pairs = match(left.manifest, right.manifest, *contents)
    base_share, other_share = compared_shares(pairs)
    log.info(
        "%.4g %% of the parameters of the base and %.4g %% of the other side are compared",
        100 * base_share,
        100 * other_share,
    )
    tokens = left.tokens(), right.tokens()
    rows = shared_rows(*tokens) if all(tokens) else None
    compared = sorted((pair for pair in pairs if pair.is_compared), key=_seconds, reverse=True)
    found: dict[int, Row] = {}
    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        jobs = {pool.submit(_measured, left, right, pair, rows): pair for pair in compared}
        try:
            for done, job in enumerate(as_completed(jobs), 1):
                pair = jobs[job]
                found[id(pair)] = job.result()
                log.info("%d of %d pairs: %s", done, len(jobs), quoted(pair.either.name))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    copied = copies(pairs, *contents)
    changes = token_changes(*tokens) if rows is not None and rows.by_text else []
    numbers = [_keys(pair) | found[id(pair)] for pair in pairs if found.get(id(pair))]
    return Comparison(
        frame((_line(pair, copied, found.get(id(pair))) for pair in pairs), "pairs"),
        frame(numbers, "differences"),
        frame(map(asdict, changes), "vocabulary"),
        base_share,
        other_share,
    )


def _seconds(pair: Pair) -> float:
    return predicted_seconds(*pair.either.shape) if pair.either.has_spectrum else 0.0


def _measured(base: Checkpoint, other: Checkpoint, pair: Pair, rows: SharedRows | None) -> Row:
    """The numbers of a pair; empty if one side contradicts itself and is not measured."""
    assert pair.base is not None and pair.other is not None
    try:
        sides = base.open(pair.base.tensor.name), other.open(pair.other.tensor.name)
    except Contradiction as error:
        log.warning("%s", error)
        return {}
    views = pair.base, pair.other
    dtypes = [_stored_type(source) for source in sides]
    if pair.status == "reshaped":
        flat = [_flat(source, item.matrix) for source, item in zip(sides, views, strict=True)]
        found = difference(
            Side(flat[0], dtypes[0]), Side(flat[1], dtypes[1]), pair.base.numel, 1, False
        )
        # Positions in a column of all elements are positions in neither side.
        return found | {"max_change_row": None, "max_change_col": None}
    index = _rows_of(pair, rows)
    if index is None:
        streams = [_panels(source, item.matrix) for source, item in zip(sides, views, strict=True)]
        height = pair.base.matrix.rows
    else:
        chosen = zip(sides, views, index, strict=True)
        streams = [_selected(source, item.matrix, rows) for source, item, rows in chosen]
        height = len(index[0])
    if not height:
        return {}
    found = difference(
        Side(streams[0], dtypes[0]),
        Side(streams[1], dtypes[1]),
        height,
        pair.base.matrix.cols,
        pair.base.has_spectrum,
    )
    if index is not None and found.get("max_change_row") is not None:
        found["max_change_row"] = int(index[0][found["max_change_row"]])
    return found


def _rows_of(pair: Pair, rows: SharedRows | None) -> tuple[np.ndarray, np.ndarray] | None:
    """The rows of each side that are compared; None if they are all, in the same order."""
    assert pair.base is not None and pair.other is not None
    if not pair.base.is_token_table or not pair.other.is_token_table:
        return None
    heights = pair.base.matrix.rows, pair.other.matrix.rows
    if rows is None or not rows.by_text:
        if heights[0] == heights[1]:
            return None
        first = np.arange(min(heights))
        return first, first
    # Rows beyond the vocabulary have no token, and those of one number are compared.
    kept = (rows.base < heights[0]) & (rows.other < heights[1])
    mine, theirs = rows.base[kept], rows.other[kept]
    if heights[0] == heights[1] and np.array_equal(mine, theirs):
        return None
    return mine, theirs


def _stored_type(source: TensorReader) -> str | None:
    return None if source.weight.is_quantized else source.weight.stored.dtype


def _panels(source: TensorReader, matrix: Matrix) -> Panels:
    return lambda: panels(source, matrix, PANEL_BYTES)


def _flat(source: TensorReader, matrix: Matrix) -> Panels:
    return lambda: (panel.reshape(-1, 1) for panel in panels(source, matrix, PANEL_BYTES))


def _selected(source: TensorReader, matrix: Matrix, index: np.ndarray) -> Panels:
    """Chosen rows of a matrix, in the given order; rows that follow each other are read at once."""
    at_once = max(1, PANEL_BYTES // (8 * matrix.cols))

    def stream() -> Iterator[np.ndarray]:
        for first in range(0, len(index), at_once):
            wanted = index[first : first + at_once]
            starts = np.flatnonzero(np.diff(wanted, prepend=wanted[0] - 2) != 1)
            for run in np.split(wanted, starts[1:]):
                yield from panels(source, _between(matrix, *run[[0, -1]]), PANEL_BYTES)

    return stream


def _between(matrix: Matrix, first: int, last: int) -> Matrix:
    """The rows from `first` to `last` of the matrix of a table."""
    step = matrix.steps[0][1] if matrix.steps else matrix.cols
    rows = int(last - first) + 1
    steps = ((rows, step),) if matrix.steps else ()
    return replace(matrix, rows=rows, first=matrix.first + int(first) * step, steps=steps)


def _keys(pair: Pair) -> Row:
    base, other = pair.base, pair.other
    role = pair.either.tensor.role
    return {
        "param_name": base.tensor.name if base else None,
        "slice": base.matrix.slice if base else None,
        "other_name": other.tensor.name if other else None,
        "other_slice": other.matrix.slice if other else None,
        "component": role.component,
        "layer_index": role.layer_index,
        "block_type": role.block_type,
        "projection": pair.either.projection or None,
        "role": role.role,
        "expert_index": pair.either.expert,
        "rows": base.matrix.rows if base else None,
        "cols": base.matrix.cols if base else None,
        "other_rows": other.matrix.rows if other else None,
        "other_cols": other.matrix.cols if other else None,
        "dtype": base.tensor.dtype if base else None,
        "other_dtype": other.tensor.dtype if other else None,
    }


def _line(pair: Pair, copied: Mapping[str, str], found: Row | None) -> Row:
    is_copied = pair.other is not None and pair.other.is_whole
    return {
        "status": pair.status,
        "rule": pair.rule or None,
        "score": pair.score,
        **_keys(pair),
        "elements": found.get("elements", 0) if found else 0,
        "copy_of": copied.get(pair.other.tensor.name) if pair.other and is_copied else None,
        "note": pair.note or None,
    }
