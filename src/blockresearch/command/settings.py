"""Settings of a call: as the words of `snakemake --config`, and as the workflow will read them.

Snakemake turns `revision=2024_01` into a number and cuts `model=my #1 model`. Here a value is
written so that it stays what was typed.
"""

import argparse
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blockresearch.command.calls import UsageError
from blockresearch.files import read_yaml
from blockresearch.project import project_file
from blockresearch.run.config import Compared, compared, models
from blockresearch.run.model import DEMO, Model
from blockresearch.run.validation import checked

CONFIG_FILE = "config/config.yaml"
SCHEMA = "workflow/schemas/config.schema.yaml"

KEY = re.compile(r"[a-zA-Z_][\w-]*\w(\.\w+)*")
# Texts that YAML and Snakemake leave as they are.
PLAIN = re.compile(r"[A-Za-z~./][\w@~./+-]*", re.ASCII)
# What Snakemake reads as a number, a truth value or nothing.
CONVERTED = re.compile(r"[-+]?[\d_.]+(e[-+]?[\d_]+)?|[-+]?(nan|inf|infinity)|true|false|", re.I)


@dataclass(frozen=True)
class Settings:
    """What a command line sets.

    words    key=value of --config
    files    of --configfile
    config   the checked configuration that follows
    """

    words: tuple[str, ...]
    files: tuple[str, ...]
    config: Mapping[str, Any]

    @property
    def results(self) -> Path:
        """The folder of results."""
        return Path(self.config["results"])

    @property
    def models(self) -> dict[str, Model]:
        """The models by the name of their folder in the results."""
        return models(self.config)

    @property
    def comparisons(self) -> list[Compared]:
        """The pairs that are compared."""
        return compared(self.config)


def settings_of(options: argparse.Namespace, words: Sequence[str]) -> Settings:
    """The settings of a subcommand: its own `words` and those of its options.

    Raises ConfigError if the configuration that follows is wrong, and UsageError for a text that
    is not KEY=VALUE.
    """
    chosen = list(words)
    if options.results is not None:
        chosen.append(text("results", options.results))
    chosen += [_word(typed) for typed in options.set]
    files = [path for path in (CONFIG_FILE,) if os.path.exists(path)]
    config: dict[str, Any] = {}
    for path in [*files, *options.config]:
        config = merged(config, read_yaml(path) or {})
    for word in chosen:
        key, _, value = word.partition("=")
        config = merged(config, {key: parsed(value)})
    if "weights" not in config:
        folder = str(weights_folder())
        chosen.append(text("weights", folder))
        config["weights"] = folder
    result = checked(config, read_yaml(project_file(SCHEMA)))
    # Here, because Snakemake would find a misspelled model seconds later.
    models(result)
    return Settings(tuple(chosen), tuple(options.config), result)


def of_models(sources: Sequence[str]) -> list[str]:
    """The words that make these the models of a run, whatever a configuration file says.

    `model=ID` for one, as a person would type it.
    """
    if len(sources) == 1:
        return [text("model", sources[0]), *(["models=[]"] if os.path.exists(CONFIG_FILE) else [])]
    return [f"model={DEMO}", f"models={json.dumps(list(sources), ensure_ascii=False)}"]


def of_chosen(options: argparse.Namespace) -> list[str]:
    """The words for the models of a command line, which are named or listed in a text file.

    Raises UsageError if there is neither, or both.
    """
    if bool(options.model) == bool(options.models):
        raise UsageError("name models, or a list of them with --models FILE.")
    if options.model:
        return of_models(options.model)
    return [f"model={DEMO}", text("models", options.models)]


def text(key: str, value: str) -> str:
    """The word that sets a key to a text: plain, or quoted so that Snakemake leaves it as it is."""
    if PLAIN.fullmatch(value) and not CONVERTED.fullmatch(value):
        return f"{key}={value}"
    # Snakemake strips quotes at the ends of a value, but not behind spaces.
    return f"{key}= {json.dumps(value, ensure_ascii=False)} "


def weights_folder() -> Path:
    """Where weights go if no configuration says it: beside the hub's cache, which users put on a
    large disk with HF_HOME. Files are named by content, so all folders of results share them."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    home = os.environ.get("HF_HOME") or os.path.join(cache, "huggingface")
    return Path(os.path.expanduser(home), "blockresearch")


def weights_of_folder() -> Path:
    """Where weights go in the current folder."""
    known = read_yaml(CONFIG_FILE) or {} if os.path.exists(CONFIG_FILE) else {}
    return Path(os.path.expanduser(known["weights"])) if "weights" in known else weights_folder()


def parsed(value: str) -> Any:
    """The value of a word as the workflow reads it; texts stay texts until they are checked."""
    import yaml

    try:
        return yaml.BaseLoader(value).get_single_data()
    except yaml.YAMLError:
        return value


def merged(config: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """`config` with the values of `other`; mappings are merged, everything else is replaced."""
    result = dict(config)
    for key, value in other.items():
        known = result.get(key)
        if isinstance(known, Mapping) and isinstance(value, Mapping):
            value = merged(known, value)
        result[key] = value
    return result


def _word(typed: str) -> str:
    key, equals, value = typed.partition("=")
    if not equals or not KEY.fullmatch(key):
        raise UsageError(f"--set {typed}: write KEY=VALUE, such as spectra=none.")
    first, *inner = key.split(".")
    if inner:
        for step in reversed(inner):
            value = f"{{{step}: {value}}}"
    elif CONVERTED.fullmatch(value) and _is_text(first):
        return text(first, value)
    return f"{first}={value}"


def _is_text(key: str) -> bool:
    properties = read_yaml(project_file(SCHEMA))["properties"]
    types = properties.get(key, {}).get("type", ())
    return "string" in ([types] if isinstance(types, str) else types)
