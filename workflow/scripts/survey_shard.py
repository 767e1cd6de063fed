"""Read a shard of a model before the model is compared: hashes and spreads of its tensors.

    python workflow/scripts/survey_shard.py --manifest manifest.json --shard 00001 --out 00001.json

compare_part and compare match tensors by these hashes. A shard that is not in place is downloaded,
verified, and deleted after that.
"""

import logging

from blockresearch.checkpoint.borrow import job_folder
from blockresearch.checkpoint.manifest import read_manifest
from blockresearch.compare.checkpoint import Lent
from blockresearch.compare.survey import survey, write_survey
from blockresearch.run import cli

log = logging.getLogger("survey_shard")


def main(options):
    manifest = read_manifest(options.manifest)
    shard = manifest.shards[int(options.shard) - 1]
    place = job_folder(options.weights, options.manifest, f"survey-{options.shard}")
    source = Lent(manifest, options.weights, place)
    found = survey(source, [shard.path], options.threads)
    write_survey(found, options.out)
    log.info("%d tensors in %s", len(found.contents), options.out)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--manifest", required=True, help="manifest of the model")
    parser.add_argument("--shard", required=True, help="number of the shard, from 1")
    parser.add_argument("--weights", default="", help="folder of downloaded weights")
    parser.add_argument("--out", required=True, help="file to write")
    parser.add_argument("--threads", type=cli.positive_int, default=1, help="tensors at once")
    cli.run(parser, main)
