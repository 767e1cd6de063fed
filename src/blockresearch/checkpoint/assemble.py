"""The manifest of a checkpoint whose files can be read: which they are, and what each tensor is.

`select_files` chooses the files; of the shards only headers are read, and of a few tensors the
bytes (shapes and states of quantization, copies in several shards).
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from blockresearch.checkpoint import model_card
from blockresearch.checkpoint.agreement import Piece, aliases_of, disagreements, each_once, repeated
from blockresearch.checkpoint.manifest import Manifest, Problem, SourceFile, Tensor, Totals
from blockresearch.checkpoint.selection import (
    MAX_INDEX_BYTES,
    CheckpointError,
    Selection,
    parse_index,
    select_files,
)
from blockresearch.hub.requests import HubError
from blockresearch.hub.transfer import RepoFile
from blockresearch.naming import roles as naming
from blockresearch.safetensors import json_text
from blockresearch.safetensors.dtypes import DTYPES
from blockresearch.safetensors.header import Header
from blockresearch.weights.adapters.recognize import recognize
from blockresearch.weights.adapters.scaling import Statements
from blockresearch.weights.layout import Layout, layouts
from blockresearch.weights.quantized.settings import FILES_BESIDE, with_settings
from blockresearch.weights.stored import Stored

TOKENIZER = "tokenizer.json"

CONFIG = "config.json"

ADAPTER_CONFIG = "adapter_config.json"

# Mistral's own layout has this instead of config.json, with other keys for the same values.
PARAMS = "params.json"

PARAMS_WORDS = {
    "dim": "hidden_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "n_kv_heads": "num_key_value_heads",
    "hidden_dim": "intermediate_size",
}

MAX_CONFIG_BYTES = 16 * 1024**2

MAX_CONFIG_VALUES = 500_000

# Two requests for each of two hundred shards: nearly all the time is spent waiting.
HEADERS_AT_ONCE = 8


class Choice(NamedTuple):
    """What the user says of the files: see `selection.select_files`."""

    subfolder: str
    variant: str | None
    file: str | None


class Origin(NamedTuple):
    """Where a checkpoint comes from: the first fields of its manifest."""

    model: str
    model_id: str | None
    model_path: str
    revision: str | None
    commit: str | None
    created_at: str


@dataclass(frozen=True)
class Source:
    """A folder or a repository, and how its files are read.

    origin   where it comes from
    where    its name in errors
    names    paths of its files
    read     returns the bytes of a small file, which may have so many at most
    file     returns size and hash of a file
    header   returns the header of a shard
    piece    returns the bytes of a shard from one offset to another
    """

    origin: Origin
    where: str
    names: Collection[str]
    read: Callable[[str, int], bytes]
    file: Callable[[str], RepoFile]
    header: Callable[[str], Header]
    piece: Piece

    def beside(self, subfolder: str, name: str) -> str:
        """The path of a file in the subfolder, else at the root."""
        inner = f"{subfolder}/{name}" if subfolder else name
        return inner if inner in self.names else name


class Index(NamedTuple):
    """What the index of the chosen set says: the shard of each tensor, and totals."""

    weight_map: Mapping[str, str]
    totals: Mapping[str, int]


class Configs(NamedTuple):
    """The configs of a checkpoint, and the paths of those that are used."""

    config: dict[str, Any]
    adapter: dict[str, Any] | None
    paths: tuple[str, ...]


def manifest_of(source: Source, choice: Choice) -> Manifest:
    """The manifest of a checkpoint.

    Raises CheckpointError, SafetensorsError or HubError with a sentence for the user.
    """
    selection, index = _select(source, choice)
    configs = _configs(source, choice.subfolder, selection.shards)
    config = configs.config
    # Headers first: an unsound shard is refused before gigabytes are hashed.
    headers = _headers(selection.shards, source.header)
    roles = {
        "shard": selection.shards,
        "index": (selection.index,) if selection.index else (),
        "config": configs.paths,
        "tokenizer": (source.beside(choice.subfolder, TOKENIZER),),
    }
    used = [(r, source.file(n)) for r, some in roles.items() for n in some if n in source.names]

    stored = [
        Stored(entry.name, shard, entry.dtype, tuple(entry.shape), entry.begin, entry.end)
        for shard, content in headers.items()
        for entry in content.tensors
    ]
    copies = list(repeated(stored, index.weight_map, source.piece, source.where))
    once = each_once(stored, index.weight_map)
    metadata = {shard: content.metadata for shard, content in headers.items()}
    aliases = aliases_of(metadata, {tensor.name: tensor for tensor in once})
    signatures = [(tensor.name, tensor.shape, tensor.dtype) for tensor in once]
    again = [(name, t.shape, t.dtype) for name, t in aliases.items()]
    roles_of = naming.classify([*signatures, *again], config)
    tables = naming.token_tables(
        signatures, roles_of, config, {name: t.name for name, t in aliases.items()}
    )
    said = Statements(configs.adapter, config, metadata)
    tensors = _tensors(once, roles_of, said, source.piece)
    return Manifest(
        *source.origin,
        files=tuple(
            SourceFile(item.path, role, item.size, item.sha256, item.git_sha1)
            for role, item in used
        ),
        skipped=dict(sorted(selection.skipped.items())),
        tensors=tensors,
        problems=(
            *selection.problems,
            *copies,
            *disagreements(stored, index.weight_map, aliases),
            *_assumed_tie(tables),
        ),
        config=config,
        license=_license(source, source.beside(choice.subfolder, model_card.CARD)),
        adapter=configs.adapter,
        index=index.totals,
        embedding=tables.embedding,
        output=tables.output,
        tied=tables.tied,
        totals=_totals(tensors, tables.output if naming.states_tied(config) else None),
    )


def _select(source: Source, choice: Choice) -> tuple[Selection, Index]:
    """The chosen files and what their index says; an index of another set says nothing."""
    weight_map: dict[str, str] = {}
    totals: dict[str, int] = {}

    def index_shards(index: str) -> list[str]:
        text = source.read(index, MAX_INDEX_BYTES)
        folder = index.rpartition("/")[0]
        named, stated = parse_index(text, f"{source.where}/{index}")
        for name, shard in named.items():
            weight_map[name] = f"{folder}/{shard}" if folder else shard
        totals.update(stated)
        return sorted(set(weight_map.values()))

    try:
        selection = select_files(source.names, index_shards, *choice)
    except CheckpointError as error:
        told, where = str(error), source.where
        raise CheckpointError(told if told.startswith(where) else f"{where}: {told}") from error
    return selection, Index(weight_map, totals) if selection.index else Index({}, {})


def _configs(source: Source, subfolder: str, shards: Sequence[str]) -> Configs:
    """config.json, with the settings of files beside it, and the config of an adapter."""
    names = source.names
    name = source.beside(subfolder, CONFIG)
    if name not in names:
        name = source.beside(subfolder, PARAMS)
    config = _config(source, name) if name in names else {}
    if name.endswith(PARAMS):
        config = {PARAMS_WORDS.get(key, key): value for key, value in config.items()}
    for file, method in FILES_BESIDE.items():
        settings = source.beside(subfolder, file)
        if settings in names:
            config = with_settings(config, _config(source, settings), method)
    adapter = source.beside(subfolder, ADAPTER_CONFIG)
    if adapter in names and any("adapter" in shard for shard in shards):
        return Configs(config, _config(source, adapter), (name, adapter))
    return Configs(config, None, (name,))


def _tensors(
    once: Sequence[Stored], roles: Mapping[str, naming.Role], said: Statements, piece: Piece
) -> tuple[Tensor, ...]:
    """The tensors, each with its role, its layout, and the change that it makes as a factor."""
    signatures = [(tensor.name, tensor.shape, tensor.dtype) for tensor in once]
    places = {tensor.name: (tensor.shard, tensor.begin, tensor.end) for tensor in once}
    found = layouts(signatures, roles, said.config, lambda name: piece(*places[name]))
    codes = {name for name, layout in found.items() if layout.is_encoded}
    adapted = recognize(once, roles, said, codes)
    return tuple(
        Tensor(
            *(t.name, t.shard, t.dtype, t.shape, t.begin, t.end),
            roles[t.name],
            _with_note(found[t.name], adapted.notes.get(t.name)),
            adapted.changes.get(t.name),
        )
        for t in once
    )


def _assumed_tie(tables: naming.TokenTables) -> Iterator[Problem]:
    if tables.assumed:
        evidence = (
            "read as the token embedding too: no other table is stored, config.json does not say "
            "whether they are tied, and models of this type tie them by default"
        )
        yield Problem("assumed_tie", str(tables.embedding), evidence)


def _with_note(layout: Layout, note: str | None) -> Layout:
    """A layout that also states what is not known about the change of a weight."""
    if note is None or not layout.is_measured:
        return layout
    return replace(layout, reason=f"{layout.reason}; {note}" if layout.reason else note)


def _headers(shards: Sequence[str], header: Callable[[str], Header]) -> dict[str, Header]:
    """The headers of all shards. Raises the error of the first one that cannot be read."""
    with ThreadPoolExecutor(HEADERS_AT_ONCE) as pool:
        waiting = [pool.submit(header, shard) for shard in shards]
        try:
            return {shard: one.result() for shard, one in zip(shards, waiting, strict=True)}
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _totals(tensors: Sequence[Tensor], tied: str | None) -> Totals:
    """Sums over a checkpoint; `tied` is a stored output layer that duplicates the embedding."""
    logical = parameters = 0
    for tensor in tensors:
        layout = tensor.layout
        if layout.kind == "companion":
            continue
        numel = math.prod(tensor.logical_shape)
        logical += numel
        is_code = layout.scheme is None and DTYPES[tensor.dtype].kind in ("int", "bool")
        if layout.kind != "buffer" and not is_code and tensor.name != tied:
            parameters += numel
    return Totals(
        tensors=len(tensors),
        bytes=sum(tensor.nbytes for tensor in tensors),
        stored=sum(tensor.numel for tensor in tensors),
        logical=logical,
        parameters=parameters,
    )


def _license(source: Source, card: str) -> str | None:
    """The license by the card; a card that cannot be read is ignored."""
    if card not in source.names:
        return None
    try:
        return model_card.stated_license(source.read(card, model_card.MAX_BYTES))
    except (CheckpointError, HubError, OSError):
        return None


def _config(source: Source, name: str) -> dict[str, Any]:
    text, path = source.read(name, MAX_CONFIG_BYTES), f"{source.where}/{name}"
    try:
        decoded = json_text.parse(text, MAX_CONFIG_BYTES, MAX_CONFIG_VALUES)
    except json_text.JsonError as error:
        raise CheckpointError(f"{path} is {error}: download it again.") from error
    if not isinstance(decoded, dict):
        raise CheckpointError(f"{path} is not a JSON object: download it again.")
    return decoded
