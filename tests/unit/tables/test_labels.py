"""Tables that explain themselves."""

import pandas as pd
import pyarrow.parquet as pq
import pytest

from blockresearch.tables.io import frame, read_table, write_table
from blockresearch.tables.labels import read_facts, stack_labeled, write_both

FACTS = {"model": "org--name@v1", "tool": "AI Block Research 1.0", "table": "of the source"}


@pytest.fixture
def layers(tmp_path):
    write_both(
        frame([{"block_type": "q_proj", "std": 0.5}], "layers"), "layers", tmp_path / "x", FACTS
    )
    return tmp_path


def test_both_files_name_the_model_in_every_row(layers):
    csv, parquet = (read_table(layers / f"x.{end}", "layers") for end in ("csv", "parquet"))
    pd.testing.assert_frame_equal(csv, parquet)
    assert parquet["model"].tolist() == ["org--name@v1"]


def test_parquet_states_units_and_facts(layers):
    path = layers / "x.parquet"
    assert read_facts(path) == FACTS | {"table": "layers"}
    schema = pq.read_schema(path)
    assert schema.field("std").metadata == {b"unit": b"w"}
    assert schema.field("nbytes").metadata == {b"unit": b"bytes"}
    assert schema.field("block_type").metadata is None


def test_stacked_parts_get_the_model_and_labels(tmp_path):
    part, out = tmp_path / "part.parquet", tmp_path / "spectra.parquet"
    rows = [{"param_name": name, "singular_values": [2.0, 1.0]} for name in "ab"]
    write_table(frame(rows, "spectra"), "spectra", part)
    assert read_facts(part) == {}
    for parts in ([part], []):
        stack_labeled(parts, "spectra", ["b"], out, FACTS, {"a": "cross"})
        assert read_facts(out)["table"] == "spectra"
        assert pq.read_schema(out).field("singular_values").metadata == {b"unit": b"w"}
        found = read_table(out, "spectra")
        assert found["param_name"].tolist() == ["b", "a"] * len(parts)
        assert set(found["model"]) <= {"org--name@v1"}
        assert found["role"].dropna().tolist() == ["cross"] * len(parts)


def test_no_column_of_tokens_has_mixed_types(tmp_path):
    # pandas guesses the type of each piece of a large file by itself.
    rows = [
        {"token_id": n, "token": f"t{n}" if n < 40_000 else None, "leading_space": n % 3 == 0}
        for n in range(60_000)
    ]
    write_both(frame(rows, "tokens"), "tokens", tmp_path / "tokens", FACTS)
    found = pd.read_csv(tmp_path / "tokens.csv")
    assert found["leading_space"].dtype == bool
