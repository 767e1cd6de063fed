"""Results that were altered after a run."""

import json

from blockresearch.command import main


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
