"""Helpers of the rules: what a job's result depends on, as values that Snakemake can compare.

Imports little, because every job of a cluster parses the Snakefile again.
"""

import csv
import hashlib
import json
import os
import shlex
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

Version = tuple[str, int, int]  # path, time of the last change in ns, size


def flags(options: Mapping[str, Any]) -> str:
    """Options as one shell-ready string, sorted by name; None is left out, True is a bare flag.

    One string, because Snakemake compares parameters as a set of values without their names.
    """
    words = [
        f"--{name}" if value is True else f"--{name}={shlex.quote(str(value))}"
        for name, value in sorted(options.items())
        if value is not None and value is not False
    ]
    return " ".join(words)


@cache
def fingerprint(name: str, without: str | None = None) -> str:
    """Hash of the code that a script or a notebook runs: itself and all project modules it imports.

    `name` is a script (`analyze` for workflow/scripts/analyze.py) or a notebook (`10_x.ipynb`).
    Comments, docstrings and layout do not count; the text of a notebook does. `without` names a
    module that the script imports but that a rule's way of calling it does not run. Another version
    of Python compiles to other code, so it is as if the code had changed.
    """
    if name.endswith(".ipynb"):
        text, code = _notebook_code(ROOT / "notebooks" / name)
    else:
        text, code = name, _code(ROOT / "workflow" / "scripts" / f"{name}.py")
    digest = hashlib.sha256()
    parts = [(text, code)]
    for path in _closure(_imports(code), without):
        parts.append((path.relative_to(ROOT).as_posix(), _code(path)))
    for title, part in parts:
        digest.update(title.encode() + b"\0" + repr(_meaning(part)).encode() + b"\0")
    return digest.hexdigest()[:16]


def _closure(modules: Iterable[str], without: str | None) -> list[Path]:
    waiting, found = list(modules), set()
    while waiting:
        module = waiting.pop()
        path = ROOT / (module.replace(".", "/") + ".py")
        if module != without and path not in found and path.is_file():
            found.add(path)
            waiting.extend(_imports(_code(path)))
    return sorted(found)


@cache
def _imports(code: CodeType) -> list[str]:
    """Project modules imported anywhere in the code, functions included, in either spelling."""
    modules = [name for name in code.co_names if name.startswith("workflow.")]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            modules += _imports(constant)
        elif isinstance(constant, tuple):  # from package import (these names)
            packages = [name for name in code.co_names if name.startswith("workflow.")]
            modules += [f"{package}.{name}" for package in packages for name in constant]
    return modules


@cache
def _code(path: Path) -> CodeType:
    return _compiled(path.read_text(encoding="utf-8"))


def _compiled(source: str) -> CodeType:
    # Compiling and walking a few thousand functions takes a third of the time of parsing to, and
    # dumping, a syntax tree. Level 2 leaves docstrings out.
    return compile(source, "", "exec", dont_inherit=True, optimize=2)


@cache
def _meaning(code: CodeType) -> tuple[Any, ...]:
    """All of a code object that decides what it does; line numbers and file names do not."""
    constants: list[Any] = []
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            constants.append(_meaning(constant))
        elif isinstance(constant, frozenset):  # whose order changes from process to process
            constants.append(sorted(map(repr, constant)))
        else:
            constants.append(repr(constant))
    arguments = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return code.co_name, code.co_code, code.co_exceptiontable, arguments, names, constants


def _notebook_code(path: Path) -> tuple[str, CodeType]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    source = {"code": "", "markdown": "", "raw": ""}
    for cell in cells:
        source[cell["cell_type"]] += "".join(cell["source"]) + "\n"
    return source["markdown"] + source["raw"], _compiled(source["code"])


def version(path: str | os.PathLike[str]) -> Version:
    """A file as it is now, so that what follows from its content can be remembered."""
    status = os.stat(path)
    return str(path), status.st_mtime_ns, status.st_size


def read_json(path: str | os.PathLike[str]) -> Any:
    """The JSON value in a file, parsed once as long as the file stays the same."""
    return _read_json(version(path))


@cache
def _read_json(file: Version) -> Any:
    return json.loads(Path(file[0]).read_text(encoding="utf-8"))


def read_yaml(path: str | os.PathLike[str]) -> Any:
    """The YAML value in a file."""
    import yaml

    return yaml.safe_load(Path(path).read_text(encoding="utf-8"))


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


