"""The configuration: checked against its schema, defaults filled in, errors in one sentence."""

import contextlib
import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from blockresearch.hub.cache import opened_snapshot
from blockresearch.hub.names import is_folder, is_repo_id, is_revision
from blockresearch.hub.requests import HubError
from blockresearch.language.sentence import Sentence, declared, say
from blockresearch.project import project_file
from blockresearch.results import hub_name, local_name

VARIANT = re.compile(r"[A-Za-z0-9_]{1,40}", re.ASCII)

NAME = re.compile(r"[A-Za-z0-9_][\w.@-]{0,199}", re.ASCII)

# In a list of models: from the start of a line, or behind a space.
COMMENT = re.compile(r"(^|\s)#.*")

# What lies in `results` beside the folders of models, and what Windows takes for a device.
TAKEN = re.compile(
    r"logs|benchmarks|downloads|compare|dynamics|index\.(html|json)|(glossary|verdict|checksums)\..*"
    r"|(con|prn|aux|nul|com\d|lpt\d)(\..*)?",
    re.IGNORECASE,
)

MAIN = "main"

# Hosts of the hub and of its best known mirror; that of HF_ENDPOINT is a hub as well.
HUBS = ("huggingface.co", "hf.co", "hf-mirror.com")

# How a page of the hub shows a revision: a step of its path.
VIEWS = (["tree"], ["blob"], ["resolve"], ["raw"])

# Pages of the hub's website, so that no account has such a name: models/x is never a model there.
PAGES = frozenset({"api", "datasets", "docs", "models", "settings", "spaces", "tasks"})

# The default model. It comes with the project, also if that is not the current folder.
DEMO = "resources/demo"


class ConfigError(ValueError):
    """A wrong configuration; the message names the key, and is a sentence that is translated."""


@dataclass(frozen=True)
class Model:
    """One model to analyze: a hub id at a revision, or a local folder.

    `name` is the name of its folder under results.
    """

    name: str
    source: str
    revision: str | None
    subfolder: str = ""
    variant: str | None = None
    file: str | None = None

    @property
    def is_folder(self) -> bool:
        """Whether the model is read from a local folder."""
        return self.revision is None

    @property
    def selection(self) -> dict[str, str | None]:
        """The flags of scripts that choose among sets of weights, None for the usual choice."""
        return {"subfolder": self.subfolder or None, "variant": self.variant, "file": self.file}


