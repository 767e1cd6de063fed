"""Choose the files of a folder or repository that are the model.

Repositories hold copies: the same weights in another layout (`consolidated*`, `original/`,
`metal/`), in other precisions (variants: `model.fp16.safetensors`), for other programs (`onnx/`),
of earlier steps (`checkpoint-*/`). One set is chosen in one folder, by default the root: the shards
of an index, else a numbered set, else a single file. The rest is listed with the reason.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from blockresearch.safetensors import json_text
from blockresearch.text import quoted

STEMS = ("model", "diffusion_pytorch_model", "pytorch_model", "adapter_model")

SUFFIX = ".safetensors"

# model-00001-of-00004.safetensors, model.fp16-00001-of-00002.safetensors (the variant stands
# before the number) and model.safetensors-00001-of-00163.safetensors
NUMBERED = re.compile(
    r"(?P<stem>.*?)(?P<variant>\.[A-Za-z0-9_]+)?(?P<join>-|_|\.safetensors-)"
    r"(?P<number>\d{1,6})-of-(?P<count>\d{1,6})\.safetensors"
)

# model_part_0.safetensors, 00000.safetensors: numbered without a total.
COUNTED = re.compile(r"(?P<stem>.*?)(?P<number>\d+)\.safetensors")

VARIANT = re.compile(r"(?P<stem>[^.]+)\.(?P<variant>[A-Za-z0-9_]+)\.safetensors")

INDEX = re.compile(r"(?P<stem>[^/]+?)\.safetensors\.index(?:\.(?P<variant>[A-Za-z0-9_]+))?\.json")

# Copies of the same weights in another layout, next to the set that config.json describes.
COPIES = re.compile(r"consolidated.*\.safetensors")

MAX_INDEX_BYTES = 64 * 1024**2

MAX_INDEX_VALUES = 1_000_000

MAX_SHARDS = 5_000

OTHER_FORMATS = (".bin", ".gguf", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx")


class CheckpointError(ValueError):
    """There is no usable checkpoint; the message gives the problem and the remedy."""


@dataclass(frozen=True)
class Selection:
    """The model's files: the index if there is one, and the shards; and the files left out."""

    index: str | None
    shards: tuple[str, ...]
    skipped: dict[str, str]


def select_files(
    names: Iterable[str],
    index_shards: Callable[[str], list[str]],
    subfolder: str = "",
    variant: str | None = None,
) -> Selection:
    """Choose the model's files among `names` (relative paths).

    In `subfolder` (the root by default), in this order: the shards that an index names
    (`index_shards` gives their full paths), a complete numbered set, a single file of a known name,
    a lone safetensors file. Only files of `variant` count; without one, those without any, or of
    the only variant there is. Everything else that looks like weights is in `skipped` with the
    reason. Raises CheckpointError when there is no safetensors file there, a set is incomplete, or
    several could be meant.
    """
    names = sorted(names)
    folder = subfolder.strip("/") + "/" if subfolder.strip("/") else ""
    weights = [name for name in names if name.endswith(SUFFIX)]
    inside = {
        name.removeprefix(folder)
        for name in names
        if name.startswith(folder) and "/" not in name.removeprefix(folder)
    }
    index = _index(inside, variant)
    if index:
        shards = index_shards(folder + index)
        missing = [shard for shard in shards if shard not in weights]
        if missing:
            raise CheckpointError(
                f"The index {folder + index} names {len(missing)} file(s) that are not there, e.g. "
                f"{missing[0]}: the checkpoint is incomplete; download it again."
            )
    else:
        files = sorted(name for name in inside if name.endswith(SUFFIX))
        shards = [folder + name for name in _without_index(files, inside, variant, folder)]
    # The name becomes that of a downloaded file, and a numbered or lone file is not in an index.
    odd = next((s for s in shards if not safe_shard_name(s.removeprefix(folder))), None)
    if odd is not None:
        raise CheckpointError(
            f"The weights have the file name {quoted(odd)}: rename it to letters, "
            "digits and ._+=@()[]- of ASCII."
        )
    skipped = {name: _why_skipped(name, folder) for name in weights if name not in shards}
    return Selection(folder + index if index else None, tuple(shards), skipped)


def _why_skipped(name: str, folder: str) -> str:
    inner = PurePosixPath(name).name
    if COPIES.fullmatch(inner):
        return "a copy of the weights in another layout"
    if not name.startswith(folder):
        return "outside the chosen subfolder"
    if "/" in name.removeprefix(folder):
        return "in a subfolder"
    return "a variant" if variant_of(inner) else "not part of the chosen set"


def variant_of(name: str) -> str | None:
    """The variant in a file name: fp16 for model.fp16-00001-of-00002.safetensors."""
    numbered = NUMBERED.fullmatch(name)
    if numbered:
        return (numbered["variant"] or "").removeprefix(".") or None
    match = VARIANT.fullmatch(name)
    return match["variant"] if match and match["stem"] in STEMS else None


def _index(inside: set[str], variant: str | None) -> str | None:
    found: dict[str | None, list[str]] = {}
    for name in sorted(inside):
        match = INDEX.fullmatch(name)
        if match and match["stem"] in STEMS:
            found.setdefault(match["variant"], []).append(name)
    if variant is None and None not in found and len(found) == 1:
        # The only index is a variant's; it counts unless there are files without variant.
        plain = [
            name
            for name in inside
            if name.endswith(SUFFIX) and variant_of(name) is None and not COPIES.fullmatch(name)
        ]
        variant = None if plain else next(iter(found))
    names = found.get(variant, [])
    return min(names, key=lambda name: STEMS.index(name.partition(".")[0]), default=None)


