"""A model as people name it: a hub id, the address of its page, a folder or a file."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from blockresearch.hub.cache import opened_snapshot
from blockresearch.hub.names import is_folder, is_repo_id, is_revision
from blockresearch.hub.requests import HubError
from blockresearch.language.sentence import say
from blockresearch.project import project_file
from blockresearch.results import hub_name, local_name
from blockresearch.run.validation import ConfigError

VARIANT = re.compile(r"[A-Za-z0-9_]{1,40}", re.ASCII)

NAME = re.compile(r"[A-Za-z0-9_][\w.@-]{0,199}", re.ASCII)

# What lies in `results` beside the folders of models, and what Windows takes for a device.
TAKEN = re.compile(
    r"logs|benchmarks|downloads|compare|dynamics|index\.(html|json)|(glossary|verdict|checksums|store)\..*"
    r"|(con|prn|aux|nul|com\d|lpt\d)(\..*)?",
    re.IGNORECASE,
)

MAIN = "main"

# Hosts of the hub and of its best known mirror; that of HF_ENDPOINT is a hub as well.
HUBS = ("huggingface.co", "hf.co", "hf-mirror.com")

# How a page of the hub shows a revision: a step of its path.
VIEWS = (["tree"], ["blob"], ["resolve"], ["raw"])

# The default model. It comes with the project, also if that is not the current folder.
DEMO = "resources/demo"


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
    _refuse_other_kinds(subfolder, variant, file)
    if source == DEMO and not os.path.isdir(DEMO):
        source = project_file(DEMO)
    # Too long, a NUL, an unknown ~user: for os.path these are no paths, not errors.
    path = Path(os.path.expanduser(source))
    choice = subfolder, variant, file
    if source and os.path.isdir(path):
        found, opened = _in_folder(source, path)
        folder = local_name(name or found + _ending(*choice))
        return Model(_free(folder), opened, None, *choice)
    source, revision = _on_hub(source, revision)
    folder = name or hub_name(source, revision, _ending(*choice))
    return Model(_free(folder), source, revision, *choice)


def _refuse_other_kinds(subfolder: str, variant: str | None, file: str | None) -> None:
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


def _ending(subfolder: str, variant: str | None, file: str | None) -> str:
    """What the choice among sets of weights adds to the name of a model's folder."""
    stem = (file or "").removesuffix(".json").removesuffix(".index").removesuffix(".safetensors")
    parts = (*subfolder.split("/"), variant, *stem.split("/"))
    return "".join(f"--{part}" for part in parts if part)


def _in_folder(source: str, path: Path) -> tuple[str, str]:
    """The name of a model that is a folder, and the folder: of the hub's cache, its snapshot."""
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
    name = path.resolve().name
    return name if opened == path else name.removeprefix("models--"), str(opened)


def _on_hub(source: str, revision: str) -> tuple[str, str]:
    """The hub id and the revision that a user means by ID or ID@REVISION, and `revision`."""
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
    revision = own_revision or revision
    if not is_revision(revision):
        raise ConfigError(
            say(
                "revision: {revision} is not the name of a branch, a tag, a commit or refs/pr/N.",
                revision=repr(revision),
            )
        )
    return repo, revision


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
