"""Single requests to the Hugging Face hub: timeouts, retries, and one sentence for each failure.

huggingface_hub provides the session (proxies, offline switch), the headers (token) and the named
errors. Its own retries (2.4.0) are not enough for a bad network: a reset connection and a 503 of
the server behind a redirect end a download at once, and listings have none at all.
"""

import logging
import os
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from blockresearch.hub.names import is_hex, is_repo_id, is_revision

if TYPE_CHECKING:
    import httpx2 as httpx

# Read when huggingface_hub is first imported. With telemetry on, the first request of a process
# is preceded by another one that nobody asked for.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

# Failures in a row, without progress between them, before giving up.
MAX_TRIES = 6

# Before the second try; doubles with each failure.
FIRST_WAIT_SECONDS = 1.0

# The hub counts its rate limits over five minutes.
MAX_WAIT_SECONDS = 300.0

# Without a byte before a connection counts as dead.
TIMEOUT_SECONDS = 30.0

log = logging.getLogger(__name__)


class HubError(ValueError):
    """What went wrong, where, and what to do, in one sentence for the user."""


@dataclass(frozen=True)
class RepoRef:
    """A revision of a repository, or one of its files."""

    repo: str
    revision: str
    path: str = ""

    def __str__(self) -> str:
        revision = self.revision[:12] if is_hex(self.revision, 40) else self.revision
        return f"{self.repo}@{revision}" + (f" {self.path}" if self.path else "")

    def check(self) -> None:
        """Raises HubError if a name could form another address or leave the cache's folder."""
        if not is_repo_id(self.repo):
            raise HubError(
                f"{self.repo!r} is no name of a model on the hub; write organization/name"
            )
        if not is_revision(self.revision):
            raise HubError(
                f"{self.revision!r} cannot name a revision; give a branch, a tag or a commit"
            )


class Retry:
    """A `with` block that swallows temporary failures of the network, waiting longer each time.

    Permanent failures, and the last of `MAX_TRIES`, become a HubError. Set `failures` to 0 on
    progress.
    """

    def __init__(self, ref: RepoRef) -> None:
        self.ref, self.failures = ref, 0

    def __enter__(self) -> "Retry":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Exception) or isinstance(error, HubError):
            return False
        sentence = explain(error, self.ref)
        if sentence is None:
            return False
        self.failures += 1
        if self.failures >= MAX_TRIES or not _is_temporary(error):
            raise HubError(sentence) from error
        requested = _requested_wait(error)
        wait = FIRST_WAIT_SECONDS * 2 ** (self.failures - 1) if requested is None else requested
        # Shards are fetched side by side: they must not all come back at the same moment.
        wait = min(wait + random.uniform(0, FIRST_WAIT_SECONDS), MAX_WAIT_SECONDS)
        response = getattr(error, "response", None)
        reason = type(error).__name__ if response is None else f"status {response.status_code}"
        log.warning("%s: %s; trying again in %.0f s", self.ref, reason, wait)
        time.sleep(wait)
        return True


@contextmanager
def get(url: str, headers: Mapping[str, str] | None = None) -> Iterator["httpx.Response"]:
    """The answer to a GET request, its body not yet read.

    Follows redirects; the session drops the token at a redirect to another origin. Raises the
    errors of huggingface_hub and httpx, and HubError for a web page instead of a file.
    """
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    # A compressed body has no ranges and another length.
    extra = {"Accept-Encoding": "identity", **(headers or {})}
    with errors_of_the_request():
        session = get_session()
        request = session.build_request(
            "GET", url, headers=build_hf_headers(headers=extra), timeout=timeout_seconds()
        )
    with closing(session.send(request, stream=True)) as response:
        hf_raise_for_status(response)
        if "text/html" in response.headers.get("content-type", "") and not url.endswith(".html"):
            raise HubError(not_a_hub("answers with a web page"))
        yield response


@contextmanager
def errors_of_the_request() -> Iterator[None]:
    """A `with` block that makes a request. Raises HubError if that is not possible."""
    from huggingface_hub.utils import httpx

    try:
        yield
    except HubError:
        raise
    except (httpx.InvalidURL, ImportError, ValueError) as error:
        raise HubError(_no_request(error)) from error


def timeout_seconds() -> float:
    """Seconds without a byte before a connection is given up, HF_HUB_DOWNLOAD_TIMEOUT at least."""
    from huggingface_hub import constants

    return max(TIMEOUT_SECONDS, constants.HF_HUB_DOWNLOAD_TIMEOUT)


def not_a_hub(what: str) -> str:
    """The sentence for a server that is there but does not speak the hub's language."""
    from huggingface_hub import constants

    return (
        f"{constants.ENDPOINT} {what}, so it is not a Hugging Face hub; check HF_ENDPOINT, and "
        "whether this network requires a login or a proxy"
    )


def _no_request(reason: object) -> str:
    from huggingface_hub import constants

    return (
        f"no request to {constants.ENDPOINT} can be made ({reason}); check HF_ENDPOINT, HF_TOKEN "
        "and the proxy settings"
    )


