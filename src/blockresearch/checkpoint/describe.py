"""Describe a checkpoint: its files, its tensors, what each of them is and how it is read.

A checkpoint is a folder of safetensors files, local or a repository of the Hugging Face hub at one
commit; `selection` chooses its files. `describe_folder` and `describe_repo` read headers only and
return the manifest that every later step reads.

The headers are the truth; the index is checked against them. A tensor that several shards hold is
listed once, from the shard in the index. Without that its bytes must be the same everywhere.
"""

import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from blockresearch.checkpoint import model_card
from blockresearch.checkpoint.hashes import file_sha256
from blockresearch.checkpoint.manifest import (
    Manifest,
    Problem,
    SourceFile,
    Tensor,
    Totals,
)
from blockresearch.checkpoint.selection import (
    MAX_INDEX_BYTES,
    SUFFIX,
    CheckpointError,
    parse_index,
    select_files,
)
from blockresearch.hub.cache import cache_root, cached_file, opened_snapshot
from blockresearch.hub.names import is_folder
from blockresearch.hub.repository import (
    list_files,
    read_range,
    read_small_file,
    read_start,
    resolve_commit,
)
from blockresearch.hub.requests import HubError
from blockresearch.hub.transfer import RepoFile
from blockresearch.naming import roles as naming
from blockresearch.results import hub_name, local_name
from blockresearch.safetensors import json_text
from blockresearch.safetensors.dtypes import DTYPES
from blockresearch.safetensors.header import Header
from blockresearch.safetensors.reader import header_from, read_bytes, read_header
from blockresearch.text import quoted
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

SHA256 = re.compile("[0-9a-f]{64}")

MAX_CONFIG_BYTES = 16 * 1024**2

MAX_CONFIG_VALUES = 500_000

# Copies of a tensor are compared in pieces: those that differ do so early.
COMPARED_BYTES = 8 * 1024**2

# Further names of stored tensors in one header; a model ties a few, at most its layers.
MAX_ALIASES = 10_000

# Two requests for each of two hundred shards: nearly all the time is spent waiting.
HEADERS_AT_ONCE = 8


def describe_folder(
    folder: str | os.PathLike[str],
    created_at: str,
    hashed: bool = True,
    progress: Callable[[str], None] = lambda line: None,
    subfolder: str = "",
    variant: str | None = None,
    file: str | None = None,
) -> Manifest:
    """Manifest of a local folder; `hashed` adds the sha256 of every file.

    `subfolder`, `variant` and `file` choose among several sets of weights (see `selection`). The
    path of a weight file stands for its folder and that file. A folder of the hub's cache is its
    snapshot of main. Raises CheckpointError or SafetensorsError with a sentence for the user.
    """
    named = Path(folder)
    if file is None and named.suffix == SUFFIX and named.is_file():
        folder, file = named.parent, named.name
    if not Path(folder).is_dir():
        raise CheckpointError(
            f"{folder} is not a folder: give the folder with the .safetensors files."
        )
    root = opened_snapshot(Path(folder))
    inner = safe_subfolder(subfolder)
    names = {
        path.relative_to(root).as_posix()
        for pattern in ("*", "*/*", "*/*/*", *((f"{inner}/*", f"{inner}/*/*") if inner else ()))
        for path in root.glob(pattern)
        # A non-file with the name of a weight file is refused when it is opened.
        if path.is_file() or path.name.endswith((SUFFIX, ".json"))
    }

    mismatches: list[Problem] = []

    def regular(name: str) -> Path:
        path = root / name
        _refuse_outside(path, root)
        # Opening a FIFO blocks until someone writes to it.
        if not path.is_file():
            raise CheckpointError(f"{path} is not a regular file: put the model's file there.")
        return path

    def read(name: str, limit: int) -> bytes:
        path = regular(name)
        if path.stat().st_size > limit:
            raise CheckpointError(
                f"{path} is larger than {limit} bytes, which no such file is: put the right one "
                "there."
            )
        return path.read_bytes()

    def listed_file(name: str) -> RepoFile:
        path = regular(name)
        sha256 = file_sha256(path, progress) if hashed else None
        known = known_sha256(root, name)
        if sha256 and known and sha256 != known:
            mismatches.append(
                Problem(
                    "sha256_mismatch", name, f"its sha256 is {sha256}, on the hub it is {known}"
                )
            )
        return RepoFile(name, path.stat().st_size, sha256, None)

    path = str(folder if root == Path(folder) else root)
    origin = Origin(str(folder), None, path, None, None, created_at)
    name = local_name(Path(folder).resolve().name)

    def header(shard: str) -> Header:
        _refuse_outside(root / shard, root)
        return read_header(root / shard)

    def piece(shard: str, begin: int, end: int) -> bytes:
        return read_bytes(root / shard, begin, end).tobytes()

    choice = Choice(inner, variant, file)
    manifest = _describe(origin, names, read, listed_file, header, piece, str(folder), choice)
    return replace(manifest, problems=(*manifest.problems, *mismatches), name=name)


