"""Compare the routed experts of a model: which are alike, how they are chosen, which look dead.

    python workflow/scripts/experts.py --model_path models/Qwen3-30B-A3B --out circuits

writes to the folder, as .csv and .parquet, experts (a row for each expert) and expert_pairs (the
most similar pairs of each layer), without rows for a model without experts (docs/circuits.md). The
rule of the workflow gives a manifest instead of a folder; files that are not in --weights are
downloaded, and deleted afterwards.
"""

import logging
from pathlib import Path

from threadpoolctl import threadpool_limits

from blockresearch.checkpoint.borrow import borrowed, job_folder
from blockresearch.checkpoint.manifest import manifest_json
from blockresearch.checkpoint.provenance import facts
from blockresearch.checkpoint.records import expert_shards
from blockresearch.circuits.expert_rows import expert_rows
from blockresearch.run import cli
from blockresearch.run.checkpoint_source import read_checkpoint
from blockresearch.tables.io import frame
from blockresearch.tables.labels import write_both

log = logging.getLogger("experts")


def main(options):
    manifest = read_checkpoint(options)
    names = expert_shards(manifest_json(manifest))
    shards = [file for file in manifest.shards if file.path in names]
    place = job_folder(options.weights, options.manifest or "", "experts")
    rows, pairs = [], []
    # The same numbers on any number of cores.
    with threadpool_limits(1), borrowed(manifest, shards, options.weights, place) as files:
        for found in expert_rows(manifest, files):
            rows += found.experts
            pairs += found.pairs
            log.info("%s layer %d", found.experts[0]["component"], found.experts[0]["layer_index"])
    folder, about = Path(options.out), facts(manifest, {})
    write_both(frame(rows, "experts"), "experts", folder / "experts", about)
    write_both(frame(pairs, "expert_pairs"), "expert_pairs", folder / "expert_pairs", about)
    log.info("%d experts in %s", len(rows), folder)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    cli.add_checkpoint(parser)
    parser.add_argument("--out", required=True, help="folder to write")
    cli.run(parser, main)
