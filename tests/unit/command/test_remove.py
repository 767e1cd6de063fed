"""Models are removed from the results."""

import json

from blockresearch.command import main


def test_remove_deletes_after_a_dry_run(results, capfd):
    assert main.main(["remove", "org--a", "--dry-run", "--json"]) == 0
    assert json.loads(capfd.readouterr().out) == {"removed": ["results/org--a"], "dry_run": True}
    assert results.exists()
    assert main.main(["remove", "org--a"]) == 0
    assert not results.exists()


def test_a_model_that_stays_in_a_store_is_named(results, capfd):
    record = {"store": "my store", "models": {"org--a": "org--a@1", "other": "other@1"}}
    (results.parent / "store.json").write_text(json.dumps(record))
    assert main.main(["remove", "org--a", "--dry-run"]) == 0
    assert "`blockresearch store remove org--a@1 --store 'my store'`" in capfd.readouterr().err
