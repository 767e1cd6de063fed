"""Single requests to the Hugging Face hub: timeouts, patience, and one sentence for each failure.

huggingface_hub gives the session (proxies, offline switch), the headers (token) and the named
errors. The requests themselves are made here, because its own downloads lose everything at a reset
connection and never check a hash, and its listings wait without end for a silent server.
"""

import json
import logging
import os
import random
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    import httpx2 as httpx

# Read when huggingface_hub is first imported. With telemetry on, the first request of a process
# is preceded by another one that nobody asked for.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

TRIES = 6  # failures in a row, without progress between them, before giving up

FIRST_WAIT = 1.0  # seconds before the second try; doubles with each failure

LONGEST_WAIT = 300.0  # seconds; the hub counts its rate limits over five minutes

MAX_ANSWER = 64 * 2**20  # bytes of one page of a listing, of which the hub sends a megabyte at most

TIMEOUT = 30.0  # seconds without a byte before a connection counts as dead

logger = logging.getLogger(__name__)


class HubError(ValueError):
    """What went wrong, where, and what to do, in one sentence for the user."""


@dataclass(frozen=True)
class Place:
    """What a request is about: a revision of a repository, or one of its files."""

    repo: str
    revision: str
    path: str = ""

    def __str__(self) -> str:
        commit = re.fullmatch("[0-9a-f]{40}", self.revision)
        revision = self.revision[:12] if commit else self.revision
        return f"{self.repo}@{revision}" + (f" {self.path}" if self.path else "")

    def check(self) -> None:
        """Raise HubError for names that would form another address or leave the cache's folder."""
        from huggingface_hub.utils import HFValidationError, validate_repo_id

        try:
            validate_repo_id(self.repo)
        except HFValidationError as error:
            raise HubError(
                f"{self.repo!r} is no name of a model on the hub; write organization/name"
            ) from error
        # git's own rules for the names of references
        if not re.fullmatch(r"[^\s\x00-\x1f\x7f~^:?*\[\\]+", self.revision) or re.search(
            r"\.\.|^[/-]|//", self.revision
        ):
            raise HubError(
                f"{self.revision!r} cannot name a revision; give a branch, a tag or a commit"
            )

    def address(self, verb: str) -> str:
        """The address of the hub's interface for this revision: `revision` or `tree`."""
        from huggingface_hub import constants

        return f"{constants.ENDPOINT}/api/models/{self.repo}/{verb}/{quote(self.revision, safe='')}"


class Patience:
    """A `with` block that swallows passing failures of the network, waiting longer each time.

    Lasting failures, and the last of `TRIES`, become a HubError. Set `failures` to 0 on progress.
    """

    def __init__(self, place: Place) -> None:
        self.place, self.failures = place, 0

    def __enter__(self) -> "Patience":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Exception) or isinstance(error, HubError):
            return False
        sentence = explain(error, self.place)
        if sentence is None:
            return False
        self.failures += 1
        if self.failures >= TRIES or not _passing(error):
            raise HubError(sentence) from error
        asked = _asked_wait(error)
        wait = FIRST_WAIT * 2 ** (self.failures - 1) if asked is None else asked
        # shards are fetched side by side: let them not come back at the same moment
        wait = min(wait + random.uniform(0, FIRST_WAIT), LONGEST_WAIT)
        response = getattr(error, "response", None)
        reason = type(error).__name__ if response is None else f"status {response.status_code}"
        logger.warning("%s: %s; trying again in %.0f s", self.place, reason, wait)
        time.sleep(wait)
        return True


@contextmanager
def get(url: str, headers: Mapping[str, str] | None = None) -> Iterator["httpx.Response"]:
    """The answer to a GET request, its body not yet read.

    Follows redirects; the session drops the token at a redirect to another origin. Raises the
    errors of huggingface_hub and httpx, and HubError for a web page instead of a file.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status, httpx

    # a compressed body has no ranges and another length
    extra = {"Accept-Encoding": "identity", **(headers or {})}
    timeout = max(TIMEOUT, constants.HF_HUB_DOWNLOAD_TIMEOUT)
    try:
        session = get_session()
        request = session.build_request(
            "GET", url, headers=build_hf_headers(headers=extra), timeout=timeout
        )
    except (httpx.InvalidURL, ImportError, ValueError) as error:
        raise HubError(_cannot_ask(error)) from error
    with closing(session.send(request, stream=True)) as response:
        hf_raise_for_status(response)
        if "text/html" in response.headers.get("content-type", "") and not url.endswith(".html"):
            raise HubError(not_a_hub("answers with a web page"))
        yield response


def get_json(url: str, place: Place) -> tuple[Any, str | None]:
    """The parsed answer of the hub's interface, and the address of the next page if there is one.

    Raises HubError.
    """
    patience = Patience(place)
    while True:
        with patience, get(url) as response:
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER:
                    raise HubError(not_a_hub("answers without end"))
            try:
                return json.loads(body), response.links.get("next", {}).get("url")
            except (ValueError, RecursionError):
                raise HubError(not_a_hub("answers with something else than JSON")) from None


def not_a_hub(what: str) -> str:
    """The sentence for a server that is there but does not speak the hub's language."""
    from huggingface_hub import constants

    return (
        f"{constants.ENDPOINT} {what}, so it is not a Hugging Face hub; check HF_ENDPOINT, and "
        "whether this network wants a login or a proxy"
    )


