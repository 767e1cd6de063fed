"""Results that were altered after a run."""

import json

from blockresearch.command import main
from blockresearch.run import integrity


def test_verify_names_altered_and_missing_files(results, capsys):
    assert main.main(["verify"]) == 0
    capsys.readouterr()
    (results / "params.csv").write_text("altered")
    (results / "index.html").unlink()
    assert main.main(["verify", "--json"]) == main.FAILED
    found = json.loads(capsys.readouterr().out)
    assert found["altered"] == ["results/org--a/params.csv"]
    assert found["missing"] == ["results/org--a/index.html"]
    assert main.main(["verify", "org--b"]) == main.FAILED


def test_comparisons_are_looked_at_too(results, capsys):
    pair = results.parent / "compare/org--a-vs-org--b"
    pair.mkdir(parents=True)
    (pair / "pairs.csv").write_text("{}")
    integrity.record("results", ["compare/org--a-vs-org--b"], 0)
    assert main.main(["verify"]) == 0
    (pair / "pairs.csv").write_text("altered")
    assert main.main(["verify", "org--a"]) == 0
    capsys.readouterr()
    assert main.main(["verify", "compare/org--a-vs-org--b", "--json"]) == main.FAILED
    found = json.loads(capsys.readouterr().out)
    assert found["altered"] == ["results/compare/org--a-vs-org--b/pairs.csv"]
