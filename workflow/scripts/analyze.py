"""Measure the weights of a model: values, ranks and singular values of every tensor.

    python workflow/scripts/analyze.py --model_path models/Qwen3-4B --out params.csv --format csv

measures a local folder and writes the table params. What headers, index and files disagree about is
a warning; --coverage FILE lists every tensor, with the reason if it is not measured. The rule of
the workflow measures one part of a plan: --plan PLAN --part NAME --shard FILE --out PREFIX, which
writes PREFIX.params.parquet, PREFIX.matrices.parquet, PREFIX.spectra.parquet and
PREFIX.histograms.parquet.
"""

import logging
import os
from pathlib import Path

from blockresearch.checkpoint.plan import part_from_json
from blockresearch.device import resolve_device
from blockresearch.files import read_json
from blockresearch.measure.folder import analyze_folder
from blockresearch.measure.part import TABLES, Settings, measure_part
from blockresearch.run import cli
from blockresearch.tables.io import frame, table_format, write_table

log = logging.getLogger("analyze")


def main(options):
    settings = Settings(
        sparsity_threshold=options.sparsity_threshold,
        spectra=options.spectra,
        sketch_above=options.sketch_above,
        device=resolve_device(options.device),
        chunk_bytes=(4 if options.low_cpu_mem_usage else 32) * 1024**2,
    )
    if options.model_path:
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
        write_table(result.params, "params", options.out, options.format)
        if options.coverage:
            write_table(result.coverage, "coverage", options.coverage)
        log.info("%d tensors in %s", len(result.params), options.out)
        return
    part = next(
        part_from_json(part)
        for part in read_json(options.plan)["parts"]
        if part["part"] == options.part
    )
    if options.digest and options.digest != part.digest:
        raise ValueError(f"part {options.part} has changed in {options.plan}: start the run again.")
    files = {part.content.shard: Path(options.shard), **dict(options.companion_shard)}
    missing = [other.shard for other in part.companions if other.shard not in files]
    if missing:
        raise ValueError(
            f"part {options.part} also reads {missing[0]}: add --companion_shard {missing[0]}=FILE."
        )
    rows = measure_part(files, part, settings)
    for table in TABLES:
        path = f"{options.out}.{table}.parquet"
        write_table(frame(getattr(rows, table), table), table, path)


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
    parser.add_argument("--out", required=True, help="table to write (with --plan: prefix)")
    parser.add_argument("--format", choices=("csv", "json", "parquet"), help="default: by --out")
    parser.add_argument("--coverage", help="with --model_path: list of all tensors to write")
    parser.add_argument("--sparsity_threshold", type=cli.threshold, default=cli.SPARSITY_THRESHOLD)
    parser.add_argument(
        "--spectra",
        choices=("full", "rank", "sketch", "none"),
        default="full",
        help="all singular values, what the rank needs, estimates for costly matrices, or none",
    )
    parser.add_argument(
        "--sketch_above",
        type=cli.threshold,
        default=60.0,
        help="with --spectra sketch: seconds of one core above which a matrix is only estimated",
    )
    parser.add_argument(
        "--memory_limit", type=cli.threshold, help="GB for all parts measured at once"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument(
        "--threads",
        type=cli.positive_int,
        default=os.cpu_count(),
        help="parts measured at once, each on one core (default: all cores)",
    )
    parser.add_argument(
        "--low_cpu_mem_usage", action="store_true", help="read in smaller pieces, a little slower"
    )
    cli.run(parser, main)
