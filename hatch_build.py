"""Put the workflow into the wheel, so that an installed package runs without a clone.

Not into an editable installation, which would keep copies that grow stale: there the files of the
clone are used.
"""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CARRIED = ("Snakefile", "workflow", "config", "envs", "notebooks", "profiles", "resources/demo")


class WorkflowFiles(BuildHookInterface):
    """Adds the files beside `src` to the package."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling; `version` is standard or editable."""
        if version != "editable":
            build_data["force_include"] |= {path: f"blockresearch/{path}" for path in CARRIED}
