"""Scripts of pages: the vendored ones are what their authors published."""

import hashlib
import re

import pytest

from blockresearch.report.figures import scripts
from blockresearch.report.pages import TEMPLATES

# uPlot 1.6.32: dist/uPlot.iife.min.js, dist/uPlot.min.css and LICENSE of the package.
VENDORED = {
    "uPlot.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uPlot.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    "uPlot.LICENSE.txt": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
}
OWN = sorted(path.name for path in TEMPLATES.glob("*.js"))


def test_vendored_files_are_unchanged():
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (TEMPLATES / "vendor").iterdir()
    }
    assert found == VENDORED
    assert "MIT License" in (TEMPLATES / "vendor/uPlot.LICENSE.txt").read_text()


@pytest.mark.parametrize("name", OWN)
def test_scripts_make_no_markup_and_no_code(name):
    text = (TEMPLATES / name).read_text(encoding="utf-8")
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|Function\(", text
    )
    assert not re.search(r"\bfetch\(|XMLHttpRequest|import\(|document\.cookie", text)


def test_every_script_and_style_exists():
    for name in (*scripts.MODEL_SCRIPTS, *scripts.STYLES):
        assert (TEMPLATES / name).is_file()
