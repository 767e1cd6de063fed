"""What a checkpoint is: its files, its tensors and where they lie, as one manifest.

A checkpoint is a folder of safetensors files, local or a repository of the Hugging Face hub at one
commit. `describe_folder` and `describe_repo` read headers only and return the manifest, a plain
JSON value that every later step reads instead of looking again:

    model, model_id, model_path, revision, commit, created_at
    files      those that are used: path, role (shard, index, config or tokenizer), size, and the
               hash that is known, sha256 or git_sha1
    skipped    weight files that are left alone: path, reason
    tensors    name, dtype, shape, shard, begin, end (bytes of the file)
    problems   where index and headers disagree: check, where, evidence
    config     the model's config.json (an empty object when there is none)
    embedding, output, tied    names of the token embedding and of the output layer; tied: the
                               output layer is the embedding
    totals     tensors, parameters, bytes

The headers are the truth; the index is checked against them.
"""

import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workflow.lib import hub, naming
from workflow.lib.hub import RepoFile
from workflow.lib.safetensors_file import Header, header_length, parse_header, read_header

INDEX_NAMES = (
    "model.safetensors.index.json",
    "diffusion_pytorch_model.safetensors.index.json",
    "pytorch_model.safetensors.index.json",
    "adapter_model.safetensors.index.json",
)
SINGLE_NAMES = (
    "model.safetensors",
    "diffusion_pytorch_model.safetensors",
    "pytorch_model.safetensors",
    "adapter_model.safetensors",
)
NUMBERED = re.compile(r"(?P<stem>.*?)-(?P<number>\d{5})-of-(?P<count>\d{5})\.safetensors")
# Copies of the same weights in another layout, beside the set that config.json describes.
COPIES = re.compile(r"consolidated.*\.safetensors")
OTHER_FORMATS = (".bin", ".gguf", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx")
TOKENIZER = "tokenizer.json"
CONFIG = "config.json"
MAX_JSON_BYTES = 64 * 1024 * 1024


class CheckpointError(ValueError):
    """No usable checkpoint here; the message says what is wrong and what to do."""


@dataclass(frozen=True)
class Selection:
    """Which files are the model: the index if there is one, the shards, and what is left alone."""

    index: str | None
    shards: tuple[str, ...]
    skipped: dict[str, str]


def select_files(names: Iterable[str], index_shards: Callable[[str], list[str]]) -> Selection:
    """Choose the model's files among `names` (relative paths).

    In order: the shards that an index at the root names (`index_shards` reads it), a complete
    numbered set, a single file of a known name, a lone safetensors file. Everything else that
    looks like weights is listed in `skipped` with the reason. Raises CheckpointError when there is
    no safetensors file at the root, or a numbered set is incomplete.
    """
    names = sorted(names)
    weights = [name for name in names if name.endswith(".safetensors")]
    at_root = [name for name in weights if "/" not in name]
    index = next((name for name in INDEX_NAMES if name in names), None)
    if index:
        shards = index_shards(index)
        missing = [shard for shard in shards if shard not in weights]
        if missing:
            raise CheckpointError(
                f"The index {index} names {len(missing)} file(s) that are not there, e.g. "
                f"{missing[0]}: the checkpoint is incomplete; download it again."
            )
    else:
        shards = _without_index(at_root, names)
    skipped = {
        name: "a copy of the weights in another layout"
        if COPIES.fullmatch(name)
        else "in a subfolder"
        if "/" in name
        else "not part of the chosen set"
        for name in weights
        if name not in shards
    }
    return Selection(index, tuple(shards), skipped)


def _without_index(at_root: list[str], names: list[str]) -> list[str]:
    own = [name for name in at_root if not COPIES.fullmatch(name)] or at_root
    single = next((name for name in SINGLE_NAMES if name in own), None)
    numbered = {name: match for name in own if (match := NUMBERED.fullmatch(name))}
    if numbered:
        first = min(numbered)
        stem, count = numbered[first]["stem"], int(numbered[first]["count"])
        wanted = [
            f"{stem}-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)
        ]
        missing = [name for name in wanted if name not in own]
        if missing:
            raise CheckpointError(
                f"{len(missing)} of {count} shards are missing, e.g. {missing[0]}: the checkpoint "
                "is incomplete; download it again."
            )
        return wanted
    if single:
        return [single]
    if len(own) == 1:
        return own
    if own:
        raise CheckpointError(
            f"There are {len(own)} safetensors files and no index that says which are the model "
            f"(e.g. {own[0]}, {own[1]}): keep one, or add model.safetensors.index.json."
        )
    others = sorted({Path(name).suffix for name in names if name.endswith(OTHER_FORMATS)})
    found = f"only {', '.join(others)} files" if others else "no weight files"
    raise CheckpointError(
        f"There is no safetensors file here ({found}): safetensors is the supported format; for a "
        "hub model look for a conversion under its pull requests (--revision refs/pr/N), else "
        "convert the model with transformers' save_pretrained."
    )


def parse_index(text: bytes, where: str) -> dict[str, str]:
    """The weight_map of an index: tensor name -> shard path, both checked.

    A shard name must be a relative path without `..` that ends in .safetensors.
    """
    try:
        decoded = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{where} is not valid JSON: download it again.") from error
    weight_map = decoded.get("weight_map") if isinstance(decoded, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{where} has no weight_map: download it again.")
    for shard in set(map(str, weight_map.values())):
        if not safe_shard_name(shard):
            raise CheckpointError(
                f"{where} names the shard {json.dumps(shard)[:120]}, which is not a plain relative "
                "path to a .safetensors file: the repository is damaged or hostile."
            )
    return {str(name): str(shard) for name, shard in weight_map.items()}


def safe_shard_name(name: str) -> bool:
    """Whether a shard path from a repository may be opened: relative, inside, ASCII-printable."""
    parts = name.split("/")
    return (
        bool(re.fullmatch(r"[A-Za-z0-9._ +=@()\[\]/-]{1,255}", name))
        and all(part and part not in (".", "..") and not part.startswith("-") for part in parts)
        and name.endswith(".safetensors")
    )


def describe_folder(
    folder: str | os.PathLike[str],
    created_at: str,
    hashed: bool = True,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Manifest of a local folder; `hashed` reads every shard once for its sha256.

    Raises CheckpointError or SafetensorsError with a sentence for the user.
    """
    root = Path(folder)
    if not root.is_dir():
        raise CheckpointError(
            f"{folder} is not a folder: give the folder that holds the .safetensors files."
        )
    names = [
        path.relative_to(root).as_posix()
        for pattern in ("*", "*/*")
        for path in root.glob(pattern)
        if path.is_file()
    ]

    def read(name: str) -> bytes:
        path = root / name
        if path.stat().st_size > MAX_JSON_BYTES:
            raise CheckpointError(f"{path} is larger than {MAX_JSON_BYTES} bytes: not read.")
        return path.read_bytes()

    def file(name: str) -> RepoFile:
        path = root / name
        _refuse_outside(path, root)
        if hashed:
            progress(f"hashing {name} ({path.stat().st_size / 1e6:,.0f} MB)")
        sha256 = file_sha256(path) if hashed else None
        return RepoFile(name, path.stat().st_size, sha256, None)

    origin = {
        "model": str(folder),
        "model_id": None,
        "model_path": str(folder),
        "revision": None,
        "commit": None,
        "created_at": created_at,
    }
    return _describe(
        origin, names, read, file, lambda shard: read_header(root / shard.path), str(folder)
    )


def describe_repo(
    repo: str, revision: str, created_at: str, progress: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Manifest of a hub repository at the commit that `revision` names now.

    Reads the file list, config.json, the index and the shards' headers (ranged requests).
    Raises CheckpointError, SafetensorsError or hub.HubError with a sentence for the user.
    """
    commit = hub.resolve_commit(repo, revision)
    progress(f"{repo} at {revision} is commit {commit}")
    listed = {file.path: file for file in hub.list_files(repo, commit)}

    def file(name: str) -> RepoFile:
        if not (listed[name].sha256 or listed[name].git_sha1):
            raise CheckpointError(
                f"{repo}/{name}: neither the hub nor the cache tells its hash, so it cannot be "
                "verified: unset HF_HUB_OFFLINE and HF_ENDPOINT, or name the folder itself."
            )
        return listed[name]

    def header(shard: RepoFile) -> Header:
        cached = hub.cached_file(repo, commit, shard)
        if cached:
            return read_header(cached)
        progress(f"reading the header of {shard.path}")
        where = f"{repo}/{shard.path}"
        start = hub.read_start(repo, commit, shard.path, min(shard.size, 32))
        length = header_length(start, shard.size, where)
        text = hub.read_start(repo, commit, shard.path, 8 + length)[8:]
        return parse_header(text, shard.size, where)

    origin = {
        "model": repo,
        "model_id": repo,
        "model_path": repo,
        "revision": revision,
        "commit": commit,
        "created_at": created_at,
    }
    return _describe(
        origin,
        listed,
        lambda name: hub.read_small_file(repo, commit, listed[name], MAX_JSON_BYTES),
        file,
        header,
        f"{repo} at {revision}",
    )


def still_the_same(manifest: dict[str, Any], earlier: str | os.PathLike[str]) -> dict[str, Any]:
    """`manifest` with the date of the file `earlier` when nothing but the date differs from it.

    So looking again at a model that has not changed rebuilds nothing.
    """
    try:
        known = json.loads(Path(earlier).read_text(encoding="utf-8"))
        date = known["created_at"]
    except (OSError, ValueError, KeyError, TypeError):
        return manifest
    dated = {**manifest, "created_at": date}
    return dated if dated == known else manifest


def file_sha256(path: str | os.PathLike[str]) -> str:
    """sha256 of a file's bytes, 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def used_files(manifest: Mapping[str, Any], role: str | None = None) -> list[RepoFile]:
    """Files of a manifest, all or those that play `role`: shard, index, config or tokenizer."""
    return [
        RepoFile(file["path"], file["size"], file["sha256"], file["git_sha1"])
        for file in manifest["files"]
        if role in (None, file["role"])
    ]


def shard_files(manifest: Mapping[str, Any]) -> list[RepoFile]:
    """The shards of a manifest, in order."""
    return used_files(manifest, "shard")


def content_key(file: RepoFile) -> str:
    """Name of the folder that holds a downloaded file: the first 12 hex digits of its hash."""
    return (file.sha256 or file.git_sha1 or "")[:12]


def _describe(
    origin: dict[str, Any],
    names: Iterable[str],
    read: Callable[[str], bytes],
    file: Callable[[str], RepoFile],
    header: Callable[[RepoFile], Header],
    where: str,
) -> dict[str, Any]:
    names = set(names)
    weight_map: dict[str, str] = {}

    def index_shards(index: str) -> list[str]:
        weight_map.update(parse_index(read(index), f"{where}/{index}"))
        return sorted(set(weight_map.values()))

    try:
        selection = select_files(names, index_shards)
    except CheckpointError as error:
        raise CheckpointError(f"{where}: {error}") from error
    config = _config(read(CONFIG), f"{where}/{CONFIG}") if CONFIG in names else {}
    roles = {"shard": selection.shards, "index": (selection.index,), "config": (CONFIG,)}
    roles["tokenizer"] = (TOKENIZER,)
    used = [(role, file(name)) for role, some in roles.items() for name in some if name in names]
    headers = {item.path: header(item) for role, item in used if role == "shard"}

    tensors: list[dict[str, Any]] = [
        {
            "name": entry.name,
            "dtype": entry.dtype,
            "shape": list(entry.shape),
            "shard": shard,
            "begin": entry.begin,
            "end": entry.end,
        }
        for shard, content in headers.items()
        for entry in content.tensors
    ]
    signatures = [(t["name"], tuple(t["shape"]), t["dtype"]) for t in tensors]
    naming_roles = naming.classify(signatures, config)
    embedding = naming.input_embedding(signatures, naming_roles, config)
    output = naming.output_head(signatures, naming_roles, config)
    return {
        **origin,
        "files": [{**asdict(item), "role": role} for role, item in used],
        "skipped": [
            {"path": path, "reason": reason} for path, reason in sorted(selection.skipped.items())
        ],
        "tensors": tensors,
        "problems": _disagreements(tensors, weight_map),
        "config": config,
        "embedding": embedding,
        "output": output,
        "tied": output is None if embedding else None,
        "totals": {
            "tensors": len(tensors),
            "parameters": sum(math.prod(t["shape"]) for t in tensors),
            "bytes": sum(t["end"] - t["begin"] for t in tensors),
        },
    }


def _config(text: bytes, where: str) -> dict[str, Any]:
    try:
        decoded = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{where} is not valid JSON: download it again.") from error
    if not isinstance(decoded, dict):
        raise CheckpointError(f"{where} is not a JSON object: download it again.")
    return decoded


def _disagreements(tensors: list[dict[str, Any]], weight_map: dict[str, str]) -> list[dict]:
    """Problems between headers and index, each with check, where and evidence."""
    homes: dict[str, list[str]] = {}
    for tensor in tensors:
        homes.setdefault(tensor["name"], []).append(tensor["shard"])
    problems = [
        {"check": "duplicate_tensor", "where": name, "evidence": f"stored in {', '.join(shards)}"}
        for name, shards in homes.items()
        if len(shards) > 1
    ]
    if weight_map:
        problems += [
            {
                "check": "missing_tensor",
                "where": name,
                "evidence": f"the index places it in {shard}, whose header lacks it",
            }
            for name, shard in weight_map.items()
            if shard not in homes.get(name, ())
        ]
        problems += [
            {
                "check": "unlisted_tensor",
                "where": name,
                "evidence": f"in the header of {shards[0]} but not in the index",
            }
            for name, shards in homes.items()
            if name not in weight_map
        ]
    return problems


def _refuse_outside(path: Path, root: Path) -> None:
    """A link in a model folder may lead inside the folder or into the user's hub cache only."""
    real = path.resolve()
    if real.is_relative_to(root.resolve()) or real.is_relative_to(hub.cache_root().resolve()):
        return
    raise CheckpointError(
        f"{path} is a link that leads out of the model folder to {real}: copy the file there."
    )
