"""A browser, and the pages of a demo, of a model with hostile names and of one that fails."""

import functools
import http.server
import importlib.util
import json
import os
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT, bf16, write_safetensors
from tests.workflow.conftest import copy_of_the_project

# Screenshots and measurements, kept for whoever wants to look at them.
ARTIFACTS = ROOT / "build" / "browser"
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "a\u202eb\u200bc {{ 7*7 }} \" onload='x'",
    "&lt;b&gt; # $x$",
    "=cmd|' /C calc'!A0",
    "\x1b[31m\n# heading\r\n<b>",
    '"><svg onload=alert(1)>' + "x" * 400,
    "[a](javascript:alert(1)) <style>*{display:none}</style>",
]


def hostile_model(folder: Path) -> Path:
    """A checkpoint of one layer with markup in the names of tensors, in tokens, config and card.

    The tensors with markup in their names are what the audit finds, too.
    """
    random = np.random.default_rng(0)

    def tensor(*shape: int) -> tuple[str, list[int], bytes]:
        return "BF16", list(shape), bf16(random.normal(0, 0.1, shape))

    tensors = {name: ("BF16", [8, 8], b"\xc0\x7f" * 64) for name in HOSTILE}  # NaN
    tensors["model.embed_tokens.weight"] = tensor(64, 8)
    tensors["model.layers.0.self_attn.q_proj.weight"] = tensor(8, 8)
    write_safetensors(folder / "model.safetensors", tensors)
    config = {"architectures": [HOSTILE[0]], "model_type": HOSTILE[1], "vocab_size": 64}
    (folder / "config.json").write_text(json.dumps(config))
    vocabulary = {f"{HOSTILE[place % len(HOSTILE)]}{place}": place for place in range(64)}
    tokenizer = {"model": {"type": "BPE", "vocab": vocabulary, "merges": []}}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "README.md").write_text(f"---\nlicense: {json.dumps(HOSTILE[0])}\n---\n{HOSTILE[1]}")
    return folder


def model_of_two_stacks(folder: Path) -> Path:
    """A checkpoint with an encoder, and a decoder of experts."""
    random = np.random.default_rng(1)
    shapes = {"model.shared.weight": (96, 16), "lm_head.weight": (96, 16)}
    for stack in ("encoder", "decoder"):
        for layer in range(3):
            name = f"model.{stack}.layers.{layer}"
            for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
                shapes[f"{name}.self_attn.{part}.weight"] = (16, 16)
            shapes[f"{name}.self_attn_layer_norm.weight"] = (16,)
            if stack == "encoder":
                shapes |= {f"{name}.fc1.weight": (32, 16), f"{name}.fc2.weight": (16, 32)}
                continue
            shapes[f"{name}.mlp.gate.weight"] = (4, 16)
            for expert in range(4):
                inner = f"{name}.mlp.experts.{expert}"
                shapes |= {f"{inner}.up_proj.weight": (8, 16), f"{inner}.down_proj.weight": (16, 8)}
    tensors = {
        name: ("BF16", list(shape), bf16(random.normal(0, 0.1, shape)))
        for name, shape in shapes.items()
    }
    write_safetensors(folder / "model.safetensors", tensors)
    (folder / "config.json").write_text(json.dumps({"model_type": "two_stacks", "vocab_size": 96}))
    return folder


def embedding_model(folder: Path) -> Path:
    """A checkpoint that is one table of vectors in a type without exact distributions."""
    table = np.random.default_rng(2).normal(0, 1, (96, 8)).astype(np.float32)
    write_safetensors(
        folder / "model.safetensors", {"embedding.weight": ("F32", [96, 8], table.tobytes())}
    )
    return folder


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    """The folder `results` of a run over models of all kinds, one of which is no model at all."""
    project = copy_of_the_project(tmp_path_factory.mktemp("site"))
    shutil.copytree(ROOT / "resources/demo", project.folder / "demo")
    hostile_model(project.folder / "hostile")
    model_of_two_stacks(project.folder / "two-stacks")
    embedding_model(project.folder / "vectors")
    (project.folder / "broken").mkdir()
    (project.folder / "broken" / "model.safetensors").write_bytes(b"<b>no model</b>")
    models = ("models=[demo,hostile,two-stacks,vectors,broken]", "clustering={k_max: 8}")
    run = project.snakemake("--keep-going", "--config", *models)
    assert run.code != 0, "the broken model fails"
    report = ("--config", "models=[demo,hostile]", "clustering={k_max: 8}")
    run = project.snakemake(*report, "--report", "report.zip")
    assert run.code == 0, run.text
    shutil.unpack_archive(project.folder / "report.zip", project.folder / "results")
    return project.folder / "results"


@pytest.fixture(scope="session")
def server(site):
    """The address of a plain static server of the pages."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            if self.path == "/favicon.ico":  # which browsers ask for by themselves
                self.send_response(204)
                self.end_headers()
            else:
                super().do_GET()

    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()


@pytest.fixture(scope="session")
def chromium():
    """Headless Chromium of the system; without one the tests are skipped, in CI they fail."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    packages = ("playwright", "axe_playwright_python")
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if path is None or missing:
        text = f"missing for the tests of pages: {', '.join(missing) or 'chromium (apt-get)'}"
        if os.environ.get("BROWSER_TESTS") == "required":
            pytest.fail(text)
        pytest.skip(text)
    from playwright import sync_api as sync

    with sync.sync_playwright() as playwright:
        # Chromium as root, as in containers, runs without its sandbox only.
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page that was opened, and everything that went wrong on it."""

    page: object
    problems: list


@pytest.fixture
def visit(chromium):
    """Open a page in a window of its own; the test fails on errors and on requests elsewhere."""
    visits, contexts = [], []

    def opened(address: str, width: int = 1200, **options) -> Visit:
        context = chromium.new_context(viewport={"width": width, "height": 900}, **options)
        context.set_default_timeout(20_000)
        page, problems = context.new_page(), []
        home = address.split("/", 3)[:3]
        page.on(
            "console",
            lambda said: said.type in ("error", "warning") and problems.append(said.text),
        )
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("requestfailed", lambda request: problems.append(f"failed: {request.url}"))
        page.on("dialog", lambda dialog: (problems.append("a dialog"), dialog.dismiss()))
        page.on(
            "request",
            lambda request: (
                request.url.startswith(("data:", "blob:"))
                or request.url.split("/", 3)[:3] == home
                or problems.append(f"elsewhere: {request.url}")
            ),
        )
        page.goto(address)
        visits.append(Visit(page, problems))
        contexts.append(context)
        return visits[-1]

    yield opened
    found = [problem for visit in visits for problem in visit.problems]
    for context in contexts:
        context.close()
    assert found == []
