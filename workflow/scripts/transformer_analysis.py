"""Aggregate the tensors of a model per transformer layer and block type.

    python workflow/scripts/transformer_analysis.py --model_path models/Qwen3-4B --out layers.csv

measures a local folder first. The rule of the workflow starts from existing tables:
--params params.parquet --matrices matrices.parquet. figures.py draws the figures.
"""

import logging
import os

from blockresearch.measurement import layers
from blockresearch.run import cli
from blockresearch.tables.io import read_table, table_format
from blockresearch.tables.labels import read_facts, write_labeled

log = logging.getLogger("transformer_analysis")


def main(options):
    table_format(options.out, options.format)  # refused now, not after hours
    if options.also:
        table_format(options.also)
    if options.model_path:
        # The libraries that measure take longer to import than the tables to aggregate.
        from blockresearch.checkpoint.provenance import facts
        from blockresearch.device import resolve_device
        from blockresearch.measurement.folder import analyze_folder
        from blockresearch.measurement.part import Settings

        settings = Settings(cli.SPARSITY_THRESHOLD, device=resolve_device(options.device))
        model = analyze_folder(
            options.model_path,
            settings,
            options.threads,
            cli.now(),
            **cli.selection(options),
        )
        params, matrices = model.params, model.matrices
        about = facts(model.manifest, settings.of_numbers)
    else:
        params = read_table(options.params, "params")
        matrices = read_table(options.matrices, "matrices")
        about = read_facts(options.params)
    table = layers.layer_table(params, matrices)
    write_labeled(table, "layers", options.out, about, options.format)
    if options.also:
        write_labeled(table, "layers", options.also, about)
    log.info("%d rows in %s", len(table), options.out)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    cli.add_selection(parser)
    what.add_argument("--model_path", help="local folder of safetensors files")
    what.add_argument("--params", help="table params (with --matrices)")
    parser.add_argument("--matrices", help="table matrices")
    parser.add_argument("--out", required=True, help="table to write")
    parser.add_argument("--also", help="the same table again, in another format")
    parser.add_argument("--format", choices=("csv", "json", "parquet"), help="default: by --out")
    cli.add_device(parser)
    parser.add_argument("--threads", type=cli.positive_int, default=os.cpu_count())
    cli.run(parser, main)
