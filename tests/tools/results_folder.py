"""A model's folder of results as the workflow leaves it, made from tables without Snakemake."""

from blockresearch.checkpoint.manifest import manifest_json
from blockresearch.files import write_json
from blockresearch.measurement.layers import layer_table
from blockresearch.results import TABLES
from blockresearch.tables.io import Labels, frame, write_table

FINDING = {
    "id": "planted",
    "topic": "values",
    "severity": "notable",
    "text": "One weight is large.",
    "tensors": [{"name": "a", "slice": None, "row": 1, "col": 2}],
    "metric": "matrices.absmax",
    "value": 3.0,
    "reference": 1.0,
    "why": "Why.",
    "action": "Do.",
    "messages": {},
}


def results_folder(folder, analysis, name, **manifest):
    """Write the results of an `Analysis` under the model's `name`; returns the folder."""
    made = folder / name
    write_json(manifest_json(analysis.manifest) | {"name": name} | manifest, made / "manifest.json")
    labels = Labels({"tool": "AI Block Research 9.9", "settings_hash": "5e77"})
    tables = {
        each: getattr(analysis, each) for each in ("params", "matrices", "spectra", "coverage")
    }
    tables["layers"] = layer_table(analysis.params, analysis.matrices)
    for table, data in tables.items():
        write_table(data.assign(model=name), table, made / TABLES[table], labels=labels)
    row = {"param_name": "a", "dtype": "BF16", "codes": [0, 0x3F80, 0x8000], "counts": [1, 2, 4]}
    write_table(frame([row], "histograms"), "histograms", made / TABLES["histograms"])
    write_json({"numbers": {"stable_rank": 3, "layers": "3"}}, made / "comparison.json")
    write_json({"findings": [FINDING], "provenance": {}}, made / "findings.json")
    write_json({"counts": {}, "findings": []}, made / "audit.json")
    return made
