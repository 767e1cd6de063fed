"""Look-ups for the rules: parts of a plan, who provides a file, files of a folder."""

import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from blockresearch.checkpoint.manifest import content_key, fetched_bytes
from blockresearch.files import Version, _read_json, version


def model_files(folder: str, subfolder: str = "") -> list[str]:
    """The files of a local folder that its manifest is made from, for the checkpoint's input.

    Odd names, which Snakemake cannot take and no manifest names, are left out.
    """
    places = [folder, os.path.join(folder, subfolder)] if subfolder else [folder]
    return sorted(
        os.path.join(place, name)
        for place in places
        if os.path.isdir(place)
        for name in os.listdir(place)
        if name.endswith((".safetensors", ".json", "README.md"))
        and name.isprintable()
        and not set(name) & set("{}")
        and os.path.isfile(os.path.join(place, name))
    )


def without_plan(results: str, models: Iterable[str]) -> list[str]:
    """Models that have no plan yet."""
    return [model for model in models if not Path(results, model, "plan.json").exists()]


def planned_parts(plan: str) -> Mapping[str, Any]:
    """The parts of a plan file by name."""
    return _planned_parts(version(plan))


@cache
def _planned_parts(plan: Version) -> Mapping[str, Any]:
    return {part["part"]: part for part in _read_json(plan)["parts"]}


def provider(key: str, manifests: Iterable[str]) -> str | None:
    """The manifest, of those that exist, that lists a file whose content key is `key`."""
    path = _providers.get(key)
    if path is None or not os.path.exists(path) or key not in _listed(path):
        # A model that could not be resolved must not stop the others.
        for path in filter(os.path.exists, manifests):
            _providers.update(dict.fromkeys(_listed(path), path))
        path = _providers.get(key)
    return path


# Where each file was found the last time: asking a thousand manifests for each of a thousand files
# would take minutes.
_providers: dict[str, str] = {}


def size_of(key: str, manifests: Iterable[str]) -> int:
    """Bytes of the file whose content key is `key`; 0 when no manifest lists it."""
    path = provider(key, manifests)
    return _listed(path).get(key, 0) if path else 0


def _listed(manifest: str) -> Mapping[str, int]:
    """Sizes of the files of a manifest by content key."""
    return _listed_files(version(manifest))


@cache
def _listed_files(manifest: Version) -> Mapping[str, int]:
    files = _read_json(manifest)["files"]
    return {content_key(file): fetched_bytes(file) for file in files}
