"""Links to comparisons."""

from blockresearch.report.differences.links import comparisons, partners
from tests.unit.report.differences.samples import pair, write_comparison


def test_only_comparisons_that_can_be_read_are_listed(tmp_path):
    good = write_comparison(tmp_path / "compare/local--tuned-vs-org--base", [], [pair("a")])
    broken = tmp_path / "compare/x-vs-y"
    broken.mkdir()
    for folder in (good, broken):
        (folder / "index.html").touch()
    (found,) = comparisons(tmp_path)
    assert (found.other, found.base) == ("local--tuned", "org--base")
    assert found.headline == "Something changed."
    assert comparisons(tmp_path / "elsewhere") == []


def test_a_model_is_linked_from_both_sides(tmp_path):
    planned = ["a-vs-b", "c-vs-a", "b-vs-c"]
    assert partners("a", tmp_path, planned) == [("a-vs-b", "b"), ("c-vs-a", "c")]
