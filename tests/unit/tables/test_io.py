"""Tables: what is written is read back, whole or not at all."""

import csv
import json
import math

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from blockresearch.files import TableError, atomic, write_text
from blockresearch.tables import csv_text
from blockresearch.tables import io as tables
from blockresearch.tables.io import (
    columns,
    frame,
    read_table,
    stack,
    stack_file,
    typed,
    write_table,
)

ROWS = [
    {"token_id": 0, "token": "=1+2", "kind": "normal", "cluster": 0, "distance": 0.5, "norm": 1e-9},
    {"token_id": 1, "token": "'", "kind": "special", "cluster": None, "distance": -math.inf},
    {"token_id": 2, "token": 'NA,"x"\n', "kind": "byte", "norm": math.inf},
]


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
def test_round_trip_keeps_types_and_hostile_text(tmp_path, suffix):
    data = frame(ROWS, "clusters")
    path = tmp_path / f"clusters.{suffix}"
    write_table(data, "clusters", path)
    pd.testing.assert_frame_equal(read_table(path, "clusters"), data)


def test_lists_round_trip(tmp_path):
    rows = [{"param_name": "w", "dtype": "BF16", "codes": [0, 65535], "counts": [7, 2**40]}]
    path = tmp_path / "histograms.parquet"
    write_table(frame(rows, "histograms"), "histograms", path)
    back = read_table(path, "histograms")
    assert list(back.counts[0]) == [7, 2**40]


def test_cells_are_written_as_json_writes_them(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "TEXT_ROWS", 7)
    monkeypatch.setattr(csv_text, "TEXT_ROWS", 9)
    random = np.random.default_rng(0)
    numbers = random.normal(size=40) * 10.0 ** random.integers(-320, 300, 40)
    numbers[:7] = [0.0, -0.0, 1e16, 1e-5, 5e-324, 123456789.0, -7.0]
    rows = [
        {
            "param_name": f'"{number}\\\x00é\u2028',
            "mean": number if row % 5 else None,
            "rows": None if row % 3 else -(2**60) + row,
            "is_bias": (True, False, None)[row % 3],
            "top_values": (None, [], [1.5], [1e-7, number])[row % 4],
            "top_rows": [row, 2**53 + 1],
        }
        for row, number in enumerate(numbers.tolist())
    ]
    write_table(frame(rows, "params"), "params", tmp_path / "params.json")
    write_table(frame(rows, "params"), "params", tmp_path / "params.csv")
    names = columns("params")
    whole = [{name: row.get(name) for name in names} for row in rows]
    lines = [json.dumps(row, ensure_ascii=False) for row in whole]
    written = (tmp_path / "params.json").read_text(encoding="utf-8")
    assert written == "[\n" + ",\n".join(lines) + "\n]\n"
    with (tmp_path / "params.csv").open(encoding="utf-8", newline="") as file:
        cells = list(csv.DictReader(file))
    texts = [
        {k: "" if v is None else v if k == "param_name" else json.dumps(v) for k, v in row.items()}
        for row in whole
    ]
    assert cells == texts


def test_csv_guards_formulas_and_reads_them_back(tmp_path):
    path = tmp_path / "clusters.csv"
    write_table(frame(ROWS, "clusters"), "clusters", path)
    assert "\n,0,'=1+2," in path.read_text()
    texts = ["=a", "-1", "'x", "plain", "''", "＝x", "a\rb", '"', "", None, "^-", "]", "\\"]
    data = frame([{"token_id": at, "token": text} for at, text in enumerate(texts)], "clusters")
    write_table(pd.concat([data, data]), "clusters", path)
    back = read_table(path, "clusters")["token"].fillna("").tolist()
    assert back == 2 * [text or "" for text in texts]


def test_unknown_and_missing_columns_are_refused():
    with pytest.raises(TableError, match="colour"):
        frame([{"colour": 1}], "clusters")
    with pytest.raises(TableError, match="norm"):
        typed(frame(ROWS, "clusters").drop(columns="norm"), "clusters")


def test_a_failing_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.txt"
    write_text("old", path)
    with pytest.raises(RuntimeError), atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_stack_does_not_depend_on_the_order_of_parts(tmp_path):
    paths = []
    for row in ROWS:
        paths.append(tmp_path / f"{row['token_id']}.parquet")
        write_table(frame([row], "clusters"), "clusters", paths[-1])
    forward = stack(paths, "clusters", by=["token_id"])
    pd.testing.assert_frame_equal(forward, stack(paths[::-1], "clusters", by=["token_id"]))


def test_a_part_of_another_version_is_named(tmp_path):
    path = tmp_path / "parts" / "00001-001.params.parquet"
    path.parent.mkdir()
    pd.DataFrame({"param_name": ["w"], "shape": ["[2, 3]"]}).to_parquet(path)
    with pytest.raises(TableError, match=r"another version .* delete the folder .*parts and run"):
        stack([path], "params", by=["param_name"])


def test_a_part_without_a_column_is_refused(tmp_path):
    path = tmp_path / "parts" / "00001-001.clusters.parquet"
    path.parent.mkdir()
    write_table(frame(ROWS, "clusters"), "clusters", path)
    stack([path], "clusters", by=["token_id"])
    pq.write_table(pq.read_table(path).drop_columns(["distance"]), path)
    with pytest.raises(TableError, match=r"another version .* delete the folder"):
        stack([path], "clusters", by=["token_id"])


def test_the_contract_columns_come_first():
    contract = (
        "model_path, model_id, revision, param_name, layer_index, block_type, shape, rows, cols, "
        "rank, mean, std, var, sparsity, dtype, created_at"
    )
    assert ", ".join(columns("params")[:16]) == contract


def test_who_begins_last_owns_the_target(tmp_path):
    target = tmp_path / "params.csv"
    refused = pytest.raises(TableError, match=r"params.csv: another process is writing this file")
    with refused, atomic(target) as orphan:
        orphan.write_text("of an earlier run")
        write_text("of this run", target)
    assert target.read_text() == "of this run"
    left_by_a_kill = tmp_path / ".params.csv.1234.0123abcd.tmp"
    of_another_file = tmp_path / ".params.csv.gz.1234.0123abcd.tmp"
    for path in (left_by_a_kill, of_another_file):
        path.touch()
    write_text("again", target)
    assert sorted(tmp_path.iterdir()) == [of_another_file, target]


def test_stacking_in_a_file_and_in_memory_agree(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "STACK_ROWS", 4)
    random, paths = np.random.default_rng(0), []
    names = random.permutation(10)
    for number, some in enumerate((names[:3], names[3:9], [], names[9:])):
        rows = [
            {"param_name": f"t{name}", "slice": piece, "singular_values": list(random.random(name))}
            for name in some
            for piece in (["[1]", "[0]"] if name % 2 else [None])
        ]
        paths.append(tmp_path / f"{number}.parquet")
        write_table(frame(rows, "spectra"), "spectra", paths[-1])
    out = tmp_path / "spectra.parquet"
    stack_file(paths, "spectra", [], out)
    expected = stack(paths, "spectra", by=["param_name"])
    assert len(expected) == 15
    assert read_table(out, "spectra").equals(expected)
    stack_file(paths, "spectra", ["t9", "t2", "other", "t5"], out)
    found = read_table(out, "spectra")
    assert found["param_name"].unique().tolist() == [
        f"t{n}" for n in (9, 2, 5, 0, 1, 3, 4, 6, 7, 8)
    ]
    assert found.sort_values("param_name", kind="stable", ignore_index=True).equals(expected)
    stack_file(paths[2:3], "spectra", ["t1"], out)
    assert read_table(out, "spectra").empty
