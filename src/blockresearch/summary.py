"""What the page of all models shows of one, read from its folder or from a store."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Documents of a model's folder that the page is made from.
SHOWN = ("manifest.json", "comparison.json", "audit.json")


@dataclass(frozen=True)
class Summary:
    """What the page of all models shows of one model.

    model       its key in the store
    folder      the name of the folder of its results
    written_ns  when the newest of the documents SHOWN was written there, ns
    comparison  the content of comparison.json
    counts      number of findings of the audit by severity
    """

    model: str
    folder: str
    written_ns: int
    comparison: Mapping[str, Any]
    counts: Mapping[str, int]


def written_ns(folder: Path) -> int:
    """When the newest of the documents SHOWN of a model was written, ns; 0 if one is missing."""
    try:
        return max((folder / name).stat().st_mtime_ns for name in SHOWN)
    except OSError:
        return 0


def model_key(manifest: Mapping[str, Any]) -> str:
    """The name of a model in a store: its id and its version.

    `Qwen--Qwen3-4B@1cfa9a7208912126` for a commit of the hub; for a local folder the first digits
    of a hash of its weight files, so that changed weights are another model.
    """
    name = str(manifest["name"]).partition("@")[0]
    version = manifest["commit"] or _content(manifest)
    return f"{re.sub(r'[^A-Za-z0-9._-]', '_', name)}@{str(version)[:12]}"


def _content(manifest: Mapping[str, Any]) -> str:
    digest = hashlib.sha256()
    for file in sorted(manifest["files"], key=lambda file: str(file["path"])):
        if file["role"] == "shard":
            digest.update(f"{file['path']} {file['sha256']} {file['size']}\n".encode())
    return digest.hexdigest()
