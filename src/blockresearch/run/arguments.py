"""Arguments of the scripts, made from the configuration and the plain JSON of manifest and plan.

Each function returns one string, because Snakemake compares parameters without their names.
"""

import json
import shlex
from collections.abc import Mapping
from typing import Any

from blockresearch.checkpoint import records
from blockresearch.checkpoint.layer_groups import LayerGroup
from blockresearch.results import ON_DEMAND, REPORTS
from blockresearch.run.fingerprint import flags
from blockresearch.run.model import Model

Json = Mapping[str, Any]


def resolve_flags(config: Json, model: Model) -> str:
    """Which model to look up."""
    return flags(
        {
            "model": model.source,
            "name": model.name,
            "revision": model.revision,
            **model.selection,
            "only_tokens": "tensors" not in config["analyses"],
        }
    )


def space_flags(config: Json) -> str:
    """Where weights go and how many shards are there at once, to check the space on the disk."""
    at_once = None if config["keep_weights"] else config["shards_on_disk"]
    return flags({"weights": config["weights"], "shards_on_disk": at_once})


def measure_flags(config: Json) -> str:
    """The settings that the tables of a part depend on."""
    return flags(_settings(config))


def recorded_flags(config: Json) -> str:
    """The same settings for the metadata of the merged tables."""
    return flags({"settings": json.dumps(_settings(config), sort_keys=True)})


def part_flags(config: Json, part: Json) -> str:
    """All that the tables of a part depend on but for the code: settings and content."""
    return flags({**_settings(config), "digest": part["digest"]})


def companion_flags(part: Json, manifest: Json, weights: str) -> str:
    """Names and paths of further shards, with companions of a part's tensors."""
    names = [other["shard"] for other in part["companions"]]
    paths = [records.weight_path(manifest, name, weights) for name in names]
    pairs = zip(names, paths, strict=True)
    return " ".join(flags({"companion_shard": f"{name}={path}"}) for name, path in pairs)


def embedding_flags(config: Json, manifest: Json) -> str:
    """The settings of the clustering, and a hash of what is clustered."""
    settings = config["clustering"]
    words = json.dumps(settings["probe_tokens"])
    digest = records.embedding_digest(manifest)
    return flags({**settings, "probe_tokens": words, "digest": digest})


def layer_flags(manifest: Json, group: LayerGroup) -> str:
    """A hash of what the numbers of a group of layers are made from."""
    return flags({"digest": records.tensors_digest(manifest, group.tensors)})


def direction_flags(manifest: Json) -> str:
    """A hash of what leading directions are seen through."""
    return flags({"digest": records.lens_digest(manifest)})


def report_flags(config: Json, notebook: str) -> str:
    """The settings that a report shows."""
    settings = _settings(config)
    shown = {
        name: settings[name]
        for name in (REPORTS | ON_DEMAND)[notebook].settings
        if name in settings
    }
    return flags({"settings": json.dumps(shown) if shown else None})


def quantization_flags(config: Json) -> str:
    """The settings of the quantization plan."""
    settings = config["plans"]["quantization"]
    single = flags({name: settings[name] for name in ("engine", "bits", "bytes", "sensitivity")})
    lists = [f"--{name} {shlex.join(settings[name])}" for name in ("formats", "protect")]
    return " ".join([single, *lists])


def training_flags(config: Json) -> str:
    """The settings of the training plan."""
    return flags(config["plans"]["training"])


def sparsity_flags(config: Json) -> str:
    """The settings of the sparsity plan."""
    return flags(config["plans"]["sparsity"])


def experts_flags(config: Json) -> str:
    """The settings of the experts plan."""
    return flags(config["plans"]["experts"])


def adapter_flags(config: Json) -> str:
    """The settings of the adapter plan."""
    settings = config["plans"]["adapter"]
    single = flags({name: settings[name] for name in ("energy", "max_rank", "factors")})
    return f"{single} --save {shlex.join(settings['save'])}"


def _settings(config: Json) -> dict[str, Any]:
    names = ["sparsity_threshold", "spectra"]
    names += ["sketch_above"] if config["spectra"] == "sketch" else []
    return {name: config[name] for name in names}
