"""The recipes of ARCHITECTURE.md hold: what they say is enough to add something is enough."""

import types

import numpy as np

from blockresearch.measure.folder import analyze_folder
from blockresearch.measure.part import Settings
from blockresearch.weights.grid import Grid
from blockresearch.weights.quantized import recognize
from blockresearch.weights.quantized.scheme import Format, Unfit
from tests.conftest import write_safetensors


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
    result = analyze_folder(str(tmp_path), Settings(), 1, "2026-01-01T00:00:00Z")
    (row,) = result.params.to_dict("records")
    wanted = scales[:, :1] + scales[:, 1:] * codes
    assert (row["quantisation"], row["block_type"]) == ("toy", "up_proj")
    assert (row["mean"], row["max"]) == (wanted.mean(), wanted.max())