def known_sha256(root: Path, name: str) -> str | None:
    """The sha256 that the hub's client recorded for a file it downloaded, None without one.

    In its cache it is the name of the blob; in a plain folder it is the second line of
    .cache/huggingface/download/<name>.metadata.
    """
    real = (root / name).resolve()
    if real.parent.name == "blobs" and SHA256.fullmatch(real.name):
        return real.name
    try:
        record = root / ".cache/huggingface/download" / f"{name}.metadata"
        lines = record.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return None
    return lines[1] if len(lines) > 1 and SHA256.fullmatch(lines[1]) else None


def describe_repo(
    repo: str,
    revision: str,
    created_at: str,
    progress: Callable[[str], None] = lambda line: None,
    subfolder: str = "",
    variant: str | None = None,
    file: str | None = None,
) -> Manifest:
    """Manifest of a hub repository at the commit that `revision` names now.

    Reads the file list, config.json, the index and the shards' headers (ranged requests).
    Raises CheckpointError, SafetensorsError or hub.HubError with a sentence for the user.
    """
    commit, commit_date = resolve_commit(repo, revision)
    progress(f"{repo} at {revision} is commit {commit}")
    listed = {file.path: file for file in list_files(repo, commit)}

    def checked_file(name: str) -> RepoFile:
        if not (listed[name].sha256 or listed[name].git_sha1):
            raise CheckpointError(
                f"{repo}/{name}: neither the hub nor the cache has its hash, so it cannot be "
                "verified: unset HF_HUB_OFFLINE and HF_ENDPOINT, or name the folder itself."
            )
        return listed[name]

    def header(name: str) -> Header:
        shard = listed[name]
        cached = cached_file(repo, commit, shard)
        if cached:
            return read_header(cached)
        progress(f"reading the header of {shard.path}")
        return header_from(
            lambda count: read_start(repo, commit, shard, count),
            shard.size,
            f"{repo}/{shard.path}",
        )

    origin = Origin(repo, repo, repo, revision, commit, created_at)
    manifest = _describe(
        origin,
        listed,
        lambda name, limit: read_small_file(repo, commit, listed[name], limit),
        checked_file,
        header,
        lambda shard, begin, end: read_range(repo, commit, listed[shard], begin, end),
        f"{repo} at {revision}",
        Choice(safe_subfolder(subfolder), variant, file),
    )
    return replace(manifest, name=hub_name(repo, revision), commit_date=commit_date)


def safe_subfolder(subfolder: str) -> str:
    """A subfolder without outer slashes. Raises CheckpointError if it leads outside."""
    inner = subfolder.strip("/")
    if inner and not is_folder(inner):
        raise CheckpointError(f"{subfolder!r} is not a folder inside the model.")
    return inner


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


