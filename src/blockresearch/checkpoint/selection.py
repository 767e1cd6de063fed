"""Choose the files of a folder or repository that are the model.

Repositories hold copies: the same weights in another layout (`consolidated*`, `original/`,
`metal/`), in other precisions (variants: `model.fp16.safetensors`), for other programs (`onnx/`),
of earlier steps (`checkpoint-*/`). One set is chosen in one folder, by default the root: the shards
of an index, else a numbered set, else a single file. The rest is listed with the reason.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from blockresearch.checkpoint.manifest import Problem
from blockresearch.safetensors import json_text
from blockresearch.text import quoted

STEMS = ("model", "diffusion_pytorch_model", "pytorch_model", "adapter_model", "adapters")

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

NOT_CHOSEN = "not part of the chosen set"

NAMED = 8

OTHER_FORMATS = (".bin", ".gguf", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx")


class CheckpointError(ValueError):
    """There is no usable checkpoint; the message gives the problem and the remedy."""


@dataclass(frozen=True)
class Selection:
    """The model's files: the index if there is one, and the shards; and the files left out.

    `problems` name each decision against a file that is there.
    """

    index: str | None
    shards: tuple[str, ...]
    skipped: dict[str, str]
    problems: tuple[Problem, ...] = ()


def select_files(
    names: Iterable[str],
    index_shards: Callable[[str], list[str]],
    subfolder: str = "",
    variant: str | None = None,
    file: str | None = None,
) -> Selection:
    """Choose the model's files among `names` (relative paths).

    In `subfolder` (the root by default), in this order: the shards that an index names
    (`index_shards` gives their full paths), a complete numbered set, a single file of a known name,
    a lone safetensors file. Only files of `variant` count; without one, those without any, or of
    the only variant there is. `file` names the weights or the index to take instead. An index whose
    shards are missing gives way to a complete set of the same name. Everything else that looks like
    weights is in `skipped` with the reason. Raises CheckpointError when there is no safetensors
    file there, a set is incomplete, or several could be meant.
    """
    names = sorted(names)
    folder = subfolder.strip("/") + "/" if subfolder.strip("/") else ""
    weights = [name for name in names if name.endswith(SUFFIX)]
    inside = {
        name.removeprefix(folder)
        for name in names
        if name.startswith(folder) and "/" not in name.removeprefix(folder)
    }
    files = sorted(name for name in inside if name.endswith(SUFFIX))
    problems: list[Problem] = []
    index = _index(inside, variant)
    if file is not None:
        index = _asked_for(file, names, folder)
    if index:
        shards = index_shards(folder + index)
        missing = [shard for shard in shards if shard not in weights]
        if missing:
            complete = [] if file else _beside_index(index, files)
            problems.append(_stale(folder + index, missing, complete, files))
            index, shards = None, [folder + name for name in complete]
    elif file is not None:
        shards = [folder + file]
    else:
        shards = [folder + name for name in _without_index(files, names, variant, folder)]
    # The name becomes that of a downloaded file, and a numbered or lone file is not in an index.
    odd = next((s for s in shards if not safe_shard_name(s.removeprefix(folder))), None)
    if odd is not None:
        raise CheckpointError(
            f"The weights have the file name {quoted(odd)}: rename it to letters, "
            "digits and ._+=@()[]- of ASCII."
        )
    skipped = {name: _why_skipped(name, folder) for name in weights if name not in shards}
    others = [name for name, why in skipped.items() if why == NOT_CHOSEN]
    if others and file is None:
        how = f"file={others[0].removeprefix(folder)} chooses it"
        evidence = f"{_named(others)} left alone, {shards[0]} is read: {how}"
        problems.append(Problem("other_weights", others[0], evidence))
    problems += _of_a_larger_set(shards)
    return Selection(folder + index if index else None, tuple(shards), skipped, tuple(problems))


def _asked_for(file: str, names: list[str], folder: str) -> str | None:
    """`file` if it is an index, None if it holds weights; CheckpointError if it is not there."""
    if folder + file in names and INDEX.fullmatch(PurePosixPath(file).name):
        return file
    if folder + file in names and file.endswith(SUFFIX):
        return None
    known = [name.removeprefix(folder) for name in names if name.endswith(SUFFIX)]
    raise CheckpointError(
        f"There is no file {quoted(file)} of weights here: choose one of {_named(known)}."
        if known
        else f"There is no file {quoted(file)} of weights here, nor any other."
    )


def _beside_index(index: str, files: list[str]) -> list[str]:
    """The complete set of files that has the name of an index whose own shards are missing."""
    match = INDEX.fullmatch(index)
    stem, variant = (match["stem"], match["variant"]) if match else ("", None)
    single = stem + (f".{variant}" if variant else "") + SUFFIX
    numbered = [name for name in files if (m := NUMBERED.fullmatch(name)) and m["stem"] == stem]
    complete, _ = _numbered_sets([name for name in numbered if variant_of(name) == variant])
    return complete[0] if complete else [single] if single in files else []


def _stale(index: str, missing: list[str], complete: list[str], files: list[str]) -> Problem:
    """That an index is not of the set that is read. Raises CheckpointError if there is none."""
    absent = f"The index {index} names {len(missing)} file(s) that are not there, e.g. {missing[0]}"
    if not complete:
        if not files:
            raise CheckpointError(f"{absent}: the checkpoint is incomplete; download it again.")
        raise CheckpointError(
            f"{absent}: the checkpoint is incomplete (here: {_named(files)}), or the index is of "
            f"another one; download the missing files, or choose one with file={files[0]} "
            f"(scripts: --file {files[0]})."
        )
    size = "the single file" if len(complete) == 1 else f"the complete set of {len(complete)},"
    return Problem("stale_index", index, f"{absent}; {size} {_named(complete)} is read instead")


def _of_a_larger_set(shards: list[str]) -> list[Problem]:
    """Shards whose names say that there are more of them than are read."""
    numbered = [match for shard in shards if (match := NUMBERED.fullmatch(shard))]
    sizes = Counter((match["stem"], match["variant"], match["count"]) for match in numbered)
    return [
        Problem(
            "incomplete_set",
            shards[0],
            f"by its name {stem}{variant or ''} has {int(count)} files, of which {found} are read",
        )
        for (stem, variant, count), found in sizes.items()
        if found < int(count)
    ]


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _why_skipped(name: str, folder: str) -> str:
    inner = PurePosixPath(name).name
    if COPIES.fullmatch(inner):
        return "a copy of the weights in another layout"
    if not name.startswith(folder):
        return "outside the chosen subfolder"
    if "/" in name.removeprefix(folder):
        return "in a subfolder"
    return "a variant" if variant_of(inner) else NOT_CHOSEN


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
    at_place: list[str], names: list[str], variant: str | None, folder: str
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
    complete, incomplete = _numbered_sets(own)
    if complete:
        return complete[0]
    singles = [stem + (f".{variant}" if variant else "") + SUFFIX for stem in STEMS]
    single = next((name for name in singles if name in own), None)
    if single:
        return [single]
    if incomplete:
        raise CheckpointError(incomplete[0])
    if len(own) == 1:
        return own
    counted = _counted(own)
    if counted:
        return counted
    if own:
        raise CheckpointError(
            f"There are {len(own)} safetensors files and no index that lists those of the model "
            f"({_named(own)}): choose one with file={own[0]} (scripts: --file {own[0]})."
        )
    raise CheckpointError(_nothing_here(names, folder))


def _nothing_here(names: list[str], folder: str) -> str:
    """The sentence for a folder without weights: where else they are, or in which format."""
    place = f" in {folder}" if folder else ""
    holders = [str(PurePosixPath(name).parent) for name in names if name.endswith(SUFFIX)]
    if holders:
        below = sorted({name for name in holders if name != "."}) or ["."]
        at = [name for name in below if name.startswith(folder)] or below
        choose = f"subfolder={at[0]} (scripts: --subfolder {at[0]})"
        return (
            f"There is no safetensors file here{place}, but in the folder(s) {_named(at)}: "
            f"choose one with {choose}."
            if at != ["."]
            else f"There is no safetensors file here{place}, but at the root: leave out subfolder."
        )
    inside = {
        name for name in names if name.startswith(folder) and "/" not in name.removeprefix(folder)
    }
    others = sorted({Path(name).suffix for name in inside if name.endswith(OTHER_FORMATS)})
    found = f"only {', '.join(others)} files" if others else "no weight files"
    return (
        f"There is no safetensors file here{place} ({found}): safetensors is the supported format; "
        "for a hub model look for a conversion under its pull requests (--revision refs/pr/N), "
        "else convert the model with transformers' save_pretrained."
    )


def _numbered_sets(own: list[str]) -> tuple[list[list[str]], list[str]]:
    """The complete numbered sets, those of stems that models usually have first, and for each
    incomplete one a sentence."""

    def rank(match: re.Match[str]) -> tuple[int, str]:
        stem = match["stem"]
        return STEMS.index(stem) if stem in STEMS else len(STEMS), match.string

    sets: dict[tuple[str, str], re.Match[str]] = {}
    for match in sorted((m for name in own if (m := NUMBERED.fullmatch(name))), key=rank):
        before = match.string[: match.start("number")]
        sets.setdefault((before, match.string[match.end("number") :]), match)
    present = set(own)
    complete, incomplete = [], []
    for (before, after), match in sets.items():
        count, digits = int(match["count"]), len(match["number"])
        if not 0 < count <= 100_000:
            incomplete.append(f"{match.string} is one of {count} shards: not a usable number.")
            continue
        first = 0 if f"{before}{0:0{digits}d}{after}" in present else 1
        wanted = [f"{before}{n:0{digits}d}{after}" for n in range(first, first + count)]
        missing = [name for name in wanted if name not in present]
        if missing:
            incomplete.append(
                f"{len(missing)} of {count} shards are missing, e.g. {missing[0]}: the checkpoint "
                "is incomplete; download it again."
            )
        else:
            complete.append(wanted)
    return complete, incomplete


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
