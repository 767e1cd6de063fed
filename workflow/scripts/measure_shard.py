"""Measure the parts of a shard in one process, before analyze takes their tables.

    python workflow/scripts/measure_shard.py --manifest manifest.json --plan plan.json \\
        --shard 00001 --file weights/HASH/model.safetensors --weights weights --staged staged

writes the tables of the parts of a shard to --staged, where analyze takes them. If the shard is not
in place (--file), it is downloaded, verified, and deleted after that. With --keep it is downloaded
to its place if it is missing, and stays, and it is measured only with --ahead: on a GPU, because a
process for each part would take longer to start there than to measure.
"""

import logging
from pathlib import Path

from blockresearch.run import cli

log = logging.getLogger("measure_shard")


def main(options):
    place = Path(options.file)
    if place.exists() and not options.ahead:
        log.info("%s is in place", place)
        return
    # Not needed for a shard in place, which is the usual case: so the job takes no time.
    from blockresearch.checkpoint.manifest import read_manifest
    from blockresearch.checkpoint.plan import part_from_json
    from blockresearch.files import read_json

    manifest = read_manifest(options.manifest)
    entries = read_json(options.plan)["parts"]
    parts = [part_from_json(e) for e in entries if e["part"].startswith(f"{options.shard}-")]
    if options.keep and not place.exists():
        keep(manifest, parts[0].content.shard, place)
    if options.ahead or not options.keep:
        measure(manifest, parts, options)


def keep(manifest, name, place):
    """Download a shard to its place."""
    from blockresearch.checkpoint.fetch import fetch

    [shard] = [file for file in manifest.shards if file.path == name]
    fetch(manifest, shard, place)


def measure(manifest, parts, options):
    """Measure the parts of a shard that are not staged yet."""
    from blockresearch.checkpoint.borrow import borrowed, job_folder, shards_of
    from blockresearch.device import resolve_device
    from blockresearch.measurement import stage
    from blockresearch.measurement.part import measure_parts
    from blockresearch.measurement.settings import Settings

    settings = Settings(
        sparsity_threshold=options.sparsity_threshold,
        spectra=options.spectra,
        sketch_above=options.sketch_above,
        device=resolve_device(options.device),
    )
    staged = {
        part.part: stage.staged_prefix(options.staged, part, settings, options.code)
        for part in parts
    }
    stage.remove_outdated(options.staged, options.shard, staged.values())
    missing = [part for part in parts if not stage.is_staged(staged[part.part])]
    log.info("%d of %d parts to measure", len(missing), len(parts))
    if not missing:
        return
    # Longest first, so that all cores end at about the same time.
    missing.sort(key=lambda part: -part.seconds)
    folder = job_folder(options.weights, options.manifest, options.shard)
    with borrowed(manifest, shards_of(manifest, missing), options.weights, folder) as files:
        for part, rows in measure_parts(files, missing, settings, options.threads):
            stage.write_tables(rows, staged[part.part])
            log.info("part %s is measured", part.part)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--manifest", required=True, help="manifest of the model")
    parser.add_argument("--plan", required=True, help="plan of the model")
    parser.add_argument("--shard", required=True, help="number of the shard in the plan")
    parser.add_argument("--file", required=True, help="where the shard lies if it is kept")
    parser.add_argument("--weights", required=True, help="folder of downloaded weights")
    parser.add_argument("--staged", required=True, help="folder to write the tables to")
    parser.add_argument("--keep", action="store_true", help="download the shard to its place")
    parser.add_argument("--ahead", action="store_true", help="measure it even if it is in place")
    cli.add_measuring(parser)
    parser.add_argument("--code", default="", help="fingerprint of the program, as analyze has it")
    parser.add_argument("--threads", type=cli.positive_int, default=1, help="parts at once")
    cli.run(parser, main)