def is_offline() -> bool:
    """Whether the user forbids the network (HF_HUB_OFFLINE)."""
    from huggingface_hub import constants

    return constants.is_offline_mode()


def not_cached(ref: RepoRef) -> str:
    """The sentence for a file or revision that is needed offline and was never fetched."""
    from huggingface_hub import constants

    return (
        f"{ref} is not in the cache {constants.HF_HUB_CACHE} and HF_HUB_OFFLINE does not allow "
        "downloads; unset HF_HUB_OFFLINE, or fetch it first on a machine with a network"
    )


def explain(error: Exception, ref: RepoRef) -> str | None:
    """One sentence for a failure of the hub or the network; None if it was neither of them."""
    from huggingface_hub import constants, errors
    from huggingface_hub.utils import httpx

    hub, name, reason = constants.ENDPOINT, ref.repo, str(error) or type(error).__name__
    match error:
        case errors.OfflineModeIsEnabled():
            return not_cached(ref)
        case errors.GatedRepoError():
            return (
                f"{name} is gated; accept its conditions on {hub}/{name} and set HF_TOKEN to a "
                f"token of that account ({hub}/settings/tokens)"
            )
        case errors.DisabledRepoError():
            return f"{name} has been disabled on {hub}; choose another model"
        case errors.RevisionNotFoundError():
            return (
                f"{name} has no revision {ref.revision!r} on {hub}; give a branch, a tag or a "
                f"commit of {hub}/{name}/commits/main"
            )
        case errors.RemoteEntryNotFoundError():
            return f"{ref} does not exist on {hub}; see {hub}/{name}/tree/{ref.revision}"
        case errors.HfHubHTTPError():
            return _explain_status(error, ref)
        case httpx.ConnectError() | httpx.ConnectTimeout() | httpx.ProxyError():
            return (
                f"cannot reach {hub} ({reason}); check the network, the proxy and HF_ENDPOINT, or "
                "set HF_HUB_OFFLINE=1 to use the cache alone"
            )
        case httpx.UnsupportedProtocol():
            return _no_request(error)
        case httpx.LocalProtocolError():
            # Its text would show the token.
            return _no_request("the token is not one word")
        case httpx.TooManyRedirects():
            return not_a_hub("redirects in circles")
        case httpx.RequestError() | ConnectionError():
            return (
                f"the connection to {hub} keeps breaking off at {ref} ({reason}); try again later"
            )
    return None


def _explain_status(error: Any, ref: RepoRef) -> str:
    """The sentence for an error status that has no class in huggingface_hub."""
    from huggingface_hub import constants, errors

    hub, response = constants.ENDPOINT, error.response
    status = response.status_code
    first = response.history[0].request if response.history else response.request
    stranger = status == 401 and "authorization" not in first.headers
    if stranger or isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"{hub} has no model {ref.repo}, or it is private; check the spelling, or set "
            f"HF_TOKEN to a token that may read it ({hub}/settings/tokens)"
        )
    if status == 401:
        return (
            f"{hub} refuses the token, which is mistyped, deleted or expired; set HF_TOKEN to a "
            f"new one ({hub}/settings/tokens) or remove it"
        )
    if status == 403:
        return (
            f"{hub} forbids {ref}; set HF_TOKEN to a token that may read it ({hub}/settings/tokens)"
        )
    if status == 404:
        return not_a_hub(f"has no address {urlsplit(str(first.url)).path}")
    if status == 416:
        return f"{ref} is empty or shorter on {hub} than expected; choose another revision"
    if status == 429:
        return (
            f"{hub} still limits the rate of requests at {ref} after {MAX_TRIES} tries; wait some "
            "minutes, fetch fewer files at a time, or set HF_TOKEN for a higher limit"
        )
    return f"{hub} answers {ref} with status {status}; try again later"


def _is_temporary(error: Exception) -> bool:
    """Whether the same request may succeed a little later."""
    from huggingface_hub import errors
    from huggingface_hub.utils import httpx

    if isinstance(error, errors.HfHubHTTPError):
        response = error.response
        # Behind a redirect: a signed address that has expired; the hub gives a fresh one.
        elsewhere = response.history and response.history[0].url.netloc != response.url.netloc
        status = response.status_code
        return status in (408, 429) or status >= 500 or (status == 403 and bool(elsewhere))
    permanent = (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.TooManyRedirects)
    return not isinstance(error, (*permanent, errors.OfflineModeIsEnabled))


def _requested_wait(error: Exception) -> float | None:
    """Seconds that the server requests to wait, by its rate limit's reset or by Retry-After."""
    from huggingface_hub import errors
    from huggingface_hub.utils import parse_ratelimit_headers

    if not isinstance(error, errors.HfHubHTTPError):
        return None
    headers = error.response.headers
    limit = parse_ratelimit_headers(headers)
    if error.response.status_code == 429 and limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds)
    after = headers.get("retry-after", "").strip()
    if after.isdecimal():
        return float(after)
    try:
        return max(0.0, parsedate_to_datetime(after).timestamp() - time.time())
    except ValueError:
        return None