def checked(config: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """`config` with the schema's defaults filled in, and `~` in its folders as the home folder.

    Raises ConfigError with one sentence that names the first wrong key.
    """
    import jsonschema

    result = _with_defaults(dict(config), schema)
    errors = sorted(
        jsonschema.Draft202012Validator(schema).iter_errors(result),
        key=lambda error: [str(step) for step in error.absolute_path],
    )
    if errors:
        raise ConfigError(_sentence(errors[0], schema))
    analyses = result.get("analyses", [])
    if "circuits" in analyses and "tensors" not in analyses:
        raise ConfigError(
            say("analyses: circuits are made from all tensors, so add tensors to the list.")
        )
    for root in ("results", "weights"):
        if root in result:  # a shell leaves the ~ of `--config results=~/…` as it is
            result[root] = os.path.expanduser(result[root])
    return result


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
            f"model: there is no folder {source!r}, and no model on the hub has such a name: "
            "correct the path."
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


def parse_model(
    source: str,
    revision: str = MAIN,
    name: str | None = None,
    subfolder: str = "",
    variant: str | None = None,
    file: str | None = None,
) -> Model:
    """A model from the text a user gives: an existing folder, else a hub id at `revision`.

    A hub id may have its own revision, ID@REVISION. A folder of the hub's cache is its snapshot.
    The address of a model's page is its hub id; a .safetensors file is that file of its folder.
    Raises ConfigError if an argument is not of its kind.
    """
    if source.startswith(("https://", "http://")):
        source, linked_revision, inside = _of_address(source)
        revision = revision if linked_revision is None else linked_revision
        is_weights = inside.endswith((".safetensors", ".json"))
        subfolder, file = (subfolder, file or inside) if is_weights else (subfolder or inside, file)
    elif source.endswith(".safetensors") and os.path.isfile(os.path.expanduser(source)):
        folder, name_of_file = os.path.split(source)
        source, file = folder or ".", file or name_of_file
    subfolder = subfolder.strip("/")
    if subfolder and not is_folder(subfolder):
        raise ConfigError(
            say("subfolder: {folder} is not a folder inside the model.", folder=repr(subfolder))
        )
    if variant is not None and not VARIANT.fullmatch(variant):
        raise ConfigError(
            say("variant: {variant} is not a word such as fp16.", variant=repr(variant))
        )
    if file is not None and not is_folder(file):
        raise ConfigError(
            say("file: {file} is not the name of a file inside the model.", file=repr(file))
        )
    stem = (file or "").removesuffix(".json").removesuffix(".index").removesuffix(".safetensors")
    parts = (*subfolder.split("/"), variant, *stem.split("/"))
    chosen = "".join(f"--{part}" for part in parts if part)
    if source == DEMO and not os.path.isdir(DEMO):
        source = project_file(DEMO)
    # Too long, a NUL, an unknown ~user: for os.path these are no paths, not errors.
    path = Path(os.path.expanduser(source))
    if source and os.path.isdir(path):
        if set(source) & set("{}"):
            raise ConfigError(
                say(
                    "model: the folder {source} has braces in its path, which are wildcards to "
                    "Snakemake: rename it, or name a link to it.",
                    source=repr(source),
                )
            )
        try:
            opened = opened_snapshot(path)
        except HubError as error:
            raise ConfigError(f"model: {error}.") from error
        own = path.resolve().name
        own = own if opened == path else own.removeprefix("models--")
        found = local_name(name or own + chosen)
        return Model(_free(found), str(opened), None, subfolder, variant, file)
    repo, _, own_revision = source.partition("@")
    if not is_repo_id(repo):
        raise ConfigError(
            say(
                "model: {source} is neither an existing folder nor a hub id such as Qwen/Qwen3-4B.",
                source=repr(source),
            )
        )
    if own_revision and revision not in (MAIN, own_revision):
        raise ConfigError(
            say(
                "model: {source} contains a revision, and revision is {revision}: leave one of "
                "them out.",
                source=repr(source),
                revision=repr(revision),
            )
        )
    source, revision = repo, own_revision or revision
    if not is_revision(revision):
        raise ConfigError(
            say(
                "revision: {revision} is not the name of a branch, a tag, a commit or refs/pr/N.",
                revision=repr(revision),
            )
        )
    found = name or hub_name(source, revision, chosen)
    return Model(_free(found), source, revision, subfolder, variant, file)


def _of_address(address: str) -> tuple[str, str | None, str]:
    """Hub id, revision (None if it has none) and path inside, of an address that a browser shows.

    ORG/NAME, ORG/NAME/tree/REVISION/FOLDER or ORG/NAME/blob/REVISION/FILE, also with `resolve` as
    in links for downloads. Raises ConfigError for a page of another site.
    """
    parts = urlsplit(address)
    if parts.hostname not in (*HUBS, urlsplit(os.environ.get("HF_ENDPOINT", "")).hostname):
        raise ConfigError(
            say(
                "model: {address} is not the page of a model on {hub}: give a hub id such as "
                "Qwen/Qwen3-4B, or download the files and give their folder.",
                address=repr(address),
                hub=HUBS[0],
            )
        )
    steps = [unquote(step) for step in parts.path.strip("/").split("/")]
    place = next((i for i in (1, 2) if steps[i : i + 1] in VIEWS), len(steps))
    repo, revision = "/".join(steps[:place]), steps[place + 1 : place + 2]
    return repo, revision[0] if revision else None, "/".join(steps[place + 2 :])


def _free(name: str) -> str:
    """The name of a model's folder; ConfigError where there can be no such folder in `results`."""
    if not NAME.fullmatch(name) or TAKEN.fullmatch(name):
        raise ConfigError(
            say(
                "models: the folder of a model cannot be called {name}: give the model a `name` of "
                "at most 200 letters, digits, dots, dashes and underscores that nothing else has.",
                name=repr(name[:80]),
            )
        )
    return name


def _with_defaults(config: dict[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    for key, rule in schema.get("properties", {}).items():
        if key not in config and "default" in rule:
            config[key] = rule["default"]
        if isinstance(config.get(key), dict) and "properties" in rule:
            config[key] = _with_defaults(dict(config[key]), rule)
        elif isinstance(config.get(key), str):
            config[key] = _number(config[key], rule.get("type", "string"))
    return config


def _number(text: str, types: str | list[str]) -> Any:
    """A text as the number, truth or null that the schema wants: in --config everything is text."""
    if "string" in types:
        return text
    if "boolean" in types and text in ("true", "false"):
        return text == "true"
    if "null" in types and text in ("null", "None", ""):
        return None
    for convert, wanted in ((int, "integer"), (float, "number")):
        if wanted in types:
            with contextlib.suppress(ValueError):
                return convert(text)
    return text


def _not_a_text(place: str, value: Any) -> Sentence:
    """Why a value that should be a text is none, and how to write it.

    The command line and YAML turn 2024_01 into 202401 and 1.10 into 1.1. What was typed cannot be
    known from that, and both may name something.
    """
    key = place.rpartition(".")[2]
    if value is None or value == "":
        return say("config: {key} is empty: give it a value, or leave it out.", key=place)
    kinds = {bool: say("a truth value"), list: say("a list"), dict: say("a mapping")}
    kind = next((word for known, word in kinds.items() if isinstance(value, known)), None)
    kind = kind or (say("a date") if isinstance(value, date) else say("a number"))
    facts = {"key": place, "kind": kind, "value": repr(value), "name": key}
    if key.isdigit():
        return say(
            "config: {key} was read as {kind}, {value}, not as a text: write it in quotes in "
            "config.yaml, {list}='[\"TEXT\"]' on the command line.",
            list=place.partition(".")[0],
            **facts,
        )
    known = {"revision": "model=ID@REVISION", "model": "model=./NAME"}
    if key in known:
        return say(
            "config: {key} was read as {kind}, {value}, not as a text: write {better}, or "
            "'{name}=!!str TEXT' on the command line (quotes do not help there), "
            '{name}: "TEXT" in config.yaml.',
            better=known[key],
            **facts,
        )
    return say(
        "config: {key} was read as {kind}, {value}, not as a text: write '{name}=!!str TEXT' on "
        'the command line (quotes do not help there), {name}: "TEXT" in config.yaml.',
        **facts,
    )


def _sentence(error: Any, schema: Mapping[str, Any]) -> Sentence:
    if error.validator == "anyOf":
        # An entry is a text or a mapping: what is wrong inside the mapping says more.
        depth = len(error.absolute_path)
        inside = [e for e in error.context if e.validator == "additionalProperties"]
        inside += [e for e in error.context if len(e.absolute_path) > depth]
        if not isinstance(error.instance, dict):
            inside = error.context
        error = next(iter(inside), error)
    place = ".".join(str(step) for step in error.absolute_path)
    if error.validator == "type" and "string" in error.validator_value:
        return _not_a_text(place, error.instance)
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        unknown = next(key for key in error.instance if key not in known)
        close = difflib.get_close_matches(str(unknown), known, n=1)
        name = ".".join(filter(None, [place, str(unknown)]))
        if close:
            return say("config: unknown key {key}: did you mean {close}?", key=name, close=close[0])
        return say(
            "config: unknown key {key}: known keys are {known}.", key=name, known=", ".join(known)
        )
    allowed = error.schema.get("description", "")
    if error.validator == "enum":
        allowed = say("one of {values}", values=", ".join(map(str, error.validator_value)))
    return say(
        "config: {key} is {value}, expected: {allowed}",
        key=place or say("the file"),
        value=repr(error.instance),
        allowed=declared(allowed or error.message),
    )
