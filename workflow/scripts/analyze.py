"""Measure the weights of a model: values, ranks and singular values of every tensor.

    python workflow/scripts/analyze.py --model_path models/Qwen3-4B --out params.csv --format csv

measures a local folder and writes the table params. What headers, index and files disagree about is
a warning; --coverage FILE lists every tensor, with the reason if it is not measured. The rule of
the workflow measures one part of a plan: --plan PLAN --part NAME --shard FILE --out PREFIX, which
writes PREFIX.params.parquet, PREFIX.matrices.parquet, PREFIX.spectra.parquet and
PREFIX.histograms.parquet. With --staged DIR it takes tables that measure_shard has left there, and
with --manifest it downloads shards that are not in place and deletes them afterwards.
"""

import logging
import os
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from blockresearch.checkpoint.plan import part_from_json
from blockresearch.device import resolve_device
from blockresearch.files import read_json
from blockresearch.measurement import stage
from blockresearch.measurement.settings import Settings
from blockresearch.run import cli

log = logging.getLogger("analyze")


def main(options):
    settings = Settings(
        sparsity_threshold=options.sparsity_threshold,
        spectra=options.spectra,
        sketch_above=options.sketch_above,
        device=options.device,
        chunk_bytes=(4 if options.low_cpu_mem_usage else 32) * 1024**2,
    )
    if options.model_path:
        analyze_model(options, on_its_device(settings))
    else:
        analyze_part(options, settings)


def on_its_device(settings):
    """The settings with a device that was found; tables that are only taken need none."""
    return replace(settings, device=resolve_device(settings.device))


def analyze_model(options, settings):
    """Measure a local folder."""
    from blockresearch.checkpoint.provenance import facts
    from blockresearch.measurement.folder import analyze_folder
    from blockresearch.tables.io import table_format
    from blockresearch.tables.labels import write_labeled

    table_format(options.out, options.format)  # refused now, not after hours
    if options.coverage:
        table_format(options.coverage, None)
    result = analyze_folder(
        options.model_path,
        settings,
        options.threads,
        cli.now(),
        **cli.selection(options),
        memory_limit=options.memory_limit and int(options.memory_limit * 1e9),
    )
    about = facts(result.manifest, settings.of_numbers)
    write_labeled(result.params, "params", options.out, about, options.format)
    if options.coverage:
        write_labeled(result.coverage, "coverage", options.coverage, about)
    log.info("%d tensors in %s", len(result.params), options.out)


def analyze_part(options, settings):
    """Measure a part of a plan, or take its tables if they were measured ahead."""
    part = next(
        part_from_json(part)
        for part in read_json(options.plan)["parts"]
        if part["part"] == options.part
    )
    if options.digest and options.digest != part.digest:
        raise ValueError(f"part {options.part} has changed in {options.plan}: start the run again.")
    if options.staged:
        staged = stage.staged_prefix(options.staged, part, settings, options.code)
        if stage.is_staged(staged):
            log.info("taken: measure_shard has measured them")
            stage.take(staged, options.out)
            return
    from blockresearch.measurement.part import measure_part

    with shards(options, part) as files:
        rows = measure_part(files, part, on_its_device(settings), options.threads)
    stage.write_tables(rows, options.out)


def shards(options, part):
    """The files that a part is read from by the names of shards, as long as they are needed."""
    files = {part.content.shard: Path(options.shard), **dict(options.companion_shard)}
    if options.manifest and not all(path.exists() for path in files.values()):
        from blockresearch.checkpoint.borrow import borrowed, job_folder, shards_of
        from blockresearch.checkpoint.manifest import read_manifest

        manifest = read_manifest(options.manifest)
        folder = job_folder(options.weights, options.manifest, part.part)
        return borrowed(manifest, shards_of(manifest, [part]), options.weights, folder)
    missing = [other.shard for other in part.companions if other.shard not in files]
    if missing:
        raise ValueError(
            f"part {options.part} also reads {missing[0]}: add --companion_shard {missing[0]}=FILE."
        )
    return nullcontext(files)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--model_path", help="local folder of safetensors files")
    what.add_argument("--plan", help="plan of a model (with --part and --shard)")
    cli.add_selection(parser)
    parser.add_argument("--part", help="name of the part to measure")
    parser.add_argument("--digest", help="digest that the part must have")
    parser.add_argument("--shard", help="file that holds the part")
    parser.add_argument(
        "--companion_shard",
        type=cli.named_file,
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="another shard, which holds scales or other companions of the part's tensors",
    )
    parser.add_argument("--staged", help="folder of parts that were measured ahead")
    parser.add_argument("--code", default="", help="fingerprint of the program that did that")
    parser.add_argument("--manifest", help="manifest of the model, to download missing shards")
    parser.add_argument("--weights", default="", help="folder of downloaded weights")
    parser.add_argument("--out", required=True, help="table to write (with --plan: prefix)")
    parser.add_argument("--format", choices=("csv", "json", "parquet"), help="default: by --out")
    parser.add_argument("--coverage", help="with --model_path: list of all tensors to write")
    cli.add_measuring(parser)
    parser.add_argument(
        "--memory_limit", type=cli.threshold, help="GB for all parts measured at once"
    )
    parser.add_argument(
        "--threads",
        type=cli.positive_int,
        default=os.cpu_count(),
        help="parts (of a part: tensors) measured at once, each on one core (default: all cores)",
    )
    parser.add_argument(
        "--low_cpu_mem_usage", action="store_true", help="read in smaller pieces, a little slower"
    )
    cli.run(parser, main)
