"""Regular expressions of other people match as `re` does, or are refused."""

import pytest

from blockresearch.regexes import compile_bounded, matches_anywhere, matches_start

NAME = "model.layers.11.mlp.experts.3.down_proj"


@pytest.mark.parametrize(
    "pattern",
    [r".*layers\.(1|11)\..*down_proj$", r"model\.layers\.\d+\.mlp.*", ".*", r"(?:model\.)?layers"],
)
def test_usual_patterns_match_as_in_python(pattern):
    compiled, _ = compile_bounded(pattern)
    assert matches_start(pattern, NAME) == bool(compiled.match(NAME))
    assert matches_anywhere(pattern, NAME) == bool(compiled.search(NAME))


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+$", "(a|a)*$", r"(a)\1", "(.*)*x", "(", "((a?)b)+", "(?P<x>a*){30}", "x" * 3000],
)
def test_patterns_that_may_run_for_ever_match_nothing(pattern):
    assert compile_bounded(pattern) is None
    assert not matches_start(pattern, "a" * 60)


def test_many_repeats_are_refused_for_long_names_only():
    pattern = ".*a.*b.*c.*d.*e"
    assert matches_start(pattern, "xaxbxcxdxe")
    assert not matches_start(pattern, "abcd" * 100)
