from blockresearch.summary import written_ns


def test_a_missing_document_has_no_time(tmp_path):
    for name in ("manifest.json", "comparison.json"):
        (tmp_path / name).touch()
    assert written_ns(tmp_path) == 0
    (tmp_path / "audit.json").touch()
    assert written_ns(tmp_path) == (tmp_path / "audit.json").stat().st_mtime_ns
