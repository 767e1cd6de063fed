"""The figures on the page of a model: its map, with the details of each matrix."""

from pathlib import Path
from typing import Any

import pandas as pd

from blockresearch.report.figures import details
from blockresearch.report.figures.layer_map import in_map_order, layer_map
from blockresearch.report.figures.names import indexed, patterns
from blockresearch.report.figures.pieces import Pieces
from blockresearch.report.figures.static_map import columns_data, static_map
from blockresearch.tables.io import read_pieces
from blockresearch.text import visible

# Metrics that are also drawn for print and for browsers without scripts.
STATIC = ("std", "stable_rank")

# Buttons for matrices outside the layers.
MOST_OUTSIDE = 24


def add_map(pieces: Pieces, folder: Path, matrices: pd.DataFrame) -> list[str]:
    """Add the map of the model in `folder` and the details of its matrices to the page.

    Returned are the maps for print as SVG; empty without numbered layers.
    """
    if matrices.empty:
        return []
    rows = in_map_order(matrices)
    drawn = layer_map(rows)
    samples = details.sampled(
        rows,
        read_pieces(folder / "histograms.parquet", "histograms"),
        read_pieces(folder / "spectra.parquet", "spectra"),
    )
    about: dict[str, Any] = {
        "name": visible(folder.name),
        "folder": f"{folder.parent.name}/{folder.name}",
        "map": drawn and {**drawn, "columns": columns_data(drawn)},
        "size": min(details.CHUNK, len(rows)),
        "heads": details.heads(rows),
        "formats": details.formats(),
        "medians": details.median_spectra(rows, samples),
        "outside": rows.index[rows["layer_index"].isna()].tolist()[:MOST_OUTSIDE],
    }
    pieces.add("map", about)
    texts, names = patterns(rows["param_name"])
    slices, places = indexed([visible(name) for name in rows["slice"].fillna("")])
    pieces.add("names", {"patterns": texts, "names": names, "slices": slices, "slice": places})
    chunks = (
        (f"details-{number}", chunk)
        for number, chunk in enumerate(details.chunks(rows, samples, about["size"]))
    )
    if len(rows) > details.INLINE:
        pieces.add_beside(chunks)
    else:
        for name, chunk in chunks:
            pieces.add(name, chunk)
    return [static_map(drawn, key) for key in STATIC if drawn and key in drawn["middle"]]
