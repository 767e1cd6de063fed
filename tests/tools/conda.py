"""A stub of conda: an environment that it creates is a Python with the libraries of the tests.

The package is not among them. Created environments are listed in the file `created`.
"""

import os
import site
import sys

CONDA = """#!/usr/bin/env bash
set -e
case "$*" in
  "info --json") echo '{{"conda_prefix": "{root}", "platform": "linux-64", "envs": []}}';;
  --version) echo "conda 25.1.1";;
  clean*) ;;
  config*) echo '{{"get": {{"channel_priority": "strict"}}}}';;
  "env create"*)
    prefix="${{@: -1}}"
    {python} -m venv --without-pip "$prefix"
    echo {libraries} > "$(echo "$prefix"/lib/python*/site-packages)/libraries.pth"
    echo "$prefix" >> {root}/created;;
  *) echo "the stub has no conda $*" >&2; exit 1;;
esac
"""

ACTIVATE = """export CONDA_PREFIX="$1"
export PATH="$1/bin:$PATH"
"""


def write_stub(root):
    """Write the program and its script `activate` below a folder; returns the PATH to use."""
    (root / "bin").mkdir(parents=True)
    # Paths named in the folder of libraries are not followed, so the package is not among them.
    libraries = next(path for path in site.getsitepackages() if os.path.isdir(path))
    text = CONDA.format(root=root, python=sys.executable, libraries=libraries)
    (root / "bin/conda").write_text(text)
    (root / "bin/conda").chmod(0o755)
    (root / "bin/activate").write_text(ACTIVATE)
    own = os.path.dirname(sys.executable)
    return os.pathsep.join([str(root / "bin"), own, "/usr/bin", "/bin"])
