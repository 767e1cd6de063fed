"""Look-ups for the rules: files of a folder, parts of a plan, who provides a file, and what of a
machine a job needs.

They read files that are there and change nothing: resources are looked up before there is a plan,
and in a dry run.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from blockresearch.checkpoint.layer_groups import LayerGroup, layer_groups
from blockresearch.checkpoint.records import (
    changed_tensors,
    fetched_bytes,
    file_key,
    shard_tensors,
    shards_of,
    token_shards,
)
from blockresearch.device import may_find_gpu
from blockresearch.files import Version, _read_json, read_json, version
from blockresearch.run import circuit_resources, resources
from blockresearch.run.config import Training, looked_up
from blockresearch.run.model import Model


def model_files(folder: str, subfolder: str = "") -> list[str]:
    """The files of a local folder that its manifest is made from, for the checkpoint's input.

    Odd names, which Snakemake cannot take and no manifest names, are left out.
    """
    places = [folder, os.path.join(folder, subfolder)] if subfolder else [folder]
    return sorted(
        os.path.join(place, name)
        for place in places
        if os.path.isdir(place)
        for name in os.listdir(place)
        if name.endswith((".safetensors", ".json", "README.md"))
        and name.isprintable()
        and not set(name) & set("{}")
        and os.path.isfile(os.path.join(place, name))
    )


def planned_parts(plan: str) -> Mapping[str, Any]:
    """The parts of a plan file by name."""
    return _planned_parts(version(plan))


@cache
def _planned_parts(plan: Version) -> Mapping[str, Any]:
    return {part["part"]: part for part in _read_json(plan)["parts"]}


def files_of(manifest: Mapping[str, Any], *roles: str) -> list[str]:
    """The files of a model that play one of `roles`, such as shard and tokenizer."""
    return [file["path"] for file in manifest["files"] if file["role"] in roles]


def shard_numbers(manifest: Mapping[str, Any]) -> list[str]:
    """The numbers of the shards of a model, from 00001."""
    return [f"{number:05d}" for number, _ in enumerate(files_of(manifest, "shard"), 1)]


def layer_groups_of(manifest: str) -> list[str]:
    """The numbers of the groups of layers of a manifest file, from 00001."""
    return list(_layer_groups(version(manifest)))


def layer_group(manifest: str, name: str) -> LayerGroup:
    """A group of layers of a manifest file by its number."""
    return _layer_groups(version(manifest))[name]


@cache
def _layer_groups(manifest: Version) -> Mapping[str, LayerGroup]:
    return {group.name: group for group in layer_groups(_read_json(manifest))}


def shard_files(manifest: Mapping[str, Any], number: str) -> list[str]:
    """A shard, by its number, and those with companions of its tensors."""
    own = files_of(manifest, "shard")[int(number) - 1]
    names = [tensor["name"] for tensor in shard_tensors(manifest, number)]
    return list(dict.fromkeys([own, *shards_of(manifest, names)]))


def compared_files(manifests: Sequence[Mapping[str, Any]], number: str) -> list[list[str]]:
    """The files that a shard of the base, whose manifest is the first, is compared with: of each
    side.

    Which shards of the other sides those are is found when tensors are matched.
    """
    base, *others = manifests
    return [
        [*shard_files(base, number), *files_of(base, "tokenizer")],
        *(files_of(other, "shard", "tokenizer") for other in others),
    ]


def shard_size(manifest: Mapping[str, Any], number: str) -> int:
    """Bytes of a shard, by its number."""
    own = files_of(manifest, "shard")[int(number) - 1]
    return sum(file["size"] for file in manifest["files"] if file["path"] == own)


@dataclass(frozen=True)
class Side:
    """One side of a comparison, as the wildcards of a rule of one model."""

    model: str


def sides(
    wildcards: Any, parents: Mapping[tuple[str, str], Iterable[str]] | None = None
) -> list[Side]:
    """The checkpoints that a comparison reads: its base, the other model, and other parents, which
    are listed by (other, base)."""
    known = (parents or {}).get((wildcards.other, wildcards.base), ())
    return [Side(wildcards.base), Side(wildcards.other), *map(Side, known)]


def together(slots: Iterable[int]) -> int:
    """The share of `disk_slots` of a job with files of several models, at most all."""
    return min(sum(slots), 1000)


def steps(run: Training | None) -> dict[str, list[Side]]:
    """What is read for each step of a training run, by its name: the step itself first."""
    if run is None:
        return {}
    return {
        step.name: [Side(model.name) for model in (step, *run.before(step.name))]
        for step in run.steps
    }


def step_shards(manifests: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The shards that are read of a step (its manifest first) and of those that it is compared
    with: of all of them only what its changed tensors lie in."""
    own, *before = manifests
    names = changed_tensors(own, before[-1] if before else None)
    return [shards_of(manifest, names) for manifest in manifests]


