"""Where the files of this project lie: in a clone, or inside the installed package."""

from pathlib import Path

# The folder of the Python package.
PACKAGE = Path(__file__).resolve().parent
# The folder of Snakefile, workflow/ and notebooks/: an installed package carries them inside.
PROJECT = PACKAGE if (PACKAGE / "Snakefile").is_file() else PACKAGE.parents[1]


def project_file(path: str) -> str:
    """Path of a file of this project, as a job finds it.

    Relative in the project's own folder, so that a project can be moved and nothing is rebuilt;
    absolute if another workflow has imported this one, or the package is installed.
    """
    return path if Path.cwd() == PROJECT else str(PROJECT / path)
