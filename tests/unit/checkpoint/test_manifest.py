"""The manifest as a file."""

from dataclasses import replace

from blockresearch.checkpoint.describe import describe_folder
from blockresearch.checkpoint.manifest import read_manifest, with_earlier_date, write_manifest

NOW = "2026-01-01T00:00:00Z"


def test_a_model_that_is_still_the_same_keeps_its_date(model, tmp_path):
    earlier = tmp_path / "manifest.json"
    first = describe_folder(model, NOW)
    write_manifest(first, earlier)
    assert read_manifest(earlier) == first
    later = describe_folder(model, "2027-01-01T00:00:00Z")
    assert with_earlier_date(later, earlier) == first
    changed = replace(later, commit="f" * 40)
    assert with_earlier_date(changed, earlier) == changed
    earlier.write_text("[")
    assert with_earlier_date(later, earlier) == later
