"""Draw the pictures of a model from its tables.

    python workflow/scripts/figures.py --layers layers.csv --embedding embedding --out figures

writes layers_std.png, layers_stable_rank.png, elbow.png and cluster_map.png.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])

from workflow.lib import cli, dag, plots, tables


def main(options):
    embedding = Path(options.embedding)
    elbow = tables.read_table(embedding / "elbow.csv", "elbow")
    clusters = tables.read_table(embedding / "clusters.csv", "clusters")
    overview = tables.read_table(embedding / "clusters_summary.csv", "clusters_summary")
    projection = tables.read_table(embedding / "projection.parquet", "projection")
    summary = dag.read_json(embedding / "summary.json")
    figures = {
        **plots.layer_figures(tables.read_table(options.layers, "layers")),
        **plots.embedding_figures(elbow, projection, clusters, overview, summary),
    }
    for name, picture in figures.items():
        plots.save(picture, Path(options.out, f"{name}.png"))


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--layers", required=True, help="table layers")
    parser.add_argument("--embedding", required=True, help="folder of embedding_analysis")
    parser.add_argument("--out", required=True, help="folder for the pictures")
    cli.run(parser, main)
