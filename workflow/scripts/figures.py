"""Draw the figures of a model from its tables.

    python workflow/scripts/figures.py --layers layers.csv --embedding embedding --out figures

writes layers_std.png and layers_stable_rank.png, elbow.png and cluster_map.png. At least one of
--layers and --embedding is required.
"""

from pathlib import Path

from blockresearch.files import read_json
from blockresearch.language.catalogue import set_language
from blockresearch.report.plots.layers import layer_figures
from blockresearch.report.plots.style import save
from blockresearch.report.plots.tokens import embedding_figures
from blockresearch.run import cli
from blockresearch.tables.io import read_table


def main(options):
    set_language(options.language)
    figures = {}
    if options.layers:
        figures |= layer_figures(read_table(options.layers, "layers"))
    if options.embedding:
        folder = Path(options.embedding)
        figures |= embedding_figures(
            read_table(folder / "elbow.parquet", "elbow"),
            read_table(folder / "projection.parquet", "projection"),
            read_table(options.clusters or folder / "clusters.parquet", "clusters"),
            read_table(folder / "clusters_summary.parquet", "clusters_summary"),
            read_json(folder / "summary.json"),
        )
    if not figures:
        raise ValueError("nothing to draw: give --layers, --embedding or both.")
    for name, picture in figures.items():
        save(picture, Path(options.out, f"{name}.png"))


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--layers", help="table layers")
    parser.add_argument("--embedding", help="folder of embedding_analysis")
    parser.add_argument(
        "--clusters", help="table clusters (default: clusters.parquet in that folder)"
    )
    parser.add_argument("--out", required=True, help="folder for the figures")
    cli.add_language(parser)
    cli.run(parser, main)
