"""A small Hugging Face hub on 127.0.0.1, for tests of the real client without a network.

    with HubServer(root) as hub:
        os.environ["HF_ENDPOINT"] = hub.url

`root/org/name` is what branch main of the repository org/name holds, `root/org/name@rev` another
revision; a slash in the revision is written `--` (`root/org/name@refs--pr--1`). A revision's commit
is the sha1 of its listing. `.hub.json` in a folder, `{"private": true}`, `{"gated": "manual"}` or
`{"disabled": true}`, restricts the repository; `tokens` maps a token to the restricted repositories
that it may read.

As on the real hub, `*.safetensors` and big files are LFS objects, which `resolve` answers with a
redirect to another origin (here another port); everything else is a plain git blob. Every request
is kept in `hub.requests`; `hub.fault(...)` makes the next requests go wrong, and `hub.answers` maps
a part of a path to the JSON that is answered instead. By hand:

    python tests/tools/hub_server.py ROOT --port-file FILE [--token hf_x=org/a,org/b]
"""

import argparse
import hashlib
import json
import os
import re
import socket
import struct
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import inf
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

LFS_FROM = 10 * 2**20  # bytes; the real hub wants LFS above 10 MiB


@dataclass
class Request:
    """One request as it came in, and how many bytes of a file it got."""

    method: str
    path: str
    range: str | None
    authorized: bool
    cdn: bool
    sent: int = 0


@dataclass
class Fault:
    """What to do wrong, `times` times, to GET requests whose path contains `path`.

    status  answer `status` with `headers`, on the hub's port or (`cdn`) on the redirect's
    html    answer 200 with a login page, likewise
    drop    close the connection after `after` bytes of a file's content
    reset   the same with a TCP reset
    short   a well-formed answer of only `after` bytes
    flip    invert byte `after` of the answer, if it has that many
    stall   wait `seconds` after `after` bytes, of a description of a model too
    ignore_range  answer 200 with the whole file to a request for a part
    """

    kind: str
    path: str = ""
    times: float = 1
    after: int = 0
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    cdn: bool = False
    seconds: float = 0


@dataclass(frozen=True)
class Blob:
    """One file of a revision with its git blob sha1 and, for an LFS object, its sha256."""

    path: str
    source: Path
    size: int
    git_sha1: str
    sha256: str | None

    def entry(self, with_blob: bool) -> dict[str, Any]:
        """The file's entry in the description of a model, with its blob if requested."""
        lfs = {"sha256": self.sha256, "size": self.size, "pointerSize": 134}
        blob = {"size": self.size, "blobId": self.git_sha1}
        blob |= {"lfs": lfs} if self.sha256 else {}
        return {"rfilename": self.path} | (blob if with_blob else {})


class HubServer:
    """The two listening ports, what they serve, the request log and the pending faults."""

    def __init__(self, root: Path, tokens: Mapping[str, Iterable[str]] | None = None) -> None:
        self.root = Path(root)
        self.tokens = {token: set(repos) for token, repos in (tokens or {}).items()}
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.answers: dict[str, Any] = {}
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._blobs: dict[tuple, Blob] = {}
        self._servers = [_Server(("127.0.0.1", 0), _Handler) for _ in range(2)]
        for server, cdn in zip(self._servers, (False, True), strict=True):
            server.hub, server.cdn = self, cdn
        self.url, self.cdn_url = (f"http://127.0.0.1:{s.server_port}" for s in self._servers)

    def __enter__(self) -> "HubServer":
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def fault(self, kind: str, **settings: Any) -> None:
        """Add a `Fault`; see there for the kinds and their settings."""
        self.faults.append(Fault(kind, **settings))

    def take_fault(
        self, kinds: Iterable[str], path: str, cdn: bool, length: float = inf
    ) -> Fault | None:
        """The first pending fault of these kinds for this request, counted down."""
        with self._lock:
            for fault in self.faults:
                here = fault.cdn == cdn or fault.kind not in ("status", "html")
                due = fault.times > 0 and fault.kind in kinds and fault.after < length
                if due and fault.path in path and here:
                    fault.times -= 1
                    return fault
        return None

    def folder(self, repo: str, revision: str) -> Path | None:
        """The folder of a branch, tag, pull request or commit, None where there is none."""
        main = self.root / repo
        named = main.with_name(f"{main.name}@{revision.replace('/', '--')}")
        if revision == "main" or named.is_dir():
            return main if revision == "main" else named
        folders = [main, *main.parent.glob(f"{main.name}@*")]
        return next((folder for folder in folders if self.commit(folder) == revision), None)

    def settings(self, repo: str) -> dict[str, Any]:
        """The restrictions of a repository (`.hub.json`)."""
        path = self.root / repo / ".hub.json"
        return json.loads(path.read_text()) if path.is_file() else {}

    def blobs(self, folder: Path) -> list[Blob]:
        """The files of a revision, sorted by path."""
        paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != ".hub.json")
        return [self._blob(path, path.relative_to(folder).as_posix()) for path in paths]

    def commit(self, folder: Path) -> str:
        """The 40 hexadecimal digits that stand for the revision's content."""
        listing = [(blob.path, blob.git_sha1) for blob in self.blobs(folder)]
        return hashlib.sha1(json.dumps(listing).encode()).hexdigest()

    def _blob(self, source: Path, path: str) -> Blob:
        stat = source.stat()
        key = (source, stat.st_size, stat.st_mtime_ns)
        if key not in self._blobs:
            content, sha256 = source.read_bytes(), None
            if path.endswith(".safetensors") or len(content) > LFS_FROM:
                # git itself holds only a pointer to an LFS object
                sha256 = hashlib.sha256(content).hexdigest()
                content = f"version https://git-lfs.github.com/spec/v1\noid {sha256}\n".encode()
            git_sha1 = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            self._blobs[key] = Blob(path, source, stat.st_size, git_sha1, sha256)
        return self._blobs[key]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    hub: HubServer
    cdn: bool


