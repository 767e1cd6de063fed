"""Failures of the hub and the network: retries, waits, and one sentence for each."""

import os
import time
from email.utils import formatdate

import pytest
from huggingface_hub import constants

from blockresearch.hub import requests
from blockresearch.hub.download import download
from blockresearch.hub.repository import list_files, read_start, resolve_commit
from blockresearch.hub.requests import MAX_WAIT_SECONDS, HubError
from blockresearch.hub.transfer import RepoFile, is_intact
from tests.unit.hub.conftest import REPO, SHARD, WEIGHTS, gets, listed, restricted, use


def test_a_silent_server_is_not_waited_for(server, monkeypatch):
    monkeypatch.setattr(requests, "TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    server.fault("stall", path="/revision/", times=6, seconds=60)
    with pytest.raises(HubError, match="keeps breaking off at org/model@main"):
        resolve_commit(REPO, "main")


def test_server_errors_pass(server, tmp_path):
    server.fault("status", times=2, path="/revision/", status=502)
    server.fault("status", times=2, path="/resolve/", status=500)
    server.fault("status", times=1, path=SHARD, status=403, cdn=True)  # expired signature
    commit, files = listed()
    download(REPO, commit, files[SHARD], tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == WEIGHTS


def test_waits_as_long_as_the_server_requests(server, monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    in_a_minute = formatdate(time.time() + 60, usegmt=True)
    for headers in (
        {"Retry-After": "7"},
        {"Retry-After": in_a_minute},
        {"RateLimit": '"api";r=0;t=55'},
        {"Retry-After": "100000"},
        {"Retry-After": "soon"},
    ):
        server.fault("status", path="/revision/", status=429, headers=headers)
    resolve_commit(REPO, "main")
    assert waits == pytest.approx([7, 60, 55, MAX_WAIT_SECONDS, 0.016], abs=1.5)
    server.fault("status", path="/revision/", status=429, times=6)
    with pytest.raises(HubError, match=r"limits the rate of requests .* wait some minutes"):
        resolve_commit(REPO, "main")


def test_redirects(server, tmp_path):
    commit, files = listed()
    new = {"Location": f"/api/models/{REPO}/revision/main"}  # a repository that was renamed
    server.fault("status", path="org/old/revision", status=307, headers=new)
    assert resolve_commit("org/old", "main").id == commit
    home = {"Location": f"/{REPO}/resolve/{commit}/{SHARD}"}
    server.fault("status", path=f"/resolve/{commit}/{SHARD}", status=302, headers=home, times=99)
    with pytest.raises(HubError, match="redirects in circles, so it is not a Hugging Face hub"):
        download(REPO, commit, files[SHARD], tmp_path / "out" / "file")
    assert os.listdir(tmp_path / "out") == []


def test_restricted_repositories(server, tmp_path, monkeypatch):
    restricted(server)
    gated, files = listed("org/gated")
    target = tmp_path / "file"
    for token in (None, "hf_other"):
        if token:
            monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(HubError, match=r"org/gated is gated; accept its conditions on http\S+"):
            download("org/gated", gated, files[SHARD], target)
        with pytest.raises(HubError, match="has no model org/private, or it is private"):
            resolve_commit("org/private", "main")
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    with pytest.raises(HubError, match="refuses the token, which is mistyped, deleted or expired"):
        resolve_commit("org/private", "main")
    monkeypatch.setenv("HF_TOKEN", "hf_ok")
    download("org/gated", gated, files[SHARD], target)
    assert is_intact(target, files[SHARD])
    assert list_files("org/private", resolve_commit("org/private", "main").id)
    assert [r.authorized for r in gets(server)] == [False]  # no token for the other origin


def test_sentences(server, tmp_path):
    commit, files = listed()
    outside = RepoFile("../x", 9, None, None)
    missing = RepoFile("missing.safetensors", 1, None, None)
    restricted(server)
    for sentence, call in {
        "has no model org/nothing": lambda: resolve_commit("org/nothing", "main"),
        "org/model has no revision 'v9' on": lambda: resolve_commit(REPO, "v9"),
        "missing.safetensors does not exist on": lambda: download(
            REPO, commit, missing, tmp_path / "file"
        ),
        "org/off has been disabled": lambda: resolve_commit("org/off", "main"),
        "is no name of a model": lambda: resolve_commit("../../etc", "main"),
        "cannot name a revision": lambda: resolve_commit(REPO, "../../main"),
        "cannot be a file of org/model": lambda: read_start(REPO, commit, outside, 8),
        "cannot write": lambda: download(
            REPO, commit, files[SHARD], tmp_path / "root" / REPO / SHARD / "file"
        ),
        "GB free but big needs 1000000000.0 GB": lambda: download(
            REPO, commit, RepoFile("big", 10**18, None, None), tmp_path / "file"
        ),
    }.items():
        asked = len(server.requests)
        with pytest.raises(HubError, match=sentence) as caught:
            call()
        assert "\n" not in str(caught.value)
        assert len(server.requests) <= asked + 1, "a lasting error must not be tried again"
    for _ in range(3):
        server.fault("html")
        with pytest.raises(HubError, match="so it is not a Hugging Face hub; check HF_ENDPOINT"):
            resolve_commit(REPO, "main")
    server.fault("status", status=200)
    with pytest.raises(HubError, match="so it is not a Hugging Face hub"):
        resolve_commit(REPO, "main")


def test_token_stays_out_of_the_sentence(server, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret\u00e4")
    with pytest.raises(HubError, match=r"no request to http.*HF_TOKEN") as caught:
        resolve_commit(REPO, "main")
    assert "hf_sec" not in str(caught.value)


@pytest.mark.parametrize(
    "endpoint, sentence, tries",
    [
        ("http://127.0.0.1:1", "cannot reach http://127.0.0.1:1 .*check the network", 6),
        ("127.0.0.1:1", "no request to 127.0.0.1:1 .*check HF_ENDPOINT", 1),
    ],
)
def test_no_server(tmp_path, monkeypatch, caplog, endpoint, sentence, tries):
    use(endpoint, tmp_path, monkeypatch)
    with pytest.raises(HubError, match=sentence):
        resolve_commit(REPO, "main")
    assert caplog.text.count("trying again") == tries - 1
