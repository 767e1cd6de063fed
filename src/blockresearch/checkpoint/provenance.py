"""Where numbers come from: the checkpoint, the program and the settings, as texts for metadata.

Everything is a fact about inputs or about the program, never the time of a run: the same inputs
and the same program give the same bytes.
"""

import hashlib
import json
import subprocess
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, distributions, version
from typing import Any

from blockresearch.checkpoint.manifest import Manifest
from blockresearch.project import PACKAGE, PROJECT

TOOL = "AI Block Research"

# What hatch_build.py writes into a wheel.
COMMIT_FILE = "commit.txt"


def facts(manifest: Manifest, settings: Mapping[str, Any]) -> dict[str, str]:
    """Facts for the tables of a model that was measured with `settings`; unknown ones are left out.

    model          name of the folder of its results
    model_id, commit, commit_date    of the hub
    tool, tool_commit    program and version, and its commit, which ends with -dirty if files of the
                   program differ from it
    settings       as JSON, with sorted keys
    settings_hash  first 12 digits of the sha256 of that text
    """
    text = json.dumps(dict(settings), sort_keys=True)
    found = {
        "model": manifest.name,
        "model_id": manifest.model_id,
        "commit": manifest.commit,
        "commit_date": manifest.commit_date,
        **program(),
        "settings": text,
        "settings_hash": hashlib.sha256(text.encode()).hexdigest()[:12],
    }
    return {name: value for name, value in found.items() if value}


def program() -> dict[str, str]:
    """The facts `tool` and `tool_commit` alone, for pages that are about no single model."""
    commit = tool_commit()
    return {"tool": f"{TOOL} {tool_version()}", **({"tool_commit": commit} if commit else {})}


def facts_of_pair(other: Manifest, base: Manifest) -> dict[str, str]:
    """Facts for the tables of a comparison; those of the base have names with `base_`."""
    mine, theirs = facts(other, {}), facts(base, {})
    names = ("model", "model_id", "commit", "commit_date")
    return {**mine, **{f"base_{name}": theirs[name] for name in names if name in theirs}}


def tool_version() -> str:
    """The version of this program, as installed or as its project file states it."""
    try:
        return version("ai-block-research")
    except PackageNotFoundError:
        # A job in a conda environment finds the package by its path alone.
        installed = distributions(name="ai-block-research", path=[str(PACKAGE.parent)])
        for found in installed:
            return found.version
        with open(PROJECT / "pyproject.toml", "rb") as file:
            return str(tomllib.load(file)["project"]["version"])


@cache
def tool_commit() -> str | None:
    """The commit of the clone, with -dirty if tracked files differ from it, or of the wheel.

    None if neither git nor the wheel states one. Raises RuntimeError if git was killed.
    """
    if not (PROJECT / ".git").exists():
        stated = PACKAGE / COMMIT_FILE
        return stated.read_text(encoding="utf-8").strip() or None if stated.is_file() else None
    describe = ("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    # No lock: jobs run at the same time.
    call = ("git", "--no-optional-locks", "-C", str(PROJECT), *describe)
    try:
        # No time limit: without the commit, a busy machine would write other bytes.
        found = subprocess.run(call, capture_output=True, text=True)
    except OSError:
        return None
    if found.returncode < 0:
        raise RuntimeError(f"git was ended by signal {-found.returncode}: run again.")
    return found.stdout.strip() or None
