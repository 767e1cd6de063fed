"""The checkpoint that a step reads. Apart from `cli`, so that only these steps depend on it."""

import argparse

from blockresearch.checkpoint.describe import describe_folder
from blockresearch.checkpoint.manifest import Manifest, read_manifest
from blockresearch.run import cli


def read_checkpoint(options: argparse.Namespace) -> Manifest:
    """The manifest of what the flags of `cli.add_checkpoint` name: made of a folder, or read."""
    if options.model_path:
        return describe_folder(
            options.model_path, cli.now(), hashed=False, **cli.selection(options)
        )
    return read_manifest(options.manifest)
