"""Where a script that is handed over finds the package."""

import subprocess
import sys

from blockresearch.project import PACKAGE


def test_a_script_without_the_package_gets_this_one(tmp_path):
    (tmp_path / "job.py").write_text("import blockresearch.text as t; print(t.__file__)")
    words = [sys.executable, "-S", "-E", str(PACKAGE / "run/handover.py"), "job.py"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(PACKAGE / "text.py")


def test_a_package_that_is_there_is_used(tmp_path):
    (tmp_path / "blockresearch").mkdir()
    (tmp_path / "blockresearch/__init__.py").write_text("PLACE = 'here'")
    (tmp_path / "job.py").write_text("import blockresearch; print(blockresearch.PLACE)")
    words = [sys.executable, "-S", "-E", str(PACKAGE / "run/handover.py"), "job.py"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "here"
