"""The page of a model is found by its id."""

import webbrowser

from blockresearch.command import main


def test_open_finds_a_model_by_its_id(results, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    assert main.main(["open", "org/a"]) == 0
    assert opened == [(results / "index.html").as_uri()]
    assert main.main(["open", "org/b"]) == main.FAILED
    assert "there is no page results/org--b/index.html" in capsys.readouterr().err
