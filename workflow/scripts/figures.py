"""Draw the pictures of a model from its tables.

    python workflow/scripts/figures.py --layers layers.csv --embedding embedding --out figures

writes layers_std.png, layers_stable_rank.png, elbow.png and cluster_map.png.
"""

from pathlib import Path

from blockresearch.files import read_json
from blockresearch.report.plots.layers import layer_figures
from blockresearch.report.plots.style import save
from blockresearch.report.plots.tokens import embedding_figures
from blockresearch.run import cli
from blockresearch.tables.io import read_table


def main(options):
    embedding = Path(options.embedding)
    elbow = read_table(embedding / "elbow.csv", "elbow")
    clusters = read_table(embedding / "clusters.csv", "clusters")
    overview = read_table(embedding / "clusters_summary.csv", "clusters_summary")
    projection = read_table(embedding / "projection.parquet", "projection")
    summary = read_json(embedding / "summary.json")
    figures = {
        **layer_figures(read_table(options.layers, "layers")),
        **embedding_figures(elbow, projection, clusters, overview, summary),
    }
    for name, picture in figures.items():
        save(picture, Path(options.out, f"{name}.png"))


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--layers", required=True, help="table layers")
    parser.add_argument("--embedding", required=True, help="folder of embedding_analysis")
    parser.add_argument("--out", required=True, help="folder for the pictures")
    cli.run(parser, main)
