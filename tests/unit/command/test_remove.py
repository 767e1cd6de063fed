"""Models are removed from the results."""

import json

from blockresearch.command import main


def test_remove_deletes_after_a_dry_run(results, capfd):
    assert main.main(["remove", "org--a", "--dry-run", "--json"]) == 0
    assert json.loads(capfd.readouterr().out) == {"removed": ["results/org--a"], "dry_run": True}
    assert results.exists()
    assert main.main(["remove", "org--a"]) == 0
    assert not results.exists()