def _describe(
    origin: Origin,
    names: Iterable[str],
    read: Callable[[str, int], bytes],
    file: Callable[[str], RepoFile],
    header: Callable[[str], Header],
    piece: Callable[[str, int, int], bytes],
    where: str,
    choice: Choice,
) -> Manifest:
    names = set(names)
    subfolder = choice.subfolder
    weight_map: dict[str, str] = {}
    index_totals: dict[str, int] = {}

    def index_shards(index: str) -> list[str]:
        text = read(index, MAX_INDEX_BYTES)
        folder = index.rpartition("/")[0]
        named, totals = parse_index(text, f"{where}/{index}")
        for name, shard in named.items():
            weight_map[name] = f"{folder}/{shard}" if folder else shard
        index_totals.update(totals)
        return sorted(set(weight_map.values()))

    try:
        selection = select_files(names, index_shards, *choice)
    except CheckpointError as error:
        told = str(error)
        raise CheckpointError(told if told.startswith(where) else f"{where}: {told}") from error
    if selection.index is None:
        # The index that was read is of another set.
        weight_map.clear()
        index_totals.clear()

    def beside(name: str) -> str:
        """The file of that name in the subfolder, else at the root."""
        inner = f"{subfolder}/{name}" if subfolder else name
        return inner if inner in names else name

    config_name = beside(CONFIG) if beside(CONFIG) in names else beside(PARAMS)
    config = _config(read, config_name, where) if config_name in names else {}
    if config_name.endswith(PARAMS):
        config = {PARAMS_WORDS.get(key, key): value for key, value in config.items()}
    for name, method in FILES_BESIDE.items():
        if beside(name) in names:
            config = with_settings(config, _config(read, beside(name), where), method)
    adapter_name = beside(ADAPTER_CONFIG)
    is_adapter = adapter_name in names and any("adapter" in shard for shard in selection.shards)
    adapter = _config(read, adapter_name, where) if is_adapter else None
    roles = {
        "shard": selection.shards,
        "index": (selection.index,),
        "config": (config_name, adapter_name) if is_adapter else (config_name,),
        "tokenizer": (beside(TOKENIZER),),
    }
    # Headers first: an unsound shard is refused before gigabytes are hashed.
    headers = _headers(selection.shards, header)
    used = [(role, file(name)) for role, some in roles.items() for name in some if name in names]

    stored = [
        Stored(entry.name, shard, entry.dtype, tuple(entry.shape), entry.begin, entry.end)
        for shard, content in headers.items()
        for entry in content.tensors
    ]
    repeated = list(_repeated(stored, weight_map, piece, where))
    once = _each_once(stored, weight_map)
    signatures = [(tensor.name, tensor.shape, tensor.dtype) for tensor in once]
    metadata = {shard: content.metadata for shard, content in headers.items()}
    aliases = _aliases(metadata, {tensor.name: tensor for tensor in once})
    again = [(name, t.shape, t.dtype) for name, t in aliases.items()]
    roles_of = naming.classify([*signatures, *again], config)
    places = {tensor.name: (tensor.shard, tensor.begin, tensor.end) for tensor in once}
    layouts_of = layouts(signatures, roles_of, config, lambda name: piece(*places[name]))
    codes = {name for name, layout in layouts_of.items() if layout.is_encoded}
    adapted = recognize(once, roles_of, Statements(adapter, config, metadata), codes)
    tensors = tuple(
        Tensor(
            *(t.name, t.shard, t.dtype, t.shape, t.begin, t.end),
            roles_of[t.name],
            _with_note(layouts_of[t.name], adapted.notes.get(t.name)),
            adapted.changes.get(t.name),
        )
        for t in once
    )
    tables = naming.token_tables(
        signatures, roles_of, config, {name: t.name for name, t in aliases.items()}
    )
    card = beside(model_card.CARD)
    return Manifest(
        *origin,
        files=tuple(
            SourceFile(item.path, role, item.size, item.sha256, item.git_sha1)
            for role, item in used
        ),
        skipped=dict(sorted(selection.skipped.items())),
        tensors=tensors,
        problems=(
            *selection.problems,
            *repeated,
            *_disagreements(stored, weight_map, aliases),
            *_assumed_tie(tables),
        ),
        config=config,
        license=_license(read, card) if card in names else None,
        adapter=adapter,
        index=index_totals,
        embedding=tables.embedding,
        output=tables.output,
        tied=tables.tied,
        totals=_totals(tensors, tables.output if naming.states_tied(config) else None),
    )


def _aliases(
    metadata: Mapping[str, Mapping[str, str]], stored: Mapping[str, Stored]
) -> dict[str, Stored]:
    """Tensors that are stored under another name of the same shard.

    Of tensors that share memory `save_model` of safetensors stores one; the header's metadata
    gives its name for each of the others. Source: safetensors/torch.py.
    """
    return {
        name: stored[other]
        for shard, entries in metadata.items()
        for name, other in list(entries.items())[:MAX_ALIASES]
        if name not in stored and other in stored and stored[other].shard == shard
    }


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


def _each_once(stored: Sequence[Stored], weight_map: Mapping[str, str]) -> list[Stored]:
    """Tensors without duplicates: that of the shard in the index, else the first."""
    chosen: dict[str, Stored] = {}
    for tensor in stored:
        if tensor.name not in chosen or weight_map.get(tensor.name) == tensor.shard:
            chosen[tensor.name] = tensor
    return [tensor for tensor in stored if chosen[tensor.name] is tensor]


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


