"""What the configuration names: models, comparisons and the steps of a training run."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from blockresearch.hub.names import is_repo_id
from blockresearch.language.sentence import say
from blockresearch.run.model import DEMO, MAIN, Model, parse_model
from blockresearch.run.validation import ConfigError

# In a list of models: from the start of a line, or behind a space.
COMMENT = re.compile(r"(^|\s)#.*")

# Pages of the hub's website, so that no account has such a name: models/x is never a model there.
PAGES = frozenset({"api", "datasets", "docs", "models", "settings", "spaces", "tasks"})


def models(config: Mapping[str, Any]) -> dict[str, Model]:
    """The models to analyze by the name of their results folder: `models`, or `model` alone, and
    both sides of every comparison.

    Raises ConfigError if both are set, for ids that are neither a folder nor a hub id, for a path
    that leads nowhere, and for two models that would share a folder.
    """
    result = _listed(config)
    for pair in compared(config):
        for model in (pair.base, pair.other, *pair.parents):
            _add(result, model)
    return result


class Compared(NamedTuple):
    """A comparison: both sides, and other checkpoints of which `other` may be a merge."""

    base: Model
    other: Model
    parents: tuple[Model, ...] = ()

    @property
    def name(self) -> str:
        """Name of its folder under results/compare."""
        return f"{self.other.name}-vs-{self.base.name}"


def compared(config: Mapping[str, Any]) -> list[Compared]:
    """The comparisons: those of `compare`, and of every model with `base`.

    Raises ConfigError if a side is neither a folder nor a hub id, or is compared with itself.
    """
    pairs = [
        Compared(
            _side(entry["base"]),
            _side(entry["other"]),
            tuple(map(_side, entry.get("parents", ()))),
        )
        for entry in config["compare"]
    ]
    if config["base"] is not None:
        pairs += [Compared(_side(config["base"]), model) for model in _listed(config).values()]
    for pair in pairs:
        if pair.base.name == pair.other.name:
            raise ConfigError(
                say("compare: {model} is both sides: name two checkpoints.", model=pair.base.source)
            )
    return pairs


def merged(config: Mapping[str, Any]) -> dict[str, list[str]]:
    """The fine-tunes that could be merged: names of other sides by the name of their base, if it
    has several."""
    found: dict[str, list[str]] = {}
    for pair in compared(config):
        others = found.setdefault(pair.base.name, [])
        others += [pair.other.name] if pair.other.name not in others else []
    return {base: others for base, others in found.items() if len(others) > 1}


class Training(NamedTuple):
    """The steps of a training run in their order, and the name of its folder in the results."""

    name: str
    steps: tuple[Model, ...]

    def before(self, step: str) -> list[Model]:
        """What a step, by its name, is compared with: the first one and the one just before, which
        are one for the second step; nothing for the first."""
        place = [model.name for model in self.steps].index(step)
        return list(dict.fromkeys((self.steps[0], self.steps[place - 1]))) if place else []


def training(config: Mapping[str, Any]) -> Training | None:
    """The training run that `revisions` names: revisions of `model`, or folders if it is one.

    Raises ConfigError with fewer than two steps, for one that is named twice, for a folder that is
    not there, and beside `models`.
    """
    if not config["revisions"]:
        return None
    if config["models"]:
        raise ConfigError(
            say(
                "revisions are those of one model: set `model` instead of `models`, or leave "
                "revisions out."
            )
        )
    [model] = _listed(config).values()
    steps = [_step(model, revision, config) for revision in config["revisions"]]
    if len(steps) < 2:
        raise ConfigError(say("revisions: one step shows no change: name two or more."))
    for place, step in enumerate(steps):
        if step.name in [other.name for other in steps[:place]]:
            raise ConfigError(
                say("revisions: {step} is named twice.", step=config["revisions"][place])
            )
    name = model.name if model.is_folder else _step(model, MAIN, config).name
    return Training(name, tuple(steps))


def _step(model: Model, revision: str, config: Mapping[str, Any]) -> Model:
    chosen = config["subfolder"], config["variant"], config["file"]
    if not model.is_folder:
        return parse_model(model.source, revision, None, *chosen)
    if not os.path.isdir(os.path.expanduser(revision)):
        raise ConfigError(
            say(
                "revisions: {revision} is not a folder, and the model is one: name the folders of "
                "its steps.",
                revision=repr(revision),
            )
        )
    return parse_model(revision, MAIN, None, *chosen)


def shared_folders(config: Mapping[str, Any]) -> list[str]:
    """Folders in the results of what several models share: comparisons and the training run."""
    run = training(config)
    pairs = [f"compare/{pair.name}" for pair in compared(config)]
    return [*pairs, *([f"dynamics/{run.name}"] if run else [])]


def looked_up(config: Mapping[str, Any]) -> dict[str, Model]:
    """The models whose headers are read, by name: those to analyze, and steps of a training run.

    Raises ConfigError as `models` and `training` do.
    """
    result = models(config)
    run = training(config)
    for step in run.steps if run else ():
        _add(result, step)
    return result


def _side(source: str) -> Model:
    _refuse_missing_folder(source, MAIN)
    return parse_model(source)


def _listed(config: Mapping[str, Any]) -> dict[str, Model]:
    if config["models"] and config["model"] != DEMO:
        raise ConfigError(
            say(
                "model and models are both set: leave one out (on the command line models=[] lets "
                "model={model} count, and model={demo} lets models count).",
                model=config["model"],
                demo=DEMO,
            )
        )
    result: dict[str, Model] = {}
    listed = config["models"]
    for entry in (models_in(listed) if isinstance(listed, str) else listed) or [config["model"]]:
        entry = {"model": entry} if isinstance(entry, str) else entry
        _refuse_missing_folder(entry["model"], entry.get("revision") or config["revision"])
        model = parse_model(
            entry["model"],
            entry.get("revision") or config["revision"],
            entry.get("name"),
            entry.get("subfolder", config["subfolder"]),
            entry.get("variant", config["variant"]),
            entry.get("file", config["file"]),
        )
        _add(result, model)
    return result


def models_in(path: str) -> list[str]:
    """The models that a text file lists, one a line; empty lines and comments (#) are left out.

    Raises ConfigError if the file cannot be read or lists none.
    """
    try:
        lines = Path(os.path.expanduser(path)).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "is not a text in UTF-8"
        raise ConfigError(
            say("models: the list {path} cannot be read: {reason}.", path=path, reason=reason)
        ) from error
    found = [COMMENT.sub("", line).strip() for line in lines]
    if not any(found):
        raise ConfigError(
            say("models: the list {path} names no model: write one a line.", path=path)
        )
    return [model for model in found if model]


def _refuse_missing_folder(source: str, revision: str) -> None:
    """Raises ConfigError for a path in a folder that is here, or such as models/misspelled.

    In a folder that is here it could also be the id of a model on the hub; with a revision it is.
    """
    parent, slash, _ = source.partition("/")
    if slash and parent in PAGES and not os.path.isdir(os.path.expanduser(source)):
        raise ConfigError(
            say(
                "model: there is no folder {source}, and no model on the hub has such a name: "
                "correct the path.",
                source=repr(source),
            )
        )
    is_path = is_repo_id(source) and parent != source and os.path.isdir(parent)
    if is_path and revision == MAIN and not os.path.isdir(source):
        raise ConfigError(
            say(
                "model: there is no folder '{source}', though there is a folder '{parent}': "
                "correct the path, or write {source}@{main} for a model of that name on the hub.",
                source=source,
                parent=parent,
                main=MAIN,
            )
        )


def _add(known: dict[str, Model], model: Model) -> None:
    # Some file systems do not tell upper case from lower.
    same = next((m for m in known.values() if _same_folder(m, model)), model)
    known[model.name] = model
    if same != model:
        raise ConfigError(
            say(
                "models: {one} and {other} would both use the folder {folder}: give one of them a "
                "`name`.",
                one=same.source,
                other=model.source,
                folder=model.name,
            )
        )


def _same_folder(one: Model, other: Model) -> bool:
    return one.name.casefold() == other.name.casefold()