class _Refusal(Exception):
    """An error answer: status, X-Error-Code, X-Error-Message."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        """Requests are kept in `hub.requests` instead of being printed."""

    def do_GET(self) -> None:
        hub, cdn = self.server.hub, self.server.cdn
        self.url = urlsplit(self.path)
        self.token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        path, part = unquote(self.url.path), self.headers.get("Range")
        self.log = Request(self.command, path, part, bool(self.token), cdn)
        hub.requests.append(self.log)
        if fault := self.fault("status"):
            self.answer(fault.status, b"{}", fault.headers)
        elif instead := [hub.answers[key] for key in hub.answers if key in path]:
            self.json(instead[0])
        elif self.fault("html"):
            self.answer(200, b"<html>Please log in</html>", {"Content-Type": "text/html"})
        else:
            try:
                self.cdn_object(path) if cdn else self.route()
            except _Refusal as refusal:
                status, code, message = refusal.args
                headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
                self.answer(status, json.dumps({"error": message}).encode(), headers)

    do_HEAD = do_GET

    def fault(self, *kinds: str, length: float = inf) -> Fault | None:
        """A pending fault of these kinds for this request, if it comes before byte `length`; HEAD
        requests never fail."""
        if self.command == "HEAD":
            return None
        return self.server.hub.take_fault(kinds, self.log.path, self.server.cdn, length)

    def route(self) -> None:
        """Answer one of the hub's own addresses."""
        # the client quotes the slashes of a revision: split first, unquote afterwards
        path = self.url.path
        if match := re.fullmatch(r"/api/datasets/(.+?)/tree/([^/]+)/?(.*)", path):
            self.tree(self.find(match[1], unquote(match[2])), unquote(match[3]))
        elif match := re.fullmatch(r"/api/(?:models|datasets)/(.+?)(?:/revision/([^/]+))?", path):
            self.model_info(match[1], self.find(match[1], unquote(match[2] or "main")))
        elif match := re.fullmatch(r"/(?:datasets/)?(.+?)/resolve/([^/]+)/(.+)", path):
            self.resolve(match[1], unquote(match[2]), unquote(match[3]))
        else:
            raise _Refusal(404, None, "Sorry, we can't find the page you are looking for.")

    def find(self, repo: str, revision: str) -> Path:
        """The folder of a revision that this client may know of."""
        hub = self.server.hub
        if self.token and self.token not in hub.tokens:
            raise _Refusal(401, None, "Invalid credentials in Authorization header")
        settings = hub.settings(repo)
        hidden = settings.get("private") and repo not in hub.tokens.get(self.token, ())
        if hidden or not (hub.root / repo).is_dir() or "/" not in repo or "@" in repo:
            # the real hub does not tell strangers whether a repository exists
            if not self.token:
                raise _Refusal(401, None, "Invalid username or password.")
            raise _Refusal(404, "RepoNotFound", "Repository not found")
        if settings.get("disabled"):
            raise _Refusal(403, None, "Access to this resource is disabled.")
        folder = hub.folder(repo, revision)
        if folder is None:
            raise _Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return folder

    def model_info(self, repo: str, folder: Path) -> None:
        hub = self.server.hub
        info = {"id": repo, "modelId": repo, "sha": hub.commit(folder), "tags": []}
        info["lastModified"] = "2026-01-31T12:00:00.000Z"
        flags = {flag: False for flag in ("private", "gated", "disabled")} | hub.settings(repo)
        with_blobs = parse_qs(self.url.query).get("blobs") == ["true"]
        siblings = [blob.entry(with_blobs) for blob in hub.blobs(folder)]
        self.json({**info, **flags, "siblings": siblings})

    def tree(self, folder: Path, path: str) -> None:
        """The entries of a folder, as the client's file system lists them."""
        if not (folder / path).is_dir():
            raise _Refusal(404, "EntryNotFound", "Entry not found")
        found = [
            {
                "type": "directory" if each.is_dir() else "file",
                "path": each.relative_to(folder).as_posix(),
                "size": 0 if each.is_dir() else each.stat().st_size,
                "oid": "0" * 40,
            }
            for each in sorted((folder / path).iterdir())
        ]
        self.json(found)

    def resolve(self, repo: str, revision: str, path: str) -> None:
        hub, folder = self.server.hub, self.find(repo, revision)
        if hub.settings(repo).get("gated") and repo not in hub.tokens.get(self.token, ()):
            message = f"Access to model {repo} is restricted."
            raise _Refusal(403 if self.token else 401, "GatedRepo", message)
        blob = next((blob for blob in hub.blobs(folder) if blob.path == path), None)
        if blob is None:
            raise _Refusal(404, "EntryNotFound", "Entry not found")
        headers = {"X-Repo-Commit": hub.commit(folder)}
        if blob.sha256 is None:
            return self.content(blob, headers)
        name = folder.relative_to(hub.root).as_posix()
        headers["Location"] = f"{hub.cdn_url}/{quote(name)}/{quote(path)}?Signature=0"
        headers |= {"X-Linked-ETag": f'"{blob.sha256}"', "X-Linked-Size": str(blob.size)}
        self.answer(302, b"Found. Redirecting", headers)

    def cdn_object(self, path: str) -> None:
        org, name, rest = path.lstrip("/").split("/", 2)
        blobs = self.server.hub.blobs(self.server.hub.root / org / name)
        self.content(next(blob for blob in blobs if blob.path == rest), {})

    def content(self, blob: Blob, headers: dict[str, str]) -> None:
        """The file's bytes or the range asked for, with the pending faults of the body."""
        start, stop, status, etag = 0, blob.size, 200, f'"{blob.sha256 or blob.git_sha1}"'
        headers |= {"ETag": etag, "Accept-Ranges": "bytes", "Content-Type": "text/plain"}
        part = re.fullmatch(r"bytes=(\d+)-(\d*)", self.log.range or "")
        if part and self.headers.get("If-Range", etag) == etag and not self.fault("ignore_range"):
            start, status = int(part[1]), 206
            stop = min(blob.size, int(part[2] or blob.size - 1) + 1)
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{blob.size}"
        if start >= stop and status == 206:
            return self.answer(416, b"", {"Content-Range": f"bytes */{blob.size}"})
        with blob.source.open("rb") as source:
            source.seek(start)
            data = bytearray(source.read(stop - start))
        if fault := self.fault("flip", length=len(data)):
            data[fault.after] ^= 255
        if fault := self.fault("short"):
            del data[fault.after :]
        self.answer(status, bytes(data), headers, self.fault("drop", "reset", "stall"))

    def json(self, answer: Any, headers: Mapping[str, str] | None = None) -> None:
        body = json.dumps(answer).encode()
        headers = {"Content-Type": "application/json", **(headers or {})}
        self.answer(200, body, headers, self.fault("stall"))

    def answer(self, status: int, body: bytes, headers: Mapping, fault: Any = None) -> None:
        """Send a whole answer, or break it off as the fault says."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        body = body if fault is None else body[: fault.after]
        try:
            for start in range(0, len(body), 1 << 16):
                piece = body[start : start + (1 << 16)]
                # Counted before it goes: the client may be done before the next line runs.
                self.log.sent += len(piece)
                self.wfile.write(piece)
        except OSError:  # the client has read enough and hung up
            self.close_connection = True
        if fault:
            self.close_connection = True
            self.server.hub.stopping.wait(fault.seconds)
        if fault and fault.kind == "reset":
            lingering = struct.pack("ii", 1, 0)  # on, 0 s: closing sends RST instead of FIN
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lingering)
            os.close(self.connection.detach())


def main() -> None:
    """Serve a folder until killed."""
    parser = argparse.ArgumentParser(description="A small Hugging Face hub on 127.0.0.1.")
    parser.add_argument("root", type=Path, help="folder of org/name[@revision] folders")
    parser.add_argument("--port-file", type=Path, help="write the port here when ready")
    parser.add_argument("--token", action="append", default=[], metavar="TOKEN=ORG/A,ORG/B")
    options = parser.parse_args()
    tokens = (token.partition("=") for token in options.token)
    readable = {token: repos.split(",") for token, _, repos in tokens}
    with HubServer(options.root, readable) as hub:
        print(f"HF_ENDPOINT={hub.url}", flush=True)
        if options.port_file:
            ready = options.port_file.with_name(options.port_file.name + ".tmp")
            ready.write_text(hub.url.rsplit(":", 1)[1])
            os.replace(ready, options.port_file)
        threading.Event().wait()


if __name__ == "__main__":
    main()
