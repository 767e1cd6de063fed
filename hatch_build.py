"""Put the workflow into the wheel, so that an installed package runs without a clone.

With it goes the commit, which tables state as where they come from.

Not into an editable installation, which would keep copies that grow stale: there the files of the
clone are used.
"""

import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CARRIED = ("Snakefile", "workflow", "config", "envs", "notebooks", "profiles", "resources/demo")


class WorkflowFiles(BuildHookInterface):
    """Adds the files beside `src` to the package."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling; `version` is standard or editable."""
        if version != "editable":
            build_data["force_include"] |= {path: f"blockresearch/{path}" for path in CARRIED}
            commit = Path(tempfile.mkdtemp(), "commit.txt")
            commit.write_text(self.commit(), encoding="utf-8")
            build_data["force_include"][str(commit)] = "blockresearch/commit.txt"

    def commit(self) -> str:
        """The commit of the clone that is packed; empty without git."""
        call = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        try:
            done = subprocess.run(call, cwd=self.root, capture_output=True, text=True)
        except OSError:
            return ""
        return done.stdout.strip()
