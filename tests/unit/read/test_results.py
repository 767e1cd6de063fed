import numpy as np
import pytest

from blockresearch.read.results import load
from tests.tools.results_folder import results_folder


@pytest.fixture(scope="module")
def results(analyzed, tmp_path_factory):
    return load(results_folder(tmp_path_factory.mktemp("results"), analyzed[0], "local--small"))


def test_tables_have_the_types_of_their_columns(results, analyzed):
    assert results.tables == ["params", "matrices", "spectra", "histograms", "layers", "coverage"]
    assert len(results.params) == len(analyzed[0].params)
    assert results.matrices["rank"].dtype == "Int64"
    assert results.arrow("params").schema.metadata[b"settings_hash"] == b"5e77"


def test_spectrum_of_an_expert_equals_lapack(results, analyzed):
    found = results.spectrum("model.layers.2.mlp.experts.down_proj", "[3]")
    exact = np.linalg.svd(analyzed[1][3].astype(float), compute_uv=False)
    assert np.allclose(found, exact, rtol=1e-12)


def test_spectra_that_are_missing_say_why(results):
    with pytest.raises(KeyError, match=r"slices are '\[0\]', '\[1\]'"):
        results.spectrum("model.layers.2.mlp.experts.down_proj")
    with pytest.raises(ValueError, match="NaN or infinite"):
        results.spectrum("model.layers.2.self_attn.q_proj.weight")
    with pytest.raises(KeyError, match="nope is not in spectra"):
        results.spectrum("nope")


def test_histogram_has_one_row_per_value(results):
    """Codes 0 and 0x8000 are both zero."""
    found = results.histogram("a")
    assert found.to_dict("list") == {"value": [0.0, 1.0], "count": [5, 2]}


def test_findings_and_audit_are_rows(results):
    assert results.findings["id"].tolist() == ["planted"]
    assert results.findings["tensors"][0][0]["row"] == 1
    assert list(results.audit) == ["severity", "check", "where", "evidence", "meaning"]


def test_errors_say_what_to_do(results, tmp_path):
    with pytest.raises(FileNotFoundError, match="pass the folder of a model"):
        load(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no embedding/tokens.parquet.*It has params"):
        _ = results.tokens
    with pytest.raises(KeyError, match="there are params"):
        results.table("nope")
