"""The configuration checked against its schema, with defaults and errors of one sentence."""

import contextlib
import difflib
import os
from collections.abc import Mapping
from datetime import date
from typing import Any

from blockresearch.language.sentence import Sentence, declared, say


class ConfigError(ValueError):
    """A wrong configuration; the message names the key, and is a sentence that is translated."""


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
    for root in ("results", "weights", "store"):
        if result.get(root):  # a shell leaves the ~ of `--config results=~/…` as it is
            result[root] = os.path.expanduser(result[root])
    return result


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
    """A text as the number, truth or null of the declared types: --config has only texts."""
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
        values = ("null" if each is None else str(each) for each in error.validator_value)
        allowed = say("one of {values}", values=", ".join(values))
    return say(
        "config: {key} is {value}, expected: {allowed}",
        key=place or say("the file"),
        value=repr(error.instance),
        allowed=declared(allowed or error.message),
    )
