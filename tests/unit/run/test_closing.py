"""The last words of a run name what is there."""

import pytest

from blockresearch.run import closing


@pytest.fixture(autouse=True)
def forget():
    """Leave no models behind for other tests of this process."""
    yield
    closing._announced.clear()


def test_pages_that_exist_are_named_with_their_times(tmp_path):
    closing.announce(str(tmp_path), ["one", "two"])
    assert closing.words() == ""
    for folder in (tmp_path / "one", tmp_path):
        (folder / "benchmarks/analyze").mkdir(parents=True)
        (folder / "index.html").write_text("x")
    for part, seconds in (("1", 2.0), ("2", 3.0)):
        path = tmp_path / "one/benchmarks/analyze" / f"{part}.tsv"
        path.write_text(f"s\tmax_rss\n{seconds}\t1\n")
    page = tmp_path / "one/index.html"
    everything = f"All models: {tmp_path / 'index.html'}"
    assert closing.words().splitlines() == [
        str(page),
        "    computing time: analyze 5 s",
        everything,
    ]
    assert closing.words(with_models=False) == everything


def test_of_many_models_only_the_common_page_is_named(tmp_path):
    models = [f"m{number}" for number in range(closing.MAX_MODELS_NAMED + 1)]
    closing.announce(str(tmp_path), models)
    for model in models:
        (tmp_path / model).mkdir()
        (tmp_path / model / "index.html").write_text("x")
    (tmp_path / "index.html").write_text("x")
    assert closing.words() == f"All models: {tmp_path / 'index.html'}"
