"""Download a model from the Hugging Face hub, verified, at one commit.

    python workflow/scripts/download.py --model_id Qwen/Qwen3-4B --out models/Qwen3-4B

fetches config, index, tokenizer and shards into a folder. The rule of the workflow fetches one
file of a manifest if it is missing: --manifest M --key HASH --out PATH. Files that are already in
the user's hub cache are linked, not copied. HF_ENDPOINT (mirrors), HF_TOKEN and HF_HUB_OFFLINE are
honored.
"""

import logging
from pathlib import Path

from blockresearch.checkpoint.describe import describe_repo
from blockresearch.checkpoint.fetch import fetch, file_of_key, require_space
from blockresearch.checkpoint.manifest import read_manifest
from blockresearch.run import cli
from blockresearch.run.model import MAIN, parse_model
from blockresearch.run.validation import ConfigError

log = logging.getLogger("download")


def main(options):
    if options.later:
        log.info("the job that reads %s downloads it", options.out)
        return
    if options.manifest:
        manifest = read_manifest(options.manifest)
        fetch_missing(manifest, file_of_key(manifest, options.key), Path(options.out))
        return
    model = parse_model(options.model_id, options.revision)
    if model.is_folder:
        raise ConfigError(f"{options.model_id} is a local folder: nothing to download.")
    folder = Path(options.out)
    manifest = describe_repo(
        model.source,
        model.revision,
        cli.now(),
        log.info,
        **cli.selection(options),
    )
    files = manifest.files
    require_space(folder, sum(file.size for file in files))
    for file in files:
        fetch(manifest, file, folder / file.path)
    log.info("%s at commit %s is in %s", model.source, manifest.commit, folder)


def fetch_missing(manifest, file, place):
    """Fetch a file, unless an earlier run has: it was verified before it got its name."""
    if place.exists() and place.stat().st_size == file.size:
        log.info("%s is in place", place)
    else:
        fetch(manifest, file, place)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--model_id", help="hub id, e.g. Qwen/Qwen3-4B")
    what.add_argument("--manifest", help="manifest of a model (with --key)")
    cli.add_selection(parser)
    parser.add_argument("--key", help="start of the hash of the file to fetch")
    parser.add_argument(
        "--later", action="store_true", help="with --manifest: leave it to the job that reads it"
    )
    parser.add_argument("--revision", default=MAIN, help="branch, tag, commit or refs/pr/N")
    parser.add_argument("--out", required=True, help="folder to fill (with --manifest: the file)")
    cli.run(parser, main)
