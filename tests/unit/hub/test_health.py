"""Whether the hub answers, in one sentence if it does not."""

import pytest
from huggingface_hub import constants

from blockresearch.hub import health


def test_a_server_that_is_no_hub_is_named(server):
    server.fault("status", path="/api/models", status=404)
    assert "answers with status 404, so it is not a Hugging Face hub" in health.problem(5)


def test_a_refused_token_is_named(server, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_old")
    server.fault("status", path="whoami", status=401)
    assert "refuses the token" in health.problem(5)


@pytest.mark.usefixtures("server")
def test_no_connection_is_named(monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert health.problem(5).startswith("cannot reach http://127.0.0.1:9")