def provider(key: str, manifests: Iterable[str]) -> str | None:
    """The manifest, of those that exist, that lists a file whose content key is `key`."""
    path = _providers.get(key)
    if path is None or not os.path.exists(path) or key not in _listed(path):
        # A model that could not be resolved must not stop the others.
        for path in filter(os.path.exists, manifests):
            _providers.update(dict.fromkeys(_listed(path), path))
        path = _providers.get(key)
    return path


# Where each file was found the last time: asking a thousand manifests for each of a thousand files
# would take minutes.
_providers: dict[str, str] = {}


def size_of(key: str, manifests: Iterable[str]) -> int:
    """Bytes of the file whose content key is `key`; 0 when no manifest lists it."""
    path = provider(key, manifests)
    return _listed(path).get(key, 0) if path else 0


def _listed(manifest: str) -> Mapping[str, int]:
    """Sizes of the files of a manifest by content key."""
    return _listed_files(version(manifest))


@cache
def _listed_files(manifest: Version) -> Mapping[str, int]:
    files = _read_json(manifest)["files"]
    return {file_key(file): fetched_bytes(file) for file in files}


@dataclass(frozen=True)
class Run:
    """The models of a run that are looked up, by name, the folder of their results, whether weights
    are kept or at most `shards_on_disk` of them at once, and whether a GPU may measure."""

    results: str
    models: Mapping[str, Model]
    keep_weights: bool = True
    shards_on_disk: int = 1
    on_gpu: bool = False

    def known(self, model: str, name: str) -> str | None:
        """The path of a file of a model, if it exists."""
        path = Path(self.results, model, name)
        return str(path) if path.exists() else None

    def manifests(self) -> list[str]:
        """Manifests of the models that have one already."""
        found = (self.known(model, "manifest.json") for model in self.models)
        return [path for path in found if path]

    def model_files(self, name: str) -> list[str]:
        """The files that the manifest of a local folder is made from; none for a hub model."""
        model = self.models[name]
        return model_files(model.source, model.subfolder) if model.is_folder else []

    def provider(self, key: str) -> str | None:
        """A manifest that names where the file of this content key is downloaded from."""
        return provider(key, self.manifests())

    def token_shards(self, model: str) -> int:
        """How many shards embedding and output layer of a model are read from; 1 if unknown."""
        manifest = self.known(model, "manifest.json")
        return len(token_shards(read_json(manifest))) if manifest else 1

    def layer_shards(self, model: str, group: str) -> int:
        """How many shards a group of layers of a model is read from; 1 if unknown."""
        manifest = self.known(model, "manifest.json")
        return len(layer_group(manifest, group).shards) if manifest else 1

    def compared_parts(self, plan: Mapping[str, Any], sides: Sequence[Side]) -> list[str]:
        """The jobs of a comparison of some `sides`, base and other model first: the parts of the
        base's plan; its shards, by their numbers, on a GPU or if a side is downloaded for each job.

        What only the other cut has measured stays as it is.
        """
        parts = [part["part"] for part in plan["parts"]]
        cuts = [parts, list(dict.fromkeys(name.partition("-")[0] for name in parts))]
        in_place = self.keep_weights or all(self.models[side.model].is_folder for side in sides)
        if self.on_gpu or not in_place:
            cuts.reverse()
        folder = Path(self.results, "compare", f"{sides[1].model}-vs-{sides[0].model}", "parts")
        is_measured = [all((folder / f"{name}.json").exists() for name in cut) for cut in cuts]
        return cuts[is_measured == [False, True]]

    def threads(self, rule: str, model: str, cores: int | None) -> int:
        """Cores of a job that reads weights, of those that the run has (None: unknown)."""
        plan = self.known(model, "plan.json")
        parts = planned_parts(plan) if plan else {}
        cores = at_once = cores or 1
        if rule == "embedding_analysis":
            size = resources.size_of(self.known(model, "manifest.json"), plan)
            # A GPU measures the parts.
            beside = 0.0 if self.on_gpu else resources.seconds_beside(parts.values(), size)
            return resources.clustering_threads(size.elements, cores, beside)
        if rule in ("measure_shard", "survey_shard") and not self.keep_weights:
            at_once = self.shards_on_disk
        elif rule == "compare_part" and not self.keep_weights:
            # Each has a shard of both sides on the disk.
            at_once = self.shards_on_disk // 2
        elif rule in ("measure_shard", "compare_part") and self.on_gpu:
            # While one shard is measured, the process for another one starts.
            at_once = min(len({part["shard"] for part in parts.values()}), 2)
        elif rule == "compare_part":
            # Twice as many jobs as run at once end together.
            at_once = len(parts) // 2
        elif rule == "analyze" and self.keep_weights and not self.on_gpu:
            at_once = len(parts)
        return max(1, cores // max(1, at_once))

    def needs(self, rule: str, wildcards: Any, attempt: int, threads: int = 1) -> resources.Need:
        """What a job needs of a machine, predicted from what is known of its model."""
        if rule == "resolve_model":
            return resources.to_resolve(self.model_files(wildcards.model), attempt)
        if rule == "download":
            fetched = size_of(wildcards.key, self.manifests()) if self.keep_weights else 0
            return resources.to_download(fetched, attempt)
        if rule == "store":
            return resources.to_store(len(self.models), attempt)
        if rule in ("portal", "glossary"):
            return resources.to_list(len(self.models), attempt)
        if rule == "survey_shard":
            streams = not (self.keep_weights or self.models[wildcards.model].is_folder)
            manifest = self.known(wildcards.model, "manifest.json")
            fetched = shard_size(read_json(manifest), wildcards.shard) if manifest else 0
            return resources.to_survey(fetched, threads, streams, attempt)
        if rule == "compare_part":
            plan = self.known(wildcards.base, "plan.json")
            parts = planned_parts(plan) if plan else {}
            some = [part for name, part in parts.items() if name.startswith(wildcards.part)]
            return resources.to_compare([some, some], threads, attempt)
        if rule == "compare_models":
            found = [self.known(wildcards.base, name) for name in ("manifest.json", "plan.json")]
            return resources.to_join(resources.size_of(*found), attempt)
        if rule in ("adapter_factors", "repaired_model"):
            plans = [self.known(name, "plan.json") for name in (wildcards.base, wildcards.other)]
            sides = [planned_parts(plan).values() for plan in plans if plan]
            return resources.to_compare(sides, threads, attempt)
        if rule == "merge_plan":
            plan = self.known(wildcards.base, "plan.json")
            sides = [planned_parts(plan).values()] * 2 if plan else []
            return resources.to_compare(sides, threads, attempt)
        if rule in ("adapter_plan", "repair_plan"):
            base = (self.known(wildcards.base, file) for file in ("manifest.json", "plan.json"))
            return resources.to_make(rule, resources.size_of(*base), attempt)
        if rule == "measure_step":
            plan = self.known(wildcards.step, "plan.json")
            sides = [planned_parts(plan).values()] * 2 if plan else []
            return resources.to_compare(sides, threads, attempt)
        plan = self.known(wildcards.model, "plan.json")
        parts = planned_parts(plan) if plan else {}
        if rule == "measure_shard":
            streams = not (self.keep_weights or self.models[wildcards.model].is_folder)
            some = [part for name, part in parts.items() if name.startswith(wildcards.shard)]
            some = some if streams or self.on_gpu else []
            return resources.to_measure_shard(some, threads, streams, attempt)
        if rule == "analyze":
            part = parts.get(wildcards.batch + wildcards.piece)
            return resources.to_measure(part, attempt, threads)
        size = resources.size_of(self.known(wildcards.model, "manifest.json"), plan)
        if rule == "embedding_analysis":
            return resources.to_cluster(size, threads, attempt)
        if rule == "circuits_part":
            manifest = self.known(wildcards.model, "manifest.json")
            group = layer_group(manifest, wildcards.group) if manifest else None
            return circuit_resources.to_measure_layers(group, attempt)
        if rule == "circuits":
            return circuit_resources.to_find_circuits(size, threads, attempt)
        if rule == "heavy_tails":
            return circuit_resources.to_fit_tails(size, threads, attempt)
        if rule == "directions":
            return circuit_resources.to_name_directions(size, threads, attempt)
        return resources.to_make(wildcards.notebook if rule == "notebook" else rule, size, attempt)


def run_of(config: Mapping[str, Any]) -> Run:
    """The run of a checked configuration. Raises ConfigError if it names models in no sound way."""
    return Run(
        config["results"],
        looked_up(config),
        config["keep_weights"],
        config["shards_on_disk"],
        may_find_gpu(config["device"]),
    )
