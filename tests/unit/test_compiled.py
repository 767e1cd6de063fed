"""The cache of compiled loops belongs to one state of the sources."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT

HELPER = """
from blockresearch.compiled import inlined

@inlined
def step():
    return {}
"""

LOOP = """
from blockresearch.compiled import compiled
from blockresearch.room.deep.helper import step

@compiled
def run():
    return step()
"""


@pytest.mark.slow
def test_a_change_in_the_same_room_compiles_anew(tmp_path):
    package = tmp_path / "blockresearch"
    (package / "room" / "deep").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "compiled.py").write_bytes((ROOT / "src/blockresearch/compiled.py").read_bytes())
    found = []
    for number in (1, 2, 2):
        (package / "room/deep/helper.py").write_text(HELPER.format(number))
        (package / "room/loop.py").write_text(LOOP)
        command = "from blockresearch.room.loop import run; print(run(), run.stats.cache_hits)"
        done = subprocess.run(
            [sys.executable, "-c", command],
            cwd=tmp_path,
            env={"PYTHONPATH": str(tmp_path), "HOME": str(tmp_path), "PATH": "/usr/bin"},
            capture_output=True,
            text=True,
            check=True,
        )
        value, hits = done.stdout.split(maxsplit=1)
        found.append((int(value), "1" in hits))
    assert found == [(1, False), (2, False), (2, True)]
