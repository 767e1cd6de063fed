"""Cluster the token embedding of a model: K-means, the number of clusters by the elbow rule.

    python workflow/scripts/embedding_analysis.py --model_path models/Qwen3-4B --out clusters.csv

writes one row per token to clusters.csv and everything else beside it; when --out is no table it
is the folder for all of it: clusters, clusters_summary, elbow, tokens and output_tokens as .csv and
.parquet, projection.parquet, summary.json, elbow.png and cluster_map.png. The rule of the
workflow gives a manifest instead of a folder; files that are not in --weights are downloaded, and
deleted afterwards.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from blockresearch.checkpoint.borrow import borrowed, job_folder, token_files
from blockresearch.checkpoint.provenance import facts
from blockresearch.device import resolve_device, slot
from blockresearch.files import write_json
from blockresearch.language.sentence import messages_in
from blockresearch.run import cli
from blockresearch.run.checkpoint_source import read_checkpoint
from blockresearch.tables.labels import write_labeled
from blockresearch.tokens.analysis import PROJECTIONS, analyze_embedding, nothing, with_output
from blockresearch.tokens.describe import SEARCHED_TOKENS
from blockresearch.tokens.geometry import paired_cosines
from blockresearch.tokens.metric import METRICS
from blockresearch.tokens.rows import find_output, read_row_tokens, read_rows
from blockresearch.tokens.vectors import survey
from blockresearch.tokens.workers import Workers

log = logging.getLogger("embedding_analysis")

# Those that the numbers depend on.
SETTINGS = ("k_min", "k_max", "n_clusters", "metric", "projection", "probe_tokens")
SETTINGS += ("searched_tokens", "random_state")


def main(options):
    with slot(resolve_device(options.device)) as (device, _):
        analyze(options, device)


def analyze(options, device):
    manifest = read_checkpoint(options)

    folder = job_folder(options.weights, options.manifest or "", "embedding")
    workers = Workers(options.threads, device)
    with borrowed(manifest, token_files(manifest), options.weights, folder) as places:
        result = cluster(manifest, places.__getitem__, options, workers)
    settings = {name: getattr(options, name) for name in SETTINGS}
    clusters = write(result, Path(options.out), facts(manifest, settings), workers)
    if options.model_path:
        draw(clusters)


def cluster(manifest, place, options, workers):
    """The analysis of the tokens of a model whose files lie at `place(name)`."""
    rows, reason = read_rows(manifest, place, workers)
    if rows is None:
        log.info("nothing to cluster: %s", reason)
        result = nothing(reason)
    else:
        log.info("%s: %d rows of %d dimensions", manifest.embedding, *rows.shape)
        with ThreadPoolExecutor(1) as beside:
            tokens = beside.submit(read_row_tokens, manifest, place, len(rows))
            found = survey(rows, workers)
        result = analyze_embedding(
            rows,
            tokens.result(),
            k_min=options.k_min,
            k_max=options.k_max,
            n_clusters=options.n_clusters,
            metric=options.metric,
            projection=options.projection,
            probe_tokens=options.probe_tokens,
            searched_tokens=options.searched_tokens,
            random_state=options.random_state,
            workers=workers,
            found=found,
        )
        head, reason = find_output(manifest, place, len(rows))
        log.info("output layer: %s", reason or manifest.output)
        result = replace(result, summary=result.summary | {"output_reason": reason or None})
        if head is not None and len(result.tokens):
            output = head.read(workers)
            cosines = paired_cosines(rows, output, workers)
            del rows  # they are not needed any longer
            tokens = read_row_tokens(manifest, place, len(output))
            result = with_output(
                result,
                output,
                tokens,
                cosines,
                options.searched_tokens,
                options.random_state,
                workers,
            )
    return result


def write(result, out, about, workers):
    """Write all tables; returns the path of clusters, beside which the others lie."""
    is_file = out.suffix in (".csv", ".json", ".parquet")
    folder, clusters = (out.parent, out) if is_file else (out, out / "clusters.csv")
    tables = [
        (result.clusters, "clusters", clusters),
        (result.projection, "projection", folder / "projection.parquet"),
    ]
    if clusters.suffix == ".csv":
        tables.append((result.clusters, "clusters", clusters.with_suffix(".parquet")))
    for data, table, stem in (
        (result.clusters_summary, "clusters_summary", "clusters_summary"),
        (result.elbow, "elbow", "elbow"),
        (result.tokens, "tokens", "tokens"),
        (result.output_tokens, "tokens", "output_tokens"),
    ):
        tables += [(data, table, folder / f"{stem}.{suffix}") for suffix in ("csv", "parquet")]
    log.info("writing %d tables", len(tables))
    for _ in workers.map(lambda table: write_labeled(*table, about), tables, "tables"):
        pass
    extra = {"messages": messages_in(result.summary), "provenance": about}
    write_json(result.summary | extra, folder / "summary.json")
    return clusters


def draw(clusters):
    """The pictures, by the script that draws them: here no rule does."""
    script = Path(__file__).with_name("figures.py")
    folder = clusters.parent
    flags = ("--embedding", folder, "--clusters", clusters, "--out", folder)
    subprocess.run([sys.executable, script, *flags], check=True)


def texts_or_ids(text):
    """Argument type: words separated by commas, or a JSON list of texts and ids."""
    if not text.startswith("["):
        return [word for word in text.split(",") if word]
    try:
        values = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is no JSON list: {error}") from error
    if not all(type(value) in (str, int) for value in values):
        raise argparse.ArgumentTypeError("a list of texts and ids is expected")
    return values


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    cli.add_checkpoint(parser)
    parser.add_argument("--out", required=True, help="clusters.csv, or the folder for everything")
    parser.add_argument(
        "--k_min", type=cli.positive_int, default=2, help="fewest clusters tried for the elbow"
    )
    parser.add_argument(
        "--k_max", type=cli.positive_int, default=30, help="most clusters tried for the elbow"
    )
    parser.add_argument(
        "--n_clusters",
        type=cli.positive_int,
        help="a fixed number of clusters (default: by the elbow rule)",
    )
    parser.add_argument(
        "--metric",
        choices=METRICS,
        default="auto",
        help="space of the clusters; auto: euclidean if they are separate there, else whitened",
    )
    parser.add_argument(
        "--projection",
        choices=PROJECTIONS,
        default="pca",
        help="map of tokens: the first two principal components, or t-SNE in addition",
    )
    parser.add_argument(
        "--probe_tokens",
        type=texts_or_ids,
        default=[],
        help="tokens whose neighbors are wanted: words with commas, or a JSON list",
    )
    parser.add_argument(
        "--searched_tokens",
        type=cli.positive_int,
        default=SEARCHED_TOKENS,
        help="random tokens whose nearest tokens are searched (all, if there are no more)",
    )
    parser.add_argument(
        "--random_state", type=cli.seed, default=0, help="seed of everything random"
    )
    cli.add_device(parser)
    parser.add_argument(
        "--threads",
        type=cli.positive_int,
        default=os.cpu_count(),
        help="threads, which change no result (default: all cores)",
    )
    cli.run(parser, main)
