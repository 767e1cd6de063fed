import io
import json
from pathlib import Path

import pytest

from blockresearch.command.main import main
from tests.tools.results_folder import results_folder


@pytest.fixture
def store(analyzed, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = results_folder(
        tmp_path / "results", analyzed[0], "Org--M", commit="c" * 40, licence="mit"
    )
    assert main(["store", "add", str(folder), "--store", "s"]) == 0
    assert "Org--M@cccccccccccc: 7 tables in s" in capsys.readouterr().out
    return "s"


def test_what_is_no_model_is_left_out_in_one_line(store, capsys):
    for name in ("logs", "compare", *(f"begun{number:02}" for number in range(12))):
        Path("results", name).mkdir()
    assert main(["store", "add", "results", "--store", store]) == 0
    found = capsys.readouterr()
    assert "Org--M" in found.out and found.err.count("\n") == 1
    assert "begun09 and 2 more" in found.err and "begun10" not in found.err
    assert "logs" not in found.err and "compare" not in found.err


def test_a_long_addition_is_not_silent(store, capsys, monkeypatch):
    monkeypatch.setattr("blockresearch.command.store.SILENCE_SECONDS", -1)
    assert main(["store", "add", "results", "--store", store]) == 0
    assert "1 of 1: Org--M" in capsys.readouterr().err


def test_added_models_are_listed(store, capsys):
    assert main(["store", "list", "--store", store]) == 0
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["model", "family", "licence", "created_at"]
    assert row.split()[0] == "Org--M@cccccccccccc"


def test_sql_is_answered_as_table_or_json(store, capsys):
    assert main(["store", "sql", "select 1234567890.0::double as n", "--store", store]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "1234567890"
    question = "select 1.5 as a, 'x' || chr(10) as b, null as c"
    assert main(["store", "sql", question, "--store", store]) == 0
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 2 and table[1].startswith("1.5")
    assert main(["store", "sql", question, "--store", store, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"a": 1.5, "b": "x\n", "c": None}]


def test_the_shell_goes_on_after_an_error(store, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("select\n  nope;\nselect 41 + 1 as x;\n"))
    assert main(["store", "shell", "--store", store]) == 0
    found = capsys.readouterr()
    assert "42" in found.out and "error: the store cannot answer" in found.err


def test_publish_names_the_next_step(store, capsys):
    assert main(["store", "publish", "--store", store]) == 0
    found = capsys.readouterr()
    assert found.out == "s/README.md\n" and "--exclude .lock" in found.err


def test_a_missing_store_is_one_sentence(tmp_path, capsys):
    assert main(["store", "sql", "select 1", "--store", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_a_removed_model_is_not_listed(store, capsys):
    assert main(["store", "remove", "Org--M@cccccccccccc", "--store", store]) == 0
    assert "s/params/schema=1/model=Org--M@cccccccccccc/data.parquet" in capsys.readouterr().out
    assert main(["store", "list", "--store", store, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
