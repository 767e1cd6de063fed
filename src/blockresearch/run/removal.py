"""Remove models from the results: their folders, their comparisons, and files only they use."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from blockresearch.checkpoint.records import file_key
from blockresearch.files import read_json
from blockresearch.run.model import NAME, TAKEN


def removable(results: Path, models: Iterable[str], weights: Path | None = None) -> list[Path]:
    """The folders to delete for these models, which are names of folders in `results`.

    With `weights` also those of downloaded files that no other model in `results` uses. Raises
    ValueError if `results` has no such model.
    """
    names = set(models)
    for name in sorted(names):
        is_name = NAME.fullmatch(name) and not TAKEN.fullmatch(name)
        if not is_name or not (results / name).is_dir():
            raise ValueError(
                f"there is no model {name!r} in {results}: give the name of its folder, such as "
                "Qwen--Qwen3-4B."
            )
    pairs = [(path, path.name.split("-vs-")) for path in sorted(results.glob("compare/*/"))]
    found = [results / name for name in sorted(names)]
    found += [path for path, sides in pairs if names.intersection(sides)]
    if weights is None:
        return found
    own: set[str] = set()
    others: set[str] = set()
    for manifest in sorted(results.glob("*/manifest.json")):
        (own if manifest.parent.name in names else others).update(_keys(manifest))
    places = [root / key for key in sorted(own - others) for root in (weights, _marks(results))]
    return [*found, *(path for path in places if path.is_dir())]


def remove(folders: Iterable[Path]) -> None:
    """Delete folders; a link is removed, never what it leads to."""
    for folder in folders:
        if folder.is_symlink():
            folder.unlink()
        else:
            shutil.rmtree(folder)


def _marks(results: Path) -> Path:
    return results / "downloads"


def _keys(manifest: Path) -> list[str]:
    """The content keys of the files of a model; none of a local folder or a damaged manifest."""
    try:
        files: list[Mapping[str, Any]] = read_json(manifest)["files"]
        return [file_key(file) for file in files]
    except (OSError, ValueError, KeyError, TypeError):
        return []
