"""Files that the page of a model offers."""

from blockresearch.report.downloads import grouped


def test_formats_of_a_result_share_a_row(tmp_path):
    texts = {
        "a_b.csv": "rows",
        "a_b.parquet": "rows",
        "a_b.json": "facts",
        "made/x.html": "page",
        "absent.png": "picture",
    }
    (tmp_path / "made").mkdir()
    for path in ("a_b.csv", "a_b.parquet", "a_b.json", "made/x.html"):
        (tmp_path / path).write_bytes(b"12345")
    tables, facts, pages = grouped(tmp_path, texts)
    assert (tables.title, tables.size) == ("Tables", "10 bytes")
    (table,) = tables.results
    assert table.name == "a_<wbr>b" and table.text == "rows"
    assert table.files == (
        *((".csv", "a_b.csv", "5 bytes"), (".parquet", "a_b.parquet", "5 bytes")),
    )
    assert [one.text for group in (facts, pages) for one in group.results] == ["facts", "page"]
