import yaml

from blockresearch.store.add import add
from blockresearch.store.publish import publish
from tests.tools.results_folder import results_folder


def test_the_card_names_every_table_and_licence(analyzed, tmp_path):
    hostile = "mit |\n# Injected <script>"
    folder = results_folder(tmp_path / "r", analyzed[0], "Org--a", commit="a" * 40, licence=hostile)
    add([folder], tmp_path / "store")
    text = publish(tmp_path / "store").read_text(encoding="utf-8")
    _, front, body = text.split("---\n", 2)
    configs = {one["config_name"]: one["data_files"] for one in yaml.safe_load(front)["configs"]}
    assert configs["models"] == "models.parquet"
    for table, pattern in configs.items():
        assert list((tmp_path / "store").glob(pattern)), table
    assert "AI Block Research 9.9" in body and "Org--a@aaaaaaaaaaaa" in body
    assert "\n# Injected" not in body and "<script>" not in body
