"""Resolve a model: write its manifest and the plan of what to measure.

    python workflow/scripts/resolve_model.py --model Qwen/Qwen3-4B \\
        --manifest manifest.json --plan plan.json

A hub revision is resolved to its commit here, once; all later steps use that commit. Only file
lists and shard headers are read. HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE are honored.
"""

import logging
from dataclasses import replace
from pathlib import Path

from blockresearch.checkpoint.describe import describe_folder, describe_repo
from blockresearch.checkpoint.fetch import check_space
from blockresearch.checkpoint.manifest import with_earlier_date, write_manifest
from blockresearch.checkpoint.plan import make_plan, plan_json
from blockresearch.checkpoint.token_subset import only_tokens
from blockresearch.files import write_json_by_line
from blockresearch.run import cli
from blockresearch.run.model import MAIN, parse_model

log = logging.getLogger("resolve_model")


def main(options):
    model = parse_model(options.model, options.revision)
    selection = cli.selection(options)
    if model.is_folder:
        manifest = describe_folder(model.source, cli.now(), progress=log.info, **selection)
    else:
        manifest = describe_repo(model.source, model.revision, cli.now(), log.info, **selection)
    if options.only_tokens:
        manifest = only_tokens(manifest)
    if options.weights and not model.is_folder:
        check_space(manifest, Path(options.weights), options.shards_on_disk)
    if options.name:
        manifest = replace(manifest, name=options.name)
    manifest = with_earlier_date(manifest, options.manifest)
    totals = manifest.totals
    log.info(
        "%s: %d tensors, %s parameters, %.1f MB in %d shards",
        options.model,
        totals.tensors,
        f"{totals.parameters:,}",
        totals.bytes / 1e6,
        len(manifest.shards),
    )
    for problem in manifest.problems:
        log.warning("%s", problem.sentence)
    parts = make_plan(manifest)
    log.info(
        "%d parts, about %.0f s of one core",
        len(parts),
        sum(part.seconds for part in parts),
    )
    write_manifest(manifest, options.manifest)
    write_json_by_line(plan_json(parts), options.plan)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--model", required=True, help="hub id or local folder")
    parser.add_argument("--revision", default=MAIN, help="branch, tag, commit or refs/pr/N")
    cli.add_selection(parser)
    parser.add_argument("--name", help="folder of the results, by which tables name the model")
    parser.add_argument(
        "--only_tokens", action="store_true", help="read token embedding and output layer only"
    )
    parser.add_argument("--weights", help="folder for downloads, whose free space is checked")
    parser.add_argument(
        "--shards_on_disk", type=cli.positive_int, help="shards on disk at once (default: all)"
    )
    parser.add_argument("--manifest", required=True, help="manifest to write (JSON)")
    parser.add_argument("--plan", required=True, help="plan to write (JSON)")
    cli.run(parser, main)
