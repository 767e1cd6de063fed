"""A comparison on the disk, as compare.py leaves it."""

from blockresearch.files import write_json
from blockresearch.tables.io import frame
from blockresearch.tables.labels import write_both

FACTS = {"model": "local--tuned", "base_model": "org--base", "base_commit": "c" * 40}


def difference(name, layer=None, block="q_proj", **numbers):
    """A row of the table differences for a 64 × 32 matrix."""
    place = {"component": "text", "layer_index": layer, "block_type": block}
    shapes = {"rows": 64, "cols": 32, "other_rows": 64, "other_cols": 32}
    change = {"delta_norm": 1.0, "delta_spectral_norm": 1.0, "compared_as": "BF16", "changed": 0.9}
    return {"param_name": name, "other_name": name, **place, **shapes, **change, **numbers}


def pair(name, status="matched", **sides):
    """A row of the table pairs."""
    whole = {"rows": 64, "cols": 32, "other_rows": 64, "other_cols": 32, "elements": 2048}
    alone = {"only_base": ("other_rows", "other_cols"), "only_other": ("rows", "cols")}
    missing = dict.fromkeys((*alone.get(status, ()),), None)
    if missing:
        missing["elements"] = 0
    return {"status": status, "param_name": name, "other_name": name, **whole, **missing, **sides}


def write_comparison(
    folder,
    differences,
    pairs,
    tokens=(),
    text="Something changed.",
    subspaces=(),
    heads=(),
    profiles=(),
):
    """The tables and the autopsy in `folder`."""
    folder.mkdir(parents=True)
    for table, rows in (
        ("differences", differences),
        ("pairs", pairs),
        ("vocabulary", tokens),
        ("subspaces", subspaces),
        ("heads", heads),
        ("profiles", profiles),
    ):
        write_both(frame(rows, table), table, folder / table, FACTS)
    verdict = {"rule": "broad", "text": text, "value": 1, "threshold": 0, "message": text}
    write_json({"verdicts": [verdict]}, folder / "autopsy.json")
    return folder