def _cannot_ask(reason: object) -> str:
    from huggingface_hub import constants

    return (
        f"cannot ask {constants.ENDPOINT} ({reason}); check HF_ENDPOINT, HF_TOKEN and the proxy "
        "settings"
    )


def offline() -> bool:
    """Whether the user forbids the network (HF_HUB_OFFLINE)."""
    from huggingface_hub import constants

    return constants.is_offline_mode()


def not_cached(place: Place) -> str:
    """The sentence for what is needed offline and was never fetched."""
    from huggingface_hub import constants

    return (
        f"{place} is not in the cache {constants.HF_HUB_CACHE} and HF_HUB_OFFLINE forbids to fetch "
        "it; unset HF_HUB_OFFLINE, or fetch it first where there is a network"
    )


def explain(error: Exception, place: Place) -> str | None:
    """One sentence for what the hub or the network did; None where it was neither of them."""
    from huggingface_hub import constants, errors
    from huggingface_hub.utils import httpx

    hub, name, reason = constants.ENDPOINT, place.repo, str(error) or type(error).__name__
    match error:
        case errors.OfflineModeIsEnabled():
            return not_cached(place)
        case errors.GatedRepoError():
            return (
                f"{name} is gated; accept its conditions on {hub}/{name} and set HF_TOKEN to a "
                f"token of that account ({hub}/settings/tokens)"
            )
        case errors.DisabledRepoError():
            return f"{name} has been disabled on {hub}; choose another model"
        case errors.RevisionNotFoundError():
            return (
                f"{name} has no revision {place.revision!r} on {hub}; give a branch, a tag or a "
                f"commit of {hub}/{name}/commits/main"
            )
        case errors.RemoteEntryNotFoundError():
            return f"{place} does not exist on {hub}; see {hub}/{name}/tree/{place.revision}"
        case errors.HfHubHTTPError():
            return _explain_status(error, place)
        case httpx.ConnectError() | httpx.ConnectTimeout() | httpx.ProxyError():
            return (
                f"cannot reach {hub} ({reason}); check the network, the proxy and HF_ENDPOINT, or "
                "set HF_HUB_OFFLINE=1 to use the cache alone"
            )
        case httpx.UnsupportedProtocol():
            return _cannot_ask(error)
        case httpx.LocalProtocolError():  # its text would show the token
            return _cannot_ask("the token is not one word")
        case httpx.TooManyRedirects():
            return not_a_hub("redirects in circles")
        case httpx.RequestError() | ConnectionError():
            return (
                f"the connection to {hub} keeps breaking off at {place} ({reason}); try again later"
            )
    return None


def _explain_status(error: Any, place: Place) -> str:
    """The sentence for an error status that huggingface_hub has no own class for."""
    from huggingface_hub import constants, errors

    hub, response = constants.ENDPOINT, error.response
    status = response.status_code
    first = response.history[0].request if response.history else response.request
    stranger = status == 401 and "authorization" not in first.headers
    if stranger or isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"{hub} knows no model {place.repo}, or it is private; check the spelling, or set "
            f"HF_TOKEN to a token that may read it ({hub}/settings/tokens)"
        )
    if status == 401:
        return (
            f"{hub} refuses the token, which is mistyped, deleted or expired; set HF_TOKEN to a "
            f"new one ({hub}/settings/tokens) or remove it"
        )
    if status == 403:
        return (
            f"{hub} forbids {place}; set HF_TOKEN to a token that may read it "
            f"({hub}/settings/tokens)"
        )
    if status == 404:
        return not_a_hub(f"knows no address {urlsplit(str(first.url)).path}")
    if status == 416:
        return f"{place} is empty or shorter on {hub} than expected; choose another revision"
    if status == 429:
        return (
            f"{hub} still limits the rate of requests at {place} after {TRIES} tries; wait some "
            "minutes, fetch fewer files at a time, or set HF_TOKEN for a higher limit"
        )
    return f"{hub} answers {place} with status {status}; try again later"


def _passing(error: Exception) -> bool:
    """Whether the same request may succeed a little later."""
    from huggingface_hub import errors
    from huggingface_hub.utils import httpx

    if isinstance(error, errors.HfHubHTTPError):
        response = error.response
        # beyond a redirect: a signed address that has run out, and the hub gives a fresh one
        elsewhere = response.history and response.history[0].url.netloc != response.url.netloc
        status = response.status_code
        return status in (408, 429) or status >= 500 or (status == 403 and bool(elsewhere))
    lasting = (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.TooManyRedirects)
    return not isinstance(error, (*lasting, errors.OfflineModeIsEnabled))


def _asked_wait(error: Exception) -> float | None:
    """Seconds that the server asks to wait, by its rate limit's reset or by Retry-After."""
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
