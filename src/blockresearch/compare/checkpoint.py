"""One side of a comparison: a checkpoint whose tensors are opened by name.

Its files are in place (`Checkpoint`), or they are borrowed for as long as they are read (`Lent`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from blockresearch.checkpoint.borrow import borrowed, shards_with
from blockresearch.checkpoint.describe import describe_folder
from blockresearch.checkpoint.manifest import Manifest
from blockresearch.tokens.tokenizer import Token, read_tokens
from blockresearch.weights.reading import TensorReader, open_tensor
from blockresearch.weights.weight import weight_of


class Source(Protocol):
    """What a checkpoint is read from.

    manifest      what it contains
    is_in_place   whether all of its shards are on this disk
    """

    @property
    def manifest(self) -> Manifest: ...

    @property
    def is_in_place(self) -> bool: ...

    def reading(self, names: Iterable[str]) -> AbstractContextManager["Checkpoint"]:
        """The checkpoint for as long as tensors of these names are read."""

    def reading_tokens(self) -> AbstractContextManager["Checkpoint"]:
        """The checkpoint for as long as its tokenizer is read."""


class Checkpoint:
    """A checkpoint whose tensors are opened by name; `files` are its files in place, by name."""

    def __init__(self, manifest: Manifest, files: Mapping[str, Path]):
        self.manifest, self.files = manifest, files
        self.is_in_place = True

    def reading(self, names: Iterable[str]) -> AbstractContextManager["Checkpoint"]:
        return nullcontext(self)

    def reading_tokens(self) -> AbstractContextManager["Checkpoint"]:
        return nullcontext(self)

    def open(self, name: str) -> TensorReader:
        """A reader of a tensor. Raises Contradiction if companions contradict its scheme."""
        tensor = self.manifest.by_name[name]
        return open_tensor(self.files, weight_of(tensor, tensor.layout, self.manifest.by_name))

    @property
    def tokenizer(self) -> Path | None:
        """The file of the tokenizer, if there is one."""
        file = next(iter(self.manifest.files_of("tokenizer")), None)
        return None if file is None else self.files[file.path]

    @property
    def vocabulary_rows(self) -> int:
        """Rows of the token embedding; 0 without one."""
        tensor = self.manifest.by_name.get(self.manifest.embedding or "")
        return tensor.logical_shape[0] if tensor else 0

    def tokens(self) -> Sequence[Token]:
        """The tokens of the rows of the embedding; without a tokenizer they have no text."""
        rows = self.vocabulary_rows
        return read_tokens(self.tokenizer, rows) if rows else []


@dataclass(frozen=True)
class Lent:
    """A checkpoint whose files are in place among `weights`, or downloaded to `folder` for as long
    as they are read: one reading at a time."""

    manifest: Manifest
    weights: str
    folder: Path

    @property
    def is_in_place(self) -> bool:
        places = [self.manifest.path_of(file.path, self.weights) for file in self.manifest.shards]
        return self.manifest.is_folder or all(map(Path.exists, places))

    @contextmanager
    def reading(self, names: Iterable[str]) -> Iterator[Checkpoint]:
        by_name = self.manifest.by_name
        weights = [weight_of(by_name[name], by_name[name].layout, by_name) for name in names]
        shards = shards_with(self.manifest, weights)
        with borrowed(self.manifest, shards, self.weights, self.folder) as files:
            yield Checkpoint(self.manifest, files)

    @contextmanager
    def reading_tokens(self) -> Iterator[Checkpoint]:
        files = self.manifest.files_of("tokenizer")
        with borrowed(self.manifest, files, self.weights, self.folder) as places:
            yield Checkpoint(self.manifest, places)


def local_checkpoint(folder: str, created_at: str, hashed: bool = False) -> Checkpoint:
    """The checkpoint in a local folder.

    Raises CheckpointError or SafetensorsError if the folder holds none that can be read.
    """
    manifest = describe_folder(folder, created_at, hashed)
    read = [*manifest.shards, *manifest.files_of("tokenizer")]
    return Checkpoint(manifest, {file.path: manifest.path_of(file.path, "") for file in read})
