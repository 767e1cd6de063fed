"""Estimate the cost of analyzing a model before it is started.

    python workflow/scripts/plan.py --model_id deepseek-ai/DeepSeek-V3

reads the file list and the headers of the shards (a few MB, even of a 1 TB model) and prints
size, parameters by block type, dtypes, jobs, and predicted time, memory, disk and download. The
rule of the workflow uses the manifest and plan of a model: --manifest FILE --plan FILE.
"""

import json
import logging
from pathlib import Path

from blockresearch.checkpoint.describe import describe_folder, describe_repo
from blockresearch.checkpoint.manifest import read_manifest
from blockresearch.checkpoint.plan import make_plan, part_from_json
from blockresearch.files import read_json
from blockresearch.run import cli, forecast
from blockresearch.run.model import MAIN, parse_model

log = logging.getLogger("plan")


def main(options):
    if options.compared:
        sides = iter(options.compared)
        for other, base in zip(sides, sides, strict=True):
            compare(
                read_manifest(other).name, planned(other), read_manifest(base).name, planned(base)
            )
        return
    if options.steps:
        steps = [(read_manifest(path), planned(path)) for path in options.steps]
        print("\n".join(forecast.training_lines(steps)))
        return
    if options.manifest:
        manifest, parts = read_manifest(options.manifest), planned(options.manifest, options.plan)
    else:
        manifest = described(options.model_id, options)
        parts = make_plan(manifest)
    told = forecast.forecast(manifest, parts)
    if options.json:
        print(json.dumps(told, indent=2))
    else:
        print("\n".join(forecast.lines(told)))
    if options.base:
        base = make_plan(described(options.base, options))
        compare(manifest.model, parts, options.base, base)


def compare(other, parts, base, base_parts):
    print(forecast.comparison_line(other, base, [parts, base_parts]))


def planned(manifest, plan=None):
    """The parts of the model of a manifest."""
    plan = read_json(plan or Path(manifest).with_name("plan.json"))
    return [part_from_json(part) for part in plan["parts"]]


def described(source, options):
    model = parse_model(source, options.revision)
    selection = cli.selection(options)
    if model.is_folder:
        return describe_folder(model.source, cli.now(), hashed=False, **selection)
    return describe_repo(model.source, model.revision, cli.now(), log.info, **selection)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--model_id", help="hub id or local folder")
    what.add_argument("--manifest", help="manifest of a model (with --plan)")
    parser.add_argument(
        "--plan", help="plan of the model (default: plan.json next to the manifest)"
    )
    parser.add_argument("--revision", default=MAIN, help="branch, tag, commit or refs/pr/N")
    cli.add_selection(parser)
    what.add_argument(
        "--compared",
        nargs="+",
        metavar="FILE",
        help="manifests in pairs: of a model, and of what it is compared with",
    )
    what.add_argument(
        "--steps", nargs="+", metavar="FILE", help="manifests of the steps of a training run"
    )
    parser.add_argument("--base", help="with --model_id: hub id or folder it is compared with")
    parser.add_argument("--json", action="store_true", help="as JSON, times in s, sizes in bytes")
    cli.run(parser, main)