def _without_index(
    at_place: list[str], inside: set[str], variant: str | None, folder: str
) -> list[str]:
    own = [name for name in at_place if not COPIES.fullmatch(name)] or at_place
    variants = {variant_of(name) for name in own}
    if variant is None and None not in variants and len(variants) == 1:
        variant = next(iter(variants))
    if variant is None and own and None not in variants:
        known = ", ".join(sorted(filter(None, variants)))
        raise CheckpointError(f"There are several variants here ({known}): choose --variant.")
    if variant is not None and variant not in variants and own:
        known = ", ".join(sorted(filter(None, variants))) or "none"
        raise CheckpointError(f"There is no variant {variant} here (there is: {known}).")
    own = [name for name in own if variant_of(name) == variant]
    numbered = [match for name in own if (match := NUMBERED.fullmatch(name))]
    if numbered:
        return _whole_set(numbered, own)
    singles = [stem + (f".{variant}" if variant else "") + SUFFIX for stem in STEMS]
    single = next((name for name in singles if name in own), None)
    if single:
        return [single]
    if len(own) == 1:
        return own
    counted = _counted(own)
    if counted:
        return counted
    if own:
        raise CheckpointError(
            f"There are {len(own)} safetensors files and no index that lists those of the model "
            f"(e.g. {own[0]}, {own[1]}): keep one, or add model.safetensors.index.json."
        )
    others = sorted({Path(name).suffix for name in inside if name.endswith(OTHER_FORMATS)})
    found = f"only {', '.join(others)} files" if others else "no weight files"
    place = f" in {folder}" if folder else ""
    raise CheckpointError(
        f"There is no safetensors file here{place} ({found}): safetensors is the supported format; "
        "for a hub model look for a conversion under its pull requests (--revision refs/pr/N), "
        "else convert the model with transformers' save_pretrained; for one of several models in "
        "a repository name its folder (--subfolder)."
    )


def _whole_set(numbered: list[re.Match[str]], own: list[str]) -> list[str]:
    """All files of the first numbered set, in the order of usual stems."""

    def rank(match: re.Match[str]) -> tuple[int, str]:
        stem = match["stem"]
        return STEMS.index(stem) if stem in STEMS else len(STEMS), match.string

    chosen = min(numbered, key=rank)
    count, digits = int(chosen["count"]), len(chosen["number"])
    before = chosen.string[: chosen.start("number")]
    after = chosen.string[chosen.end("number") :]
    present = set(own)
    first = 0 if f"{before}{0:0{digits}d}{after}" in present else 1
    if not 0 < count <= 100_000:
        raise CheckpointError(f"{chosen.string} is one of {count} shards: not a usable number.")
    wanted = [f"{before}{n:0{digits}d}{after}" for n in range(first, first + count)]
    missing = [name for name in wanted if name not in present]
    if missing:
        raise CheckpointError(
            f"{len(missing)} of {count} shards are missing, e.g. {missing[0]}: the checkpoint "
            "is incomplete; download it again."
        )
    return wanted


def _counted(own: list[str]) -> list[str]:
    """All files, if they are one series numbered from 0 or 1 without a gap."""
    matches = [COUNTED.fullmatch(name) for name in own]
    if any(match is None for match in matches):
        return []
    found = [match for match in matches if match]
    numbers = sorted(int(match["number"]) for match in found)
    complete = numbers in (list(range(len(own))), list(range(1, len(own) + 1)))
    one_series = len({match["stem"] for match in found}) == 1
    if not (complete and one_series):
        return []
    return [match.string for match in sorted(found, key=lambda match: int(match["number"]))]


def parse_index(text: bytes, where: str) -> tuple[dict[str, str], dict[str, int]]:
    """The weight_map of an index (tensor name -> shard path) and its totals.

    A shard path must be relative, stay inside and end in .safetensors (`safe_shard_name`).
    total_size (bytes) and total_parameters are returned if they are plausible. Raises
    CheckpointError if the index is not usable.
    """
    try:
        decoded = json_text.parse(text, MAX_INDEX_BYTES, MAX_INDEX_VALUES, strict=True)
    except json_text.JsonError as error:
        raise CheckpointError(f"{where} is {error}: download it again.") from error
    weight_map = decoded.get("weight_map") if isinstance(decoded, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{where} has no weight_map: download it again.")
    for shard in weight_map.values():
        if not isinstance(shard, str) or not safe_shard_name(shard):
            raise CheckpointError(
                f"{where} names the shard {quoted(shard)}, which is not a plain relative "
                "path to a .safetensors file: the repository is damaged or hostile."
            )
    shards = set(weight_map.values())
    if len(shards) > MAX_SHARDS or len(shards) > len(set(map(str.casefold, shards))):
        raise CheckpointError(
            f"{where} names {len(shards)} shards, more than {MAX_SHARDS} or two that differ in "
            "upper and lower case alone: the repository is damaged or hostile."
        )
    return weight_map, _index_totals(decoded.get("metadata"))


def _index_totals(metadata: Any) -> dict[str, int]:
    metadata = metadata if isinstance(metadata, dict) else {}
    found = {}
    for key in ("total_size", "total_parameters"):
        value = metadata.get(key)
        # Some writers store a float.
        if not isinstance(value, bool) and isinstance(value, int | float) and 0 <= value < 2**63:
            found[key] = int(value)
    return found


def safe_shard_name(name: str) -> bool:
    """Whether a shard path from a repository may be opened: relative, inside, ASCII-printable."""
    parts = name.split("/")
    return (
        bool(re.fullmatch(r"[A-Za-z0-9._ +=@()\[\]/-]{1,255}", name))
        and all(part and part not in (".", "..") and not part.startswith("-") for part in parts)
        and name.endswith(".safetensors")
    )
