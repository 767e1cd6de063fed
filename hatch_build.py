"""Put the workflow into the wheel, so that an installed package runs without a clone.

With it goes the commit, which tables state as where they come from. A source distribution carries
the commit in a file, from which a wheel that is built of it takes it.

Not into an editable installation, which would keep copies that grow stale: there the files of the
clone are used.
"""

import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CARRIED = ("Snakefile", "workflow", "config", "envs", "notebooks", "profiles", "resources/demo")


# In the root of a source distribution, and in the package of a wheel.
COMMIT_FILE = "commit.txt"


class WorkflowFiles(BuildHookInterface):
    """Adds the files beside `src` to the package."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling; `version` is standard or editable."""
        if version == "editable":
            return
        package = "" if self.target_name == "sdist" else "blockresearch/"
        commit = Path(tempfile.mkdtemp(), COMMIT_FILE)
        commit.write_text(self.commit(), encoding="utf-8")
        build_data["force_include"][str(commit)] = package + COMMIT_FILE
        if package:
            build_data["force_include"] |= {path: package + path for path in CARRIED}

    def commit(self) -> str:
        """The commit that is packed: of the source distribution, or of the clone.

        Empty without git.
        """
        stated = Path(self.root, COMMIT_FILE)
        if stated.is_file():
            return stated.read_text(encoding="utf-8")
        call = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        try:
            done = subprocess.run(call, cwd=self.root, capture_output=True, text=True)
        except OSError:
            return ""
        return done.stdout.strip()
