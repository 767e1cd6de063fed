"""The rows of a model's token embedding, and the texts of their tokens, from its files."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from blockresearch.checkpoint.manifest import Manifest
from blockresearch.language.sentence import Sentence, say
from blockresearch.tokens.tokenizer import TokenizerError, Tokens, read_tokens
from blockresearch.tokens.vectors import Rows
from blockresearch.tokens.workers import SERIAL, Workers
from blockresearch.weights.layout import Matrix, whole
from blockresearch.weights.quantized.source import Contradiction
from blockresearch.weights.reading import TensorReader, blocks, open_tensor, panels
from blockresearch.weights.weight import weight_of

log = logging.getLogger(__name__)

CHUNK_BYTES = 16 * 1024**2

# The place of a file of the manifest on this machine.
PathOf = Callable[[str], Path]


def read_rows(
    manifest: Manifest, path_of: PathOf, workers: Workers = SERIAL
) -> tuple[Rows | None, str]:
    """The token embedding, [rows, dimensions]; (None, reason) where there is none.

    `path_of` gives the place of a file of the manifest on this machine.
    """
    table, reason = _find(manifest, path_of, "embedding")
    return (None, reason) if table is None else (table.read(workers), "")


def find_output(manifest: Manifest, path_of: PathOf, rows: int) -> tuple["StoredRows | None", str]:
    """The output layer, to be read as rows of tokens; (None, reason) where it is not one.

    `rows` is the number of rows of the embedding: what has fewer than half of them is a head over
    something else than tokens.
    """
    if manifest.tied:
        return None, say("The output layer is the token embedding itself (tied weights).")
    table, reason = _find(manifest, path_of, "output")
    if table is not None and 2 * table.matrix.rows < rows:
        return None, say(
            "The output layer has {rows} rows: it is no layer over tokens.", rows=table.matrix.rows
        )
    return table, reason


@dataclass(frozen=True)
class StoredRows:
    """A stored matrix whose rows are read as float32."""

    source: TensorReader
    matrix: Matrix

    def read(self, workers: Workers = SERIAL) -> Rows:
        """All rows [rows, cols]: 16-bit floats stay as stored, else float32.

        The `workers` log how far it is.
        """
        matrix, dtype = self.matrix, self.source.grid.dtype
        if dtype not in ("BF16", "F16"):
            rows = np.empty((matrix.rows, matrix.cols), np.float32)
            _fill(rows, panels(self.source, matrix, CHUNK_BYTES), workers)
            return Rows(rows)
        codes = np.empty((matrix.rows, matrix.cols), np.uint16)
        _fill(codes, blocks(self.source.grid, matrix, CHUNK_BYTES), workers)
        return Rows(codes, dtype)


def _fill(rows: np.ndarray, some: Iterator[np.ndarray], workers: Workers) -> None:
    done = 0
    for panel in some:
        rows[done : done + len(panel)] = panel
        done += len(panel)
        workers.report(f"rows read: {100 * done // len(rows)} %")


def _find(
    manifest: Manifest, path_of: PathOf, what: Literal["embedding", "output"]
) -> tuple[StoredRows | None, str]:
    tensor = manifest.by_name.get(getattr(manifest, what))
    if tensor is None:
        return None, say(
            "This model has no token embedding."
            if what == "embedding"
            else "This model has no output layer."
        )
    name, layout = tensor.name, tensor.layout
    if layout.kind != "matrix":
        return None, _not_read(what, name, layout.reason or layout.kind)
    weight = weight_of(tensor, layout, manifest.by_name)
    files = {shard: path_of(shard) for shard in {tensor.shard, *weight.other_shards}}
    try:
        source = open_tensor(files, weight)
    except Contradiction as error:
        return None, _not_read(what, name, error.rule)
    return StoredRows(source, whole(source.shape, layout)), ""


def read_row_tokens(manifest: Manifest, path_of: PathOf, rows: int) -> Tokens:
    """The token of each of `rows` rows, by the model's tokenizer.json.

    Without one, or with one that cannot be read (then a warning says so), the texts are empty.
    """
    tokenizer = next((path_of(file.path) for file in manifest.files_of("tokenizer")), None)
    if tokenizer is not None:
        log.info("reading the tokens of %s", tokenizer.name)
    try:
        return read_tokens(tokenizer, rows)
    except TokenizerError as error:
        log.warning("tokens are shown by their ids: %s", error)
        return read_tokens(None, rows)


def _not_read(what: str, name: str, reason: str) -> Sentence:
    return say(
        "The token embedding {name} is not read: {reason}."
        if what == "embedding"
        else "The output layer {name} is not read: {reason}.",
        name=name,
        reason=reason,
    )
