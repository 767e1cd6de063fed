"""Where the files of this project lie: in a clone, or inside the installed package."""

import os
import shlex
from pathlib import Path

# The folder of the Python package.
PACKAGE = Path(__file__).resolve().parent
# The folder of Snakefile, workflow/ and notebooks/: an installed package carries them inside.
PROJECT = PACKAGE if (PACKAGE / "Snakefile").is_file() else PACKAGE.parents[1]


def project_file(path: str) -> str:
    """Path of a file of this project, as a job finds it.

    Relative in the project's own folder, so that a project can be moved; absolute if another
    workflow has imported this one, or the package is installed.
    """
    return path if Path.cwd() == PROJECT else str(PROJECT / path)


def command(script: str) -> str:
    """The words of a shell line that start workflow/scripts/SCRIPT.py.

    In a clone they name the folder of the package, for this command alone: a job may run in a conda
    environment that has the libraries and not the package.
    """
    call = f"python {shlex.quote(project_file(f'workflow/scripts/{script}.py'))}"
    if PROJECT == PACKAGE:
        return call
    # What a site has put on the path (torch of a module, say) stays on it.
    return f"PYTHONPATH={shlex.quote(project_file('src'))}${{PYTHONPATH:+:$PYTHONPATH}} {call}"


def dependencies_note(python: str | None, here: str) -> str | None:
    """What to do if `python`, that of the PATH, is not beside `here`, the one that runs Snakemake.

    Not an error: jobs may have their own conda environments.
    """
    folder = os.path.dirname(here)
    if python is not None and os.path.dirname(python) == folder:
        return None
    found = f"is {python}" if python else "is missing"
    return (
        f"`python` on the PATH {found}, and Snakemake runs in {folder}: if jobs cannot import "
        f"their libraries, run `source {folder}/activate` and start again."
    )