def _license(read: Callable[[str, int], bytes], card: str) -> str | None:
    """The license by the card; a card that cannot be read is ignored."""
    try:
        return model_card.stated_license(read(card, model_card.MAX_BYTES))
    except (CheckpointError, HubError, OSError):
        return None


def _config(read: Callable[[str, int], bytes], name: str, where: str) -> dict[str, Any]:
    text = read(name, MAX_CONFIG_BYTES)
    try:
        decoded = json_text.parse(text, MAX_CONFIG_BYTES, MAX_CONFIG_VALUES)
    except json_text.JsonError as error:
        raise CheckpointError(f"{where}/{name} is {error}: download it again.") from error
    if not isinstance(decoded, dict):
        raise CheckpointError(f"{where}/{name} is not a JSON object: download it again.")
    return decoded


def _repeated(
    tensors: Sequence[Stored],
    weight_map: Mapping[str, str],
    piece: Callable[[str, int, int], bytes],
    where: str,
) -> Iterator[Problem]:
    """Problems of tensors that several shards hold.

    Raises CheckpointError if the copies differ and the index places the tensor in none of them.
    """
    copies: dict[str, list[Stored]] = {}
    for tensor in tensors:
        copies.setdefault(tensor.name, []).append(tensor)
    for name, (first, *others) in copies.items():
        shards = [first.shard, *(other.shard for other in others)]
        if not others:
            continue
        if all(_is_copy(first, other, piece) for other in others):
            evidence = f"stored in {' and '.join(shards)} with the same bytes, read once"
            yield Problem("repeated_tensor", name, evidence)
        elif weight_map.get(name) in shards:
            evidence = (
                f"stored in {' and '.join(shards)} with different bytes; "
                f"{weight_map[name]} is read, as the index says"
            )
            yield Problem("duplicate_tensor", name, evidence)
        else:
            raise CheckpointError(
                f"{where}: the tensor {quoted(name)} is stored in {' and '.join(shards)} with "
                "different bytes, and no index says which one counts: remove the files of the "
                "other export, or choose one with file=NAME (scripts: --file NAME)."
            )


def _is_copy(one: Stored, other: Stored, piece: Callable[[str, int, int], bytes]) -> bool:
    """Whether two stored tensors have the same type, shape and bytes."""
    if (one.dtype, one.shape, one.nbytes) != (other.dtype, other.shape, other.nbytes):
        return False
    return all(
        piece(one.shard, one.begin + at, min(one.begin + at + COMPARED_BYTES, one.end))
        == piece(other.shard, other.begin + at, min(other.begin + at + COMPARED_BYTES, other.end))
        for at in range(0, one.nbytes, COMPARED_BYTES)
    )


def _disagreements(
    tensors: Sequence[Stored], weight_map: Mapping[str, str], aliases: Mapping[str, Stored]
) -> Iterator[Problem]:
    """Problems between headers and index."""
    if not weight_map:
        return
    homes: dict[str, list[str]] = {}
    for tensor in tensors:
        homes.setdefault(tensor.name, []).append(tensor.shard)
    for name, shard in weight_map.items():
        if name not in homes and name not in aliases:
            evidence = f"the index places it in {shard}, whose header does not list it"
            yield Problem("missing_tensor", name, evidence)
        elif name in homes and shard not in homes[name]:
            evidence = f"the index places it in {shard}, it is stored in {homes[name][0]}"
            yield Problem("misplaced_tensor", name, evidence)
    for name, shards in homes.items():
        if name not in weight_map:
            evidence = f"in the header of {shards[0]} but not in the index"
            yield Problem("unlisted_tensor", name, evidence)


def _refuse_outside(path: Path, root: Path) -> None:
    """A link in a model folder may lead inside the folder, into the user's hub cache, or from a
    snapshot in any such cache to the blobs of the same repository."""
    try:
        real, home = path.resolve(), root.resolve()
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{path} is a link that leads to itself: remove it.") from error
    allowed = [home, cache_root().resolve()]
    if home.parent.name == "snapshots":
        allowed.append(home.parent.parent / "blobs")
    if not any(real.is_relative_to(place) for place in allowed):
        raise CheckpointError(
            f"{path} is a link that leads out of the model folder to {real}: copy the file there."
        )
