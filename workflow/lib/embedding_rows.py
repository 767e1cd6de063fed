"""The rows of a model's token embedding, and the texts of their tokens, from its files."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from workflow.lib import matrices
from workflow.lib.checkpoint import used_files
from workflow.lib.measure import opened, panels
from workflow.lib.plan import entry, shards_read, tensor_layouts
from workflow.lib.tokens import Token, TokenizerError, read_tokens

log = logging.getLogger(__name__)

CHUNK_BYTES = 16 * 1024**2


def read_rows(
    manifest: Mapping[str, Any], path_of: Callable[[str], str]
) -> tuple[np.ndarray | None, str]:
    """The token embedding as float32 [rows, dimensions]; (None, reason) where there is none.

    `path_of` gives the place of a file of the manifest on this machine.
    """
    name = manifest["embedding"]
    tensor = next((tensor for tensor in manifest["tensors"] if tensor["name"] == name), None)
    if tensor is None:
        return None, "this model has no token embedding"
    layout = tensor_layouts(manifest)[name]
    if layout.kind != "matrix":
        return None, f"the token embedding {name} is not read: {layout.reason or layout.kind}"
    by_name = {tensor["name"]: tensor for tensor in manifest["tensors"]}
    planned = {**entry(tensor, layout, by_name), "shard": tensor["shard"]}
    files = {shard: Path(path_of(shard)) for shard in {tensor["shard"], *shards_read(planned)}}
    source = opened(files, planned)
    matrix = matrices.whole(source.shape, planned)
    rows = np.empty((matrix.rows, matrix.cols), np.float32)
    done = 0
    for panel in panels(source, matrix, CHUNK_BYTES):
        rows[done : done + len(panel)] = panel
        done += len(panel)
    return rows, ""


def read_row_tokens(
    manifest: Mapping[str, Any], path_of: Callable[[str], str], rows: int
) -> list[Token]:
    """The token of each of `rows` rows, by the model's tokenizer.json.

    Without one, or with one that cannot be read (then a warning says so), the texts are empty.
    """
    tokenizer = next((Path(path_of(file.path)) for file in used_files(manifest, "tokenizer")), None)
    try:
        return read_tokens(tokenizer, rows)
    except TokenizerError as error:
        log.warning("tokens are shown by their ids: %s", error)
        return read_tokens(None, rows)