def weight_path(manifest: Mapping[str, Any], file: str, weights: str) -> str:
    """Where a job finds `file` of a model: in its folder, or among the downloaded weights."""
    entry = next(entry for entry in manifest["files"] if entry["path"] == file)
    if manifest["model_id"] is None:
        return os.path.join(manifest["model_path"], file)
    return os.path.join(weights, content_key(entry), os.path.basename(file))


def content_key(entry: Mapping[str, Any]) -> str:
    """Folder of a downloaded file: the first 12 hex digits of its hash.

    A file of which only ranges are fetched has another one, so that it never stands for the whole.
    """
    whole = entry["sha256"] or entry["git_sha1"] or ""
    if "ranges" in entry:
        return hashlib.sha256(json.dumps([whole, entry["ranges"]]).encode()).hexdigest()[:12]
    return whole[:12]


def fetched_bytes(entry: Mapping[str, Any]) -> int:
    """Bytes of a file of a manifest that are downloaded: all, or those of its ranges."""
    return sum(end - begin for begin, end in entry.get("ranges", [[0, entry["size"]]]))


def without_plan(results: str, models: Iterable[str]) -> list[str]:
    """Models that have no plan yet."""
    return [model for model in models if not Path(results, model, "plan.json").exists()]


def planned_parts(plan: str) -> Mapping[str, Any]:
    """The parts of a plan file by name."""
    return _planned_parts(version(plan))


@cache
def _planned_parts(plan: Version) -> Mapping[str, Any]:
    return {part["part"]: part for part in _read_json(plan)["parts"]}


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
    return {content_key(file): fetched_bytes(file) for file in files}


def token_tensors(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The token embedding, and the output layer where it is a tensor of its own."""
    wanted = (manifest["embedding"], manifest["output"]) if manifest["embedding"] else ()
    return [tensor for name in wanted for tensor in manifest["tensors"] if tensor["name"] == name]


def token_shards(plan: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[str]:
    """Shards that embedding and output layer are read from: their own and their companions'."""
    tensors = token_tensors(manifest)
    names = {tensor["name"] for tensor in tensors}
    shards = {tensor["shard"] for tensor in tensors}
    for part in plan["parts"]:
        for tensor in part["tensors"]:
            if tensor["name"] in names:
                companions = tensor.get("scheme", {}).get("companions", {}).values()
                shards.update(other["shard"] for other in companions)
    return sorted(shards)


def embedding_digest(plan: Mapping[str, Any], manifest: Mapping[str, Any]) -> str:
    """Short hash of what the analysis of tokens reads: the tensors, their shards, the tokenizer."""
    entries, shards = token_tensors(manifest), token_shards(plan, manifest)
    files = [
        file for file in manifest["files"] if file["role"] == "tokenizer" or file["path"] in shards
    ]
    hashes = [[file["path"], file["sha256"], file["git_sha1"]] for file in files]
    text = json.dumps([entries, hashes], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def own(path: str) -> str:
    """A file of this project, as a job finds it.

    Relative in the project's own folder, so that a project can be moved and nothing is rebuilt;
    absolute where another workflow has imported this one.
    """
    return path if Path.cwd() == ROOT else str(ROOT / path)


def use_this_python() -> None:
    """Let `python -m workflow…` in the rules be this project, run by the interpreter of Snakemake.

    Also without activation, and from the folder of a workflow that has imported this one.
    """
    modules = os.environ.get("PYTHONPATH", "")
    if str(ROOT) not in modules.split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), modules)))
    here = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", "")
    if path.split(os.pathsep)[0] != here:
        os.environ["PATH"] = here + os.pathsep + path


def closing_words(results: str, models: Iterable[str]) -> str:
    """What a user reads at the end of a run: time per stage, and where the reports are."""
    lines = []
    for model in models:
        folder = Path(results, model)
        stages = stage_times(folder / "benchmarks")
        spent = ", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in stages.items())
        lines += [f"{folder / 'index.html'}", f"    computing time: {spent or 'nothing was run'}"]
    return "\n".join(["", *lines, f"All models: {Path(results, 'index.html')}"])


def stage_times(benchmarks: Path) -> dict[str, float]:
    """Seconds per rule from the benchmark files of one model, longest first."""
    spent: dict[str, float] = {}
    for path in sorted(benchmarks.rglob("*.tsv")):
        stage = path.relative_to(benchmarks).parts[0].removesuffix(".tsv")
        with path.open(newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                spent[stage] = spent.get(stage, 0.0) + float(row["s"])
    return dict(sorted(spent.items(), key=lambda item: -item[1]))
