"""The recipes of ARCHITECTURE.md hold: what they say is enough to add something is enough."""

import json
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from blockresearch.measurement.folder import analyze_folder
from blockresearch.measurement.part import Settings
from blockresearch.naming import patterns
from blockresearch.weights.grid import Grid
from blockresearch.weights.quantized import recognize
from blockresearch.weights.quantized.scheme import Format, Unfit
from tests.conftest import ROOT, copy_without_machine_code, write_safetensors


def toy_scheme():
    """A scheme's file: words count steps of one size from a lowest value for each row."""

    def read_steps(found):
        rows, _ = found.owner[1]
        if found.shape("scale") != (rows, 2):
            raise Unfit(f"scales of shape {list(found.shape('scale'))}")
        return "toy", "toy steps", found.owner[1], {}

    def open_steps(source):
        cols, read_codes = source.shape[1], source.rows(2 * source.shape[1])
        low, step = source.values("scale").T[:, :, None]

        def read(first, last):
            return (
                low[first:last] + step[first:last] * read_codes(first, last).view("<u2")
            ).astype("<f4")

        return Grid((source.shape[0], cols), "F32", read)

    row = Format(".weight_packed", frozenset({"U16"}), {"scale": ".weight_scale"}, {}, read_steps)
    return types.SimpleNamespace(FORMATS=(row,), FORMULAS={"toy steps": open_steps})


def test_a_scheme_is_one_file_and_one_row(tmp_path, monkeypatch):
    monkeypatch.setattr(recognize, "SCHEMES", (*recognize.SCHEMES, toy_scheme()))
    codes = np.arange(24, dtype="<u2").reshape(4, 6)
    scales = np.array([[-1, 0.5], [0, 0.25], [2, 1], [3, 2]], "<f4")
    module = "model.layers.0.mlp.up_proj"
    tensors = {
        f"{module}.weight_packed": ("U16", [4, 6], codes.tobytes()),
        f"{module}.weight_scale": ("F32", [4, 2], scales.tobytes()),
    }
    write_safetensors(tmp_path / "model.safetensors", tensors)
    result = analyze_folder(str(tmp_path), Settings(1e-6), 1, "2026-01-01T00:00:00Z")
    (row,) = result.params.to_dict("records")
    wanted = scales[:, :1] + scales[:, 1:] * codes
    assert (row["quantisation"], row["block_type"]) == ("toy", "up_proj")
    assert (row["mean"], row["max"]) == (wanted.mean(), wanted.max())


def test_each_file_of_a_scheme_has_a_row():
    folder = Path(recognize.__file__).parent
    files = {path.stem for path in folder.glob("*.py") if "\nFORMATS = " in path.read_text("utf-8")}
    assert files == {scheme.__name__.rpartition(".")[2] for scheme in recognize.SCHEMES}


def test_naming_reads_every_ending_that_a_scheme_uses():
    """Codes and companions have the role of their module, whatever scheme they belong to."""
    for row in (row for scheme in recognize.SCHEMES for row in scheme.FORMATS):
        for end in (row.codes, *row.needed.values(), *row.optional.values()):
            if end.startswith((".", "_")) and end not in (".weight", ".scale", "_scale"):
                name = f"layers.0.mlp.up_proj{end}"
                known = (patterns.QUANTIZATION, patterns.COMPANION_OF_CODES)
                assert any(pattern.search(name) for pattern in known), end


def run_changed_copy(folder, edits, files, program):
    """The JSON that `program` prints in a copy of the package with `edits` and new `files`."""
    package = folder / "src/blockresearch"
    copy_without_machine_code(ROOT / "src", folder / "src")
    shutil.copytree(ROOT / "docs", folder / "docs")
    for name, (before, after) in edits.items():
        text = (package / name).read_text(encoding="utf-8")
        assert text.count(before) == 1, name
        (package / name).write_text(text.replace(before, after), encoding="utf-8")
    for name, text in files.items():
        (package / name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder / "src")},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


WHERE_A_COLUMN_SHOWS = """
import json
from blockresearch.report import glossary
from blockresearch.tables.io import columns
from docs.outputs import manual

def places(name):
    tables = [table for table in ("params", "matrices") if name in columns(table)]
    in_glossary = f'id="params.{name}"' in glossary.page({})
    return [tables, f"| `{name}` |" in manual(), in_glossary]
"""


@pytest.mark.slow
def test_a_statistic_is_code_and_one_record(tmp_path):
    code = '            "zero_fraction": share(values == 0),\n'
    place = '    Column("distinct_values", "integer"'
    record = 'Column("negative_fraction", "number", "share below zero", SHARE, "#{w < 0} / N"),\n'
    found = run_changed_copy(
        tmp_path,
        {
            "values/distribution.py": (
                code,
                code + '            "negative_fraction": share(values < 0),\n',
            ),
            "tables/value_columns.py": (place, record + place),
        },
        {},
        WHERE_A_COLUMN_SHOWS
        + """
import numpy as np
from blockresearch.values.distribution import Distribution
narrow, wide = Distribution("I8", 1, 4, 0.0), Distribution("F32", 1, 0, 0.0)
narrow.update(np.array([-3, 0, 1, -1], np.int8).view(np.uint8))
values = [each.summary()["negative_fraction"] for each in (narrow, wide)]
print(json.dumps([places("negative_fraction"), values]))
""",
    )
    assert found == [[["params", "matrices"], True, True], [0.5, None]]


TOY_FORMAT = '''"""Signs times the largest |w| of the group."""

from blockresearch.compiled import inlined
from blockresearch.values.rounding.grids import GROUP, size_bits


@inlined
def add_errors(group, squares, largest):
    """Add the rounding errors of a group, see `grids`."""
    for i in range(GROUP):
        error = abs(group.values[i]) - group.peak
        squares[i] += error * error
        largest[i] = max(largest[i], size_bits(error))
'''


@pytest.mark.slow
def test_a_low_bit_format_is_one_file_and_one_record(tmp_path):
    place = "LOW_BIT_FORMATS = (\n"
    record = '    LowBitFormat("sign", "Signs", 1.13, "signs with a scale for 128"),\n'
    found = run_changed_copy(
        tmp_path,
        {"tables/rounding_columns.py": (place, place + record)},
        {"values/rounding/formats/sign.py": TOY_FORMAT},
        WHERE_A_COLUMN_SHOWS
        + """
import numpy as np
from blockresearch.report import comparison
from blockresearch.values.rounding.errors import LOOPS, Sums, find_peaks
panel = np.linspace(-1, 0.5, 128, dtype="f4")[None]
blocks, groups, sums = np.empty((1, 8), "f4"), np.empty((1, 1), "f4"), Sums()
find_peaks(panel, blocks, groups)
sums.add(LOOPS["sign"], panel, blocks, groups, np.float32(1))
expected = ((abs(panel.astype(float)) - 1) ** 2).sum()
right = bool(abs(sums.totals()[0] / expected - 1) < 1e-6)
compared = "sign_sqnr_db" in [row.key for row in comparison.ROWS]
print(json.dumps([places("sign_sqnr_db"), places("sign_max_error"), right, compared]))
""",
    )
    assert found == [[["params", "matrices"], True, True]] * 2 + [True, True]
