"""A hub of one model, and the environment that leads the real client to it."""

import random
from pathlib import Path

import pytest
from huggingface_hub import constants

from blockresearch.hub import requests
from blockresearch.hub.repository import list_files, resolve_commit
from tests.tools.hub_server import HubServer

REPO = "org/model"
SHARD = "model.safetensors"
WEIGHTS = random.Random(0).randbytes(500_001)
CONFIG = b'{"model_type": "llama"}'


def put(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@pytest.fixture
def server(tmp_path, monkeypatch):
    root = tmp_path / "root"
    put(root / REPO, {SHARD: WEIGHTS, "config.json": CONFIG, "extra/tokenizer.json": b"{}"})
    put(root / f"{REPO}@v1.0", {"config.json": b"{}"})
    put(root / f"{REPO}@refs--pr--1", {"config.json": b'{"pr": 1}'})
    tokens = {"hf_ok": ["org/gated", "org/private"], "hf_other": []}
    with HubServer(root, tokens) as running:
        use(running.url, tmp_path / "cache", monkeypatch)
        yield running


def use(endpoint, cache, monkeypatch):
    """What HF_ENDPOINT and HF_HOME do in a new process."""
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache / "token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(requests, "FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.delenv("HF_TOKEN", raising=False)


def listed(repo=REPO, revision="main"):
    """The commit and its files by path."""
    commit = resolve_commit(repo, revision).id
    return commit, {file.path: file for file in list_files(repo, commit)}


def gets(server, name=SHARD):
    """The GET requests for a file's content."""
    return [r for r in server.requests if r.method == "GET" and r.cdn and r.path.endswith(name)]


def restricted(server):
    put(server.root / "org/gated", {SHARD: WEIGHTS, ".hub.json": b'{"gated": "manual"}'})
    put(server.root / "org/private", {SHARD: WEIGHTS, ".hub.json": b'{"private": true}'})
    put(server.root / "org/off", {".hub.json": b'{"disabled": true}'})


def left_behind(folder):
    """The partials in a folder."""
    return sorted(folder.glob(".partial-*"))
