"""blockresearch.hub with the real huggingface_hub client against tests/tools/hub_server.py."""

import hashlib
import os
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from pathlib import Path

import pytest
from huggingface_hub import constants, hf_hub_download

from blockresearch.hub import partial
from blockresearch.hub import repository as hub
from blockresearch.hub import requests as hub_requests
from blockresearch.hub.repository import (
    RepoFile,
    cached_file,
    download,
    is_intact,
    list_files,
    read_small_file,
    read_start,
    resolve_commit,
)
from blockresearch.hub.requests import LONGEST_WAIT, HubError
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
    monkeypatch.setattr(hub_requests, "FIRST_WAIT", 0.001)
    monkeypatch.delenv("HF_TOKEN", raising=False)


def listed(repo=REPO, revision="main"):
    """The commit and its files by path."""
    commit = resolve_commit(repo, revision)
    return commit, {file.path: file for file in list_files(repo, commit)}


def gets(server, name=SHARD):
    """The GET requests for a file's content."""
    return [r for r in server.requests if r.method == "GET" and r.cdn and r.path.endswith(name)]


def test_revisions_become_commits(server):
    main = resolve_commit(REPO, "main")
    assert main == server.commit(server.root / REPO)
    assert resolve_commit(REPO, main) == main
    assert resolve_commit(REPO, "v1.0") == server.commit(server.root / f"{REPO}@v1.0")
    pull_request = server.commit(server.root / f"{REPO}@refs--pr--1")
    assert resolve_commit(REPO, "refs/pr/1") == pull_request
    assert list_files(REPO, pull_request)[0].size == len(b'{"pr": 1}')


def test_listing_has_sizes_and_hashes_over_all_pages(server):
    server.page_size = 1
    _, files = listed()
    assert list(files) == ["config.json", "extra/tokenizer.json", SHARD]
    sha256 = hashlib.sha256(WEIGHTS).hexdigest()
    assert files[SHARD] == RepoFile(SHARD, len(WEIGHTS), sha256, None)
    git = subprocess.run(["git", "hash-object", "--stdin"], input=CONFIG, capture_output=True)
    assert files["config.json"].git_sha1 == git.stdout.decode().strip()
    assert sum("/tree/" in r.path for r in server.requests) == 3


def test_a_listing_comes_to_an_end(server, monkeypatch):
    commit = resolve_commit(REPO, "main")
    server.page_size = 1
    monkeypatch.setattr(hub, "MAX_PAGES", 2)
    with pytest.raises(HubError, match="without end"):
        list_files(REPO, commit)
    monkeypatch.setattr("blockresearch.hub.requests.MAX_ANSWER", 10)
    with pytest.raises(HubError, match="without end"):
        list_files(REPO, commit)


def test_download_is_proved_and_leaves_nothing_else(server, tmp_path):
    commit, files = listed()
    seen = []
    target = tmp_path / "weights" / "a.safetensors"
    how = download(REPO, commit, files[SHARD], target, lambda *n: seen.append(n))
    assert how == "downloaded" and target.read_bytes() == WEIGHTS
    assert seen[-1] == (len(WEIGHTS), len(WEIGHTS))
    download(REPO, commit, files["extra/tokenizer.json"], tmp_path / "weights" / "t.json")
    assert sorted(os.listdir(tmp_path / "weights")) == ["a.safetensors", "t.json"]
    assert not (tmp_path / "cache").exists()


def test_small_file(server):
    commit, files = listed()
    assert read_small_file(REPO, commit, files["config.json"]) == CONFIG
    server.fault("flip", path="config.json", times=2)
    with pytest.raises(HubError, match=r"config.json: the sha1 of the bytes sent is .* not"):
        read_small_file(REPO, commit, files["config.json"])
    with pytest.raises(HubError, match="500001 bytes where 1000 are the limit"):
        read_small_file(REPO, commit, files[SHARD], limit=1000)


