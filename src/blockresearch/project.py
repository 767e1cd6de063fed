"""Where the files of this project lie: in a clone, or inside the installed package."""

import os
import shlex
import shutil
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

    Python starts `run/handover.py`, which runs the script there or here. In a clone the words name
    the folder of the package, for this command alone: a job may run in a conda environment that has
    the libraries and not the package.
    """
    source = "" if PROJECT == PACKAGE else "src/blockresearch/"
    places = (f"{source}run/handover.py", f"workflow/scripts/{script}.py")
    call = " ".join(["python", *(shlex.quote(project_file(place)) for place in places)])
    if PROJECT == PACKAGE:
        return call
    # What a site has put on the path (torch of a module, say) stays on it.
    return f"PYTHONPATH={shlex.quote(project_file('src'))}${{PYTHONPATH:+:$PYTHONPATH}} {call}"


def use_interpreter(here: str) -> str | None:
    """Make `python` of jobs the interpreter `here`, by its folder at the front of the PATH.

    The conda environment of a job comes before it. While another one is active that is not so,
    because `conda activate` puts the new one in its place: then the PATH stays as it is. Returns
    what to do if `python` is still another one; no error, as jobs may have environments.
    """
    folder = os.path.dirname(here)
    if not os.environ.get("CONDA_PREFIX") and not _is_first(folder):
        os.environ["PATH"] = os.pathsep.join([folder, os.environ.get("PATH", os.defpath)])
    if _is_first(folder):
        return None
    python = shutil.which("python")
    found = f"is {python}" if python else "is missing"
    return (
        f"`python` on the PATH {found}, and Snakemake runs in {folder}: if jobs cannot import "
        f"their libraries, run `source {folder}/activate` and start again."
    )


def _is_first(folder: str) -> bool:
    """Whether `python` on the PATH is the one in the folder."""
    return os.path.dirname(shutil.which("python") or "") == folder
