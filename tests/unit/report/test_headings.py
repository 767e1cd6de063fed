"""Ids of headings."""

from blockresearch.report.headings import ids, with_ids


def test_ids_are_words_and_differ():
    sources = ["# Layers", "## Norms & γ\n\nText\n\n## Norms, γ", "no heading", "### !"]
    found = list(ids(sources))
    assert found == ["layers", "norms-γ", "norms-γ-2", "section"]


def test_headings_get_ids_in_their_order():
    html = "<h1>A</h1><p>x</p><h2>B</h2><h2 class='c'>C</h2><h2>D</h2>"
    assert with_ids(html, ["a", "b"]) == (
        '<h1 id="a">A</h1><p>x</p><h2 id="b">B</h2><h2 class=\'c\'>C</h2><h2>D</h2>'
    )