@pytest.mark.parametrize("name", [SHARD, "config.json"])
def test_wrong_bytes_of_the_right_size_are_refused_after_a_second_try(server, tmp_path, name):
    commit, files = listed()
    target = tmp_path / "out" / "file"
    server.fault("flip", path=name, times=2, after=7)
    with pytest.raises(HubError, match=r"of the bytes sent is [0-9a-f]{12}… and not [0-9a-f]{12}"):
        download(REPO, commit, files[name], target)
    assert os.listdir(target.parent) == []
    server.fault("flip", path=name, times=1, after=7)
    download(REPO, commit, files[name], target)
    assert is_intact(target, files[name])


@pytest.mark.parametrize("kind", ["drop", "reset", "short"])
def test_broken_transfer_goes_on_where_it_ended(server, tmp_path, kind):
    commit, files = listed()
    server.fault(kind, path=SHARD, after=400_000)
    download(REPO, commit, files[SHARD], tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == WEIGHTS
    first, second = gets(server)
    assert first.range is None and second.range is not None
    start = int(second.range.removeprefix("bytes=").rstrip("-"))
    assert second.sent == len(WEIGHTS) - start
    if kind != "reset":  # a reset may discard what the client has not read yet
        assert start == 400_000


def test_stalled_transfer_goes_on(server, tmp_path, monkeypatch):
    monkeypatch.setattr(hub_requests, "TIMEOUT", 0.2)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    commit, files = listed()
    server.fault("stall", path=SHARD, after=1000, seconds=60)
    started = time.monotonic()
    download(REPO, commit, files[SHARD], tmp_path / "file")
    assert time.monotonic() - started < 10
    assert (tmp_path / "file").read_bytes() == WEIGHTS
    assert gets(server)[1].range == "bytes=1000-"


def test_ignored_range_restarts_the_file(server, tmp_path):
    commit, files = listed()
    server.fault("drop", path=SHARD, after=300_000)
    server.fault("ignore_range", path=SHARD)
    download(REPO, commit, files[SHARD], tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == WEIGHTS
    assert [r.sent for r in gets(server)] == [300_000, len(WEIGHTS)]


def test_file_that_changes_between_two_tries_is_not_mixed(server, tmp_path):
    commit, files = listed()
    source = server.root / REPO / SHARD
    changed = bytes(len(WEIGHTS))
    server.fault("drop", path=SHARD, after=300_000)

    def change(received, total):
        if received == 300_000:
            source.write_bytes(changed)
            # the old commit stays the one that is asked for
            server.folder = lambda repo, revision: server.root / repo

    with pytest.raises(HubError, match="sha256 of the bytes sent is"):
        download(REPO, commit, files[SHARD], tmp_path / "file", change)
    assert gets(server)[1].sent == len(changed)


def left_behind(folder):
    """The partials in a folder."""
    return sorted(folder.glob(".partial-*"))


def test_a_later_call_goes_on_where_an_earlier_one_gave_up(server, tmp_path):
    commit, files = listed()
    server.fault("drop", path=SHARD, after=300_000)
    server.fault("drop", path=SHARD, times=5, after=0)
    with pytest.raises(HubError, match="keeps breaking off"):
        download(REPO, commit, files[SHARD], tmp_path / "file")
    assert [path.stat().st_size for path in left_behind(tmp_path)] == [300_000]
    asked = len(gets(server))
    download(REPO, commit, files[SHARD], tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == WEIGHTS and not left_behind(tmp_path)
    assert [r.range for r in gets(server)[asked:]] == ["bytes=300000-"]


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_a_killed_download_loses_nothing_that_came(server, tmp_path, kills):
    step, lost = 300_000, 2 * 65_536  # bytes: between two kills, and on the way at a kill
    weights = random.Random(kills).randbytes(step * (kills + 1))
    put(server.root / "org/big", {SHARD: weights})
    commit, files = listed("org/big")
    code = (
        "import sys; from pathlib import Path; from blockresearch.hub import repository as hub;"
        f"hub.download('org/big', {commit!r}, hub.{files[SHARD]!r}, Path(sys.argv[1]))"
    )
    environment = os.environ | {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "home")}
    target, received = tmp_path / "out" / "file", 0
    for after in range(step, step * kills + 1, step):
        server.fault("stall", path=SHARD, after=after - received, seconds=99)
        process = subprocess.Popen([sys.executable, "-c", code, str(target)], env=environment)
        while received < after - lost and process.poll() is None:
            time.sleep(0.02)
            received = sum(path.stat().st_size for path in left_behind(target.parent))
        process.kill()
        assert process.wait() == -9 and not target.exists()
        received = sum(path.stat().st_size for path in left_behind(target.parent))
    download("org/big", commit, files[SHARD], target)
    assert target.read_bytes() == weights and os.listdir(target.parent) == ["file"]
    assert gets(server)[-1].range == f"bytes={received}-"
    assert sum(r.sent for r in gets(server)) <= len(weights) + kills * lost


def test_two_downloads_of_one_file_at_once_both_end_well(server, tmp_path):
    commit, files = listed()
    server.fault("drop", path=SHARD, times=8, after=100_000)
    target = tmp_path / "out" / "file"
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(download, REPO, commit, files[SHARD], target) for _ in range(8)]
        assert {call.result() for call in calls} == {"downloaded"}
    assert target.read_bytes() == WEIGHTS and os.listdir(target.parent) == ["file"]


@pytest.mark.parametrize("length", [200_000, len(WEIGHTS), len(WEIGHTS) + 9])
def test_a_spoilt_partial_costs_a_new_start_and_no_more(server, tmp_path, length):
    commit, files = listed()
    key = files[SHARD].sha256[:16]
    (tmp_path / f".partial-{key}-{partial._machine()}-1").write_bytes(bytes(length))
    download(REPO, commit, files[SHARD], tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == WEIGHTS and not left_behind(tmp_path)
    assert gets(server)[-1].sent == len(WEIGHTS)


def test_nobody_goes_on_with_a_living_transfer_or_one_of_another_machine(server, tmp_path):
    commit, files = listed()
    key = files[SHARD].sha256[:16]
    away = tmp_path / f".partial-{key}-elsewhere-1"
    away.write_bytes(WEIGHTS[:5])
    with partial.partial_file(tmp_path, key) as living:
        living.stream.write(WEIGHTS[:7])
        living.stream.flush()
        download(REPO, commit, files[SHARD], tmp_path / "file")
        assert left_behind(tmp_path) == sorted([living.path, away])
    assert [r.range for r in gets(server)] == [None]
    then = away.stat().st_mtime - 2 * partial.ABANDONED
    os.utime(away, (then, then))
    with partial.partial_file(tmp_path, key) as taken:
        assert taken.stream.read() == WEIGHTS[:7], "its writer has ended"


def test_a_partial_is_never_taken_from_one_who_has_just_made_it(tmp_path):
    def write() -> None:
        with partial.partial_file(tmp_path, "key") as mine:
            mine.stream.write(b"x")
            mine.stream.flush()
            os.replace(mine.path, tmp_path / "file")

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            for call in [pool.submit(write) for _ in range(500)]:
                call.result()
    finally:
        sys.setswitchinterval(interval)
    assert os.listdir(tmp_path) == ["file"]


def test_tries_without_progress_are_counted(server, tmp_path):
    commit, files = listed()
    server.fault("drop", path=SHARD, times=99, after=0)
    with pytest.raises(HubError, match=r"keeps breaking off at org/model@[0-9a-f]{12} mod"):
        download(REPO, commit, files[SHARD], tmp_path / "out" / "file")
    assert len(gets(server)) == 6
    assert os.listdir(tmp_path / "out") == []


def test_progress_renews_the_patience(server, tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "PROGRESS", 50_000)
    commit, files = listed()
    server.fault("drop", path=SHARD, times=9, after=50_000)
    download(REPO, commit, files[SHARD], tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == WEIGHTS
    assert sum(r.sent for r in gets(server)) == len(WEIGHTS)


def test_server_errors_pass(server, tmp_path):
    server.fault("status", times=2, path="/revision/")
    server.fault("status", times=2, path="/tree/", status=502)
    server.fault("status", times=2, path="/resolve/", status=500)
    server.fault("status", times=1, path=SHARD, status=403, cdn=True)  # expired signature
    commit, files = listed()
    download(REPO, commit, files[SHARD], tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == WEIGHTS


def test_waits_as_long_as_the_server_asks(server, monkeypatch):
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
    assert waits == pytest.approx([7, 60, 55, LONGEST_WAIT, 0.016], abs=1.5)
    server.fault("status", path="/revision/", status=429, times=6)
    with pytest.raises(HubError, match=r"limits the rate of requests .* wait some minutes"):
        resolve_commit(REPO, "main")


def test_redirects(server, tmp_path):
    commit, files = listed()
    new = {"Location": f"/api/models/{REPO}/revision/main"}  # a repository that was renamed
    server.fault("status", path="org/old/revision", status=307, headers=new)
    assert resolve_commit("org/old", "main") == commit
    home = {"Location": f"/{REPO}/resolve/{commit}/{SHARD}"}
    server.fault("status", path=f"/resolve/{commit}/{SHARD}", status=302, headers=home, times=99)
    with pytest.raises(HubError, match="redirects in circles, so it is not a Hugging Face hub"):
        download(REPO, commit, files[SHARD], tmp_path / "out" / "file")
    assert os.listdir(tmp_path / "out") == []


def test_a_branch_that_moves_meanwhile_changes_nothing_that_was_resolved(server, tmp_path):
    commit, files = listed()
    root = server.root / REPO
    root.rename(root.with_name("model@before"))
    put(root, {SHARD: bytes(len(WEIGHTS)), "config.json": b"{}"})
    assert resolve_commit(REPO, "main") != commit
    assert list_files(REPO, commit) == list(files.values())
    download(REPO, commit, files[SHARD], tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == WEIGHTS
    assert read_small_file(REPO, commit, files["config.json"]) == CONFIG


@pytest.mark.parametrize("lacking", ["size", "oid", "path", "type"])
def test_a_mirror_without_sizes_or_hashes_is_told_to_be_one(server, lacking):
    # What cannot be proved is not fetched: the hashes of the listing are the only proof.
    server.answers["/tree/"] = [
        {k: v for k, v in entry.items() if k != lacking}
        for entry in [{"type": "file", "path": "config.json", "size": 2, "oid": "0" * 40}]
    ]
    commit = resolve_commit(REPO, "main")
    with pytest.raises(HubError, match=r"lists files in an unknown form.*check HF_ENDPOINT"):
        list_files(REPO, commit)


def test_start_of_a_file(server):
    commit = resolve_commit(REPO, "main")
    assert read_start(REPO, commit, SHARD, 8) == WEIGHTS[:8]
    assert gets(server)[0].range == "bytes=0-7" and gets(server)[0].sent == 8
    assert read_start(REPO, commit, "config.json", 999) == CONFIG
    server.fault("drop", path=SHARD, after=100)
    assert read_start(REPO, commit, SHARD, 1000) == WEIGHTS[:1000]
    put(server.root / "org/empty", {SHARD: b""})
    with pytest.raises(HubError, match=r"model.safetensors is empty or shorter"):
        read_start("org/empty", resolve_commit("org/empty", "main"), SHARD, 8)


def test_start_of_a_big_file_is_not_read_to_the_end_where_ranges_are_ignored(server):
    put(server.root / "org/big", {SHARD: bytes(30_000_000)})
    commit = resolve_commit("org/big", "main")
    server.fault("ignore_range", path=SHARD)
    assert read_start("org/big", commit, SHARD, 100) == bytes(100)
    assert gets(server)[0].sent < 20_000_000  # the rest is what the sockets hold


def test_cached_file_is_used_in_place(server, tmp_path):
    commit, files = listed()
    blob = Path(hf_hub_download(REPO, SHARD, revision=commit)).resolve()
    hf_hub_download(REPO, "config.json", revision=commit)
    asked = len(server.requests)
    target = tmp_path / "weights" / SHARD
    assert cached_file(REPO, commit, files[SHARD]) == blob
    assert download(REPO, commit, files[SHARD], target) == "linked from cache"
    assert target.is_symlink() and target.resolve() == blob
    assert read_small_file(REPO, commit, files["config.json"]) == CONFIG
    assert read_start(REPO, commit, SHARD, 16) == WEIGHTS[:16]
    assert len(server.requests) == asked

    put(server.root / REPO, {"README.md": b"another commit with the same weights"})
    commit, files = listed()
    asked = len(server.requests)
    assert download(REPO, commit, files[SHARD], target) == "linked from cache"
    assert len(server.requests) == asked


def test_cached_file_is_copied_where_links_are_not_permitted(server, tmp_path, monkeypatch):
    commit, files = listed()
    hf_hub_download(REPO, SHARD, revision=commit)

    def refuse(*_):
        raise OSError("not permitted")

    monkeypatch.setattr(os, "symlink", refuse)
    monkeypatch.setattr(os, "link", refuse)
    target = tmp_path / "weights" / SHARD
    assert download(REPO, commit, files[SHARD], target) == "copied from cache"
    assert not target.is_symlink() and target.read_bytes() == WEIGHTS


def test_nothing_in_the_shared_cache_is_ever_changed(server, tmp_path):
    commit, files = listed()
    hf_hub_download(REPO, SHARD, revision=commit)
    hf_hub_download(REPO, "config.json", revision=commit)
    cache = tmp_path / "cache"

    def state():
        return {
            path: (
                path.is_symlink() or path.is_dir() or path.read_bytes(),
                path.lstat().st_mtime_ns,
            )
            for path in [cache, *cache.rglob("*")]
        }

    before = state()
    for name in files:
        download(REPO, commit, files[name], tmp_path / "weights" / name)
        (tmp_path / "weights" / name).unlink()
    read_small_file(REPO, commit, files["config.json"])
    read_small_file(REPO, commit, files["extra/tokenizer.json"])
    assert state() == before


@pytest.mark.parametrize("damage", [b"", bytes(len(WEIGHTS))])
def test_damaged_cache_is_neither_used_nor_touched(server, tmp_path, damage):
    commit, files = listed()
    blob = Path(hf_hub_download(REPO, SHARD, revision=commit)).resolve()
    blob.write_bytes(damage)
    target = tmp_path / "weights" / SHARD
    assert download(REPO, commit, files[SHARD], target) == "downloaded"
    assert target.read_bytes() == WEIGHTS and blob.read_bytes() == damage


def test_offline_uses_the_cache_alone(server, tmp_path, monkeypatch):
    commit, files = listed()
    for name in ("config.json", "extra/tokenizer.json", SHARD):
        hf_hub_download(REPO, name)  # at main, so that the cache remembers what main is
    asked = len(server.requests)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert resolve_commit(REPO, "main") == resolve_commit(REPO, commit) == commit
    assert list_files(REPO, commit) == list(files.values())
    assert download(REPO, commit, files[SHARD], tmp_path / "file") == "linked from cache"
    for call in (
        lambda: resolve_commit(REPO, "v1.0"),
        lambda: resolve_commit("org/other", "main"),
        lambda: list_files(REPO, "0" * 40),
        lambda: read_start(REPO, commit, "other.safetensors", 8),
    ):
        with pytest.raises(HubError, match=r"is not in the cache .* HF_HUB_OFFLINE"):
            call()
    assert len(server.requests) == asked


def restricted(server):
    put(server.root / "org/gated", {SHARD: WEIGHTS, ".hub.json": b'{"gated": "manual"}'})
    put(server.root / "org/private", {SHARD: WEIGHTS, ".hub.json": b'{"private": true}'})
    put(server.root / "org/off", {".hub.json": b'{"disabled": true}'})


def test_restricted_repositories(server, tmp_path, monkeypatch):
    restricted(server)
    gated, files = listed("org/gated")
    target = tmp_path / "file"
    for token in (None, "hf_other"):
        if token:
            monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(HubError, match=r"org/gated is gated; accept its conditions on http\S+"):
            download("org/gated", gated, files[SHARD], target)
        with pytest.raises(HubError, match="knows no model org/private, or it is private"):
            resolve_commit("org/private", "main")
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    with pytest.raises(HubError, match="refuses the token, which is mistyped, deleted or expired"):
        resolve_commit("org/private", "main")
    monkeypatch.setenv("HF_TOKEN", "hf_ok")
    download("org/gated", gated, files[SHARD], target)
    assert is_intact(target, files[SHARD])
    assert list_files("org/private", resolve_commit("org/private", "main"))
    assert [r.authorized for r in gets(server)] == [False]  # no token for the other origin


def test_sentences(server, tmp_path):
    commit, files = listed()
    missing = RepoFile("missing.safetensors", 1, None, None)
    restricted(server)
    for sentence, call in {
        "knows no model org/nothing": lambda: resolve_commit("org/nothing", "main"),
        "org/model has no revision 'v9' on": lambda: resolve_commit(REPO, "v9"),
        "missing.safetensors does not exist on": lambda: download(
            REPO, commit, missing, tmp_path / "file"
        ),
        "org/off has been disabled": lambda: resolve_commit("org/off", "main"),
        "is no name of a model": lambda: resolve_commit("../../etc", "main"),
        "cannot name a revision": lambda: resolve_commit(REPO, "../../main"),
        "cannot be a file of org/model": lambda: read_start(REPO, commit, "../x", 8),
        "cannot write": lambda: download(
            REPO, commit, files[SHARD], tmp_path / "root" / REPO / SHARD / "file"
        ),
        "GB free where big needs 1000000000.0 GB": lambda: download(
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
        with pytest.raises(HubError, match="answers with a web page, so it is not a Hugging Face"):
            resolve_commit(REPO, "main")
    server.fault("status", status=200)
    with pytest.raises(HubError, match="names no commit, so it is not a Hugging Face hub"):
        resolve_commit(REPO, "main")


def test_token_stays_out_of_the_sentence(server, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret\u00e4")
    with pytest.raises(HubError, match=r"cannot ask http.*HF_TOKEN") as caught:
        resolve_commit(REPO, "main")
    assert "hf_sec" not in str(caught.value)


@pytest.mark.parametrize(
    "endpoint, sentence, tries",
    [
        ("http://127.0.0.1:1", "cannot reach http://127.0.0.1:1 .*check the network", 6),
        ("127.0.0.1:1", "cannot ask 127.0.0.1:1 .*check HF_ENDPOINT", 1),
    ],
)
def test_no_server(tmp_path, monkeypatch, caplog, endpoint, sentence, tries):
    use(endpoint, tmp_path, monkeypatch)
    with pytest.raises(HubError, match=sentence):
        resolve_commit(REPO, "main")
    assert caplog.text.count("trying again") == tries - 1


def test_files_beyond_the_plain_limit_are_proved_too(server, tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "XET_FROM", 1000)
    commit, files = listed()
    target = tmp_path / "weights" / SHARD
    assert download(REPO, commit, files[SHARD], target) == "downloaded"
    assert target.read_bytes() == WEIGHTS
    target.unlink()
    server.fault("flip", path=SHARD)
    with pytest.raises(HubError, match="are not those that the hub lists"):
        download(REPO, commit, files[SHARD], target)
    assert os.listdir(target.parent) == []


def test_what_nobody_goes_on_with_is_removed_after_a_day(server, tmp_path):
    commit, files = listed()
    for name, age in {"old": 2 * partial.ABANDONED, "new": 0}.items():
        put(tmp_path, {f".partial-0123-{name}": b"part", f".partial-{name}/file": b"part"})
        for path in (*tmp_path.glob(f".partial-*{name}/file"), *tmp_path.glob(f".partial-*{name}")):
            then = path.stat().st_mtime - age
            os.utime(path, (then, then))
    download(REPO, commit, files[SHARD], tmp_path / "file")
    left = sorted(path.name for path in tmp_path.glob(".partial-*"))
    assert left == [".partial-0123-new", ".partial-new"]


def test_environment_of_a_new_process(server, tmp_path):
    restricted(server)
    code = (
        "from blockresearch.hub import repository as hub;"
        "commit = hub.resolve_commit('org/private', 'main');"
        "print(len(hub.list_files('org/private', commit)))"
    )
    home = {"HF_HOME": str(tmp_path / "home"), "HF_TOKEN": "hf_ok", "HF_ENDPOINT": server.url}
    environment = {**os.environ, **home}
    environment.pop("HF_HUB_CACHE", None)
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("1\n", "")
    assert len(server.requests) == 2 and all(r.authorized for r in server.requests)
    environment["HF_HUB_OFFLINE"] = "1"
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert f"is not in the cache {tmp_path}/home/hub and HF_HUB_OFFLINE" in result.stderr
    assert len(server.requests) == 2
