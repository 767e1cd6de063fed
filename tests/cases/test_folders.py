"""Folders of public reports are measured right, or refused with the words that help."""

import logging

import numpy as np
import pytest

from blockresearch.audit import audit
from blockresearch.measurement.folder import analyze_folder
from blockresearch.measurement.part import Settings
from tests.cases.folders import CASES


@pytest.mark.parametrize("name", CASES)
def test_folders_are_right_or_refused(name, tmp_path, caplog):
    folder = tmp_path / "model"
    right = CASES[name](folder)
    settings = Settings(1e-6, spectra="none")

    def analyzed():
        with caplog.at_level(logging.WARNING):
            return analyze_folder(str(folder), settings, 1, "2026-01-01T00:00:00Z")

    if "refused" in right:
        with pytest.raises(ValueError) as caught:
            analyzed()
        assert all(word in str(caught.value) for word in right["refused"]), caught.value
        assert "\n" not in str(caught.value)
        return
    result = analyzed()
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert all(word in said for word in right.get("warned", ())), said
    assert bool(said) == ("warned" in right)
    params = result.params.set_index("param_name")
    for tensor, wanted in right.get("weights", {}).items():
        assert params.loc[tensor, "mean"] == pytest.approx(np.mean(wanted, dtype=float), rel=1e-6)
        assert params.loc[tensor, "numel"] == wanted.size
    found = audit.audit(result.manifest, result.params, result.coverage)["findings"]
    worse = {f["check"] for f in found if f["severity"] in ("error", "warning")}
    assert worse == right.get("findings", set()), found
    assert right.get("notes", set()) <= {f["check"] for f in found if f["severity"] == "note"}
    if "parameters" in right:
        assert result.manifest.totals.parameters == right["parameters"]
