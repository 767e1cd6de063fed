"""One side of a comparison: a checkpoint whose tensors are opened by name."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from blockresearch.checkpoint.describe import describe_folder
from blockresearch.checkpoint.manifest import Manifest
from blockresearch.measurement.part import content_hash
from blockresearch.model_config import ModelConfig
from blockresearch.tokens.tokenizer import Token, read_tokens
from blockresearch.weights.quantized.source import Contradiction
from blockresearch.weights.reading import TensorReader, open_tensor
from blockresearch.weights.weight import weight_of

log = logging.getLogger(__name__)

CHUNK_BYTES = 32 * 1024**2


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

    def heads(self) -> tuple[int, int, int] | None:
        """Query heads, key-value heads and rows of a head, as the config states them."""
        return ModelConfig(self.manifest.config).heads

    def tokens(self) -> Sequence[Token]:
        """The tokens of the rows of the embedding; without a tokenizer they have no text."""
        embedding = self.manifest.embedding
        if embedding is None or embedding not in self.manifest.by_name:
            return []
        file = next(iter(self.manifest.files_of("tokenizer")), None)
        path = None if file is None else self.files[file.path]
        return read_tokens(path, self.manifest.by_name[embedding].logical_shape[0])


def local_checkpoint(folder: str, created_at: str, hashed: bool = False) -> Checkpoint:
    """The checkpoint in a local folder.

    Raises CheckpointError or SafetensorsError if the folder holds none that can be read.
    """
    manifest = describe_folder(folder, created_at, hashed)
    read = [*manifest.shards, *manifest.files_of("tokenizer")]
    return Checkpoint(manifest, {file.path: manifest.path_of(file.path, "") for file in read})
