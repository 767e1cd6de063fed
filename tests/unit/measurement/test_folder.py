"""Analyzing a folder by hand says what the audit of the workflow would find."""

import json
import logging
import types

import pytest

from blockresearch.checkpoint.cost import BASE_BYTES
from blockresearch.measurement.folder import WARNED, _within, analyze_folder
from blockresearch.measurement.part import Settings
from tests.cases.checkpoints import save
from tests.cases.quantized.scaled import CASES
from tests.conftest import write_safetensors


def warnings_of(folder, caplog):
    with caplog.at_level(logging.WARNING):
        result = analyze_folder(str(folder), Settings(1e-6), 1, "2026-01-01T00:00:00Z")
    return [record.getMessage() for record in caplog.records], result


def test_a_sound_folder_is_silent(model, caplog):
    assert warnings_of(model, caplog)[0] == []


def test_a_lone_shard_of_three_is_a_warning(tmp_path, caplog):
    shard = "model-00001-of-00003.safetensors"
    write_safetensors(tmp_path / shard, {"w.weight": ("F32", [1, 1], bytes(4))})
    index = {"weight_map": {"w.weight": shard}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    (warning,), _ = warnings_of(tmp_path, caplog)
    assert shard in warning and "3 files, of which 1" in warning


@pytest.mark.parametrize("ghosts", [1, WARNED + 5])
def test_tensors_that_no_shard_holds_are_warnings(model, caplog, ghosts):
    path = model / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    shard = index["weight_map"]["model.norm.weight"]
    index["weight_map"] |= {f"ghost.{number}": shard for number in range(ghosts)}
    path.write_text(json.dumps(index))
    warnings, result = warnings_of(model, caplog)
    assert "ghost.0" in warnings[0] and shard in warnings[0]
    assert len(warnings) == min(ghosts, WARNED + 1)
    assert ghosts == 1 or "5 more" in warnings[-1]
    ledger = result.coverage.set_index("param_name")["status"]
    assert list(ledger[ledger == "missing"].index) == sorted(f"ghost.{n}" for n in range(ghosts))


def test_a_memory_limit_lowers_the_workers():
    parts = [types.SimpleNamespace(memory=BASE_BYTES + size * 10**8) for size in (4, 5, 3)]
    assert _within(None, parts, 3) == 3
    assert _within(BASE_BYTES + 10**9, parts, 3) == 2
    assert _within(BASE_BYTES + 5 * 10**8, parts, 3) == 1
    with pytest.raises(ValueError, match="--memory_limit"):
        _within(BASE_BYTES + 4 * 10**8, parts, 3)


def test_weights_that_are_not_read_are_warnings(tmp_path, caplog):
    tensors, config, right = CASES["fp8_that_lost_the_scales_of_one_kind"]()
    save(tmp_path / "model.safetensors", tensors)
    (tmp_path / "config.json").write_text(json.dumps(config))
    (warning,), _ = warnings_of(tmp_path, caplog)
    lost = [name for name, why in right.items() if isinstance(why, str)]
    assert warning.startswith(f"unsupported: {lost[0]} and {len(lost) - 1} more (")
    assert "its scale is missing" in warning
