"""The configuration: checked against its schema, defaults filled in, errors in one sentence."""

import contextlib
import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blockresearch.hub.names import is_folder, is_repo_id, is_revision
from blockresearch.project import project_file

VARIANT = re.compile(r"[A-Za-z0-9_]{1,40}", re.ASCII)

NAME = re.compile(r"[A-Za-z0-9_][\w.@-]{0,199}", re.ASCII)

# What lies in `results` beside the folders of models, and what Windows takes for a device.
TAKEN = re.compile(
    r"logs|benchmarks|index\.(html|json)|(glossary|verdict|checksums)\..*"
    r"|(con|prn|aux|nul|com\d|lpt\d)(\..*)?",
    re.IGNORECASE,
)

MAIN = "main"

# The default model. It comes with the project, also if that is not the current folder.
DEMO = "resources/demo"


class ConfigError(ValueError):
    """A wrong configuration; the message names the key."""


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

    @property
    def is_folder(self) -> bool:
        """Whether the model is read from a local folder."""
        return self.revision is None


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
    for root in ("results", "weights"):
        if root in result:  # a shell leaves the ~ of `--config results=~/…` as it is
            result[root] = os.path.expanduser(result[root])
    return result


def models(config: Mapping[str, Any]) -> dict[str, Model]:
    """The models to analyze by the name of their results folder: `models`, or `model` alone.

    Raises ConfigError if both are set, for ids that are neither a folder nor a hub id, and for two
    models that would share a folder.
    """
    if config["models"] and config["model"] != DEMO:
        raise ConfigError(
            f"model and models are both set: leave one out (on the command line models=[] lets "
            f"model={config['model']} count, and model={DEMO} lets models count)."
        )
    listed = config["models"] or [config["model"]]
    result: dict[str, Model] = {}
    for entry in listed:
        entry = {"model": entry} if isinstance(entry, str) else entry
        model = parse_model(
            entry["model"],
            entry.get("revision") or config["revision"],
            entry.get("name"),
            entry.get("subfolder", config["subfolder"]),
            entry.get("variant", config["variant"]),
        )
        # Some file systems do not tell upper case from lower.
        known = next((m for m in result.values() if _same_folder(m, model)), model)
        result[model.name] = model
        if known != model:
            raise ConfigError(
                f"models: {known.source} and {model.source} would both use the folder "
                f"{model.name}: give one of them a `name`."
            )
    return result


def _same_folder(one: Model, other: Model) -> bool:
    return one.name.casefold() == other.name.casefold()


def parse_model(
    source: str,
    revision: str = MAIN,
    name: str | None = None,
    subfolder: str = "",
    variant: str | None = None,
) -> Model:
    """A model from the text a user gives: an existing folder, else a hub id at `revision`."""
    subfolder = subfolder.strip("/")
    if subfolder and not is_folder(subfolder):
        raise ConfigError(f"subfolder: {subfolder!r} is not a folder inside the model.")
    if variant is not None and not VARIANT.fullmatch(variant):
        raise ConfigError(f"variant: {variant!r} is not a word such as fp16.")
    chosen = "".join(f"--{part}" for part in (*subfolder.split("/"), variant) if part)
    if source == DEMO and not os.path.isdir(DEMO):
        source = project_file(DEMO)
    # os.path tells what is no path at all (too long, a NUL, an unknown ~user) from an error.
    path = Path(os.path.expanduser(source))
    if source and os.path.isdir(path):
        if set(source) & set("{}"):
            raise ConfigError(
                f"model: the folder {source!r} has braces in its path, which are wildcards to "
                "Snakemake: rename it, or name a link to it."
            )
        stem = name or path.resolve().name + chosen
        safe = re.sub(r"[^A-Za-z0-9._-]", "_", stem)
        return Model(_free(f"local--{safe}"), str(path), None, subfolder, variant)
    if not is_repo_id(source):
        raise ConfigError(
            f"model: {source!r} is neither an existing folder nor a hub id such as Qwen/Qwen3-4B."
        )
    revision = str(revision)
    if not is_revision(revision):
        raise ConfigError(
            f"revision: {revision!r} is not the name of a branch, a tag, a commit or refs/pr/N."
        )
    slug = source.replace("/", "--") + chosen
    suffix = "" if revision == MAIN else "@" + revision.replace("/", "--")
    return Model(_free(name or slug + suffix), source, revision, subfolder, variant)


def _free(name: str) -> str:
    """The name of a model's folder; ConfigError where there can be no such folder in `results`."""
    if not NAME.fullmatch(name) or TAKEN.fullmatch(name):
        raise ConfigError(
            f"models: the folder of a model cannot be called {name[:80]!r}: give the model a `name`"
            " of at most 200 letters, digits, dots, dashes and underscores that nothing else has."
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


def _sentence(error: Any, schema: Mapping[str, Any]) -> str:
    place = ".".join(str(step) for step in error.absolute_path)
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        unknown = next(key for key in error.instance if key not in known)
        close = difflib.get_close_matches(str(unknown), known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known keys are {', '.join(known)}."
        return f"config: unknown key {'.'.join(filter(None, [place, str(unknown)]))}: {hint}"
    allowed = error.schema.get("description", "")
    if error.validator == "enum":
        allowed = "one of " + ", ".join(map(str, error.validator_value))
    return (
        f"config: {place or 'the file'} is {error.instance!r}, expected: {allowed or error.message}"
    )
