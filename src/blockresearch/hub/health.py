"""Whether the hub can be used from here, found by one small request."""

from blockresearch.hub.requests import (
    HubError,
    RepoRef,
    errors_of_the_request,
    explain,
    is_offline,
    not_a_hub,
)

# What a message names if a connection breaks off: no repository.
ANY = RepoRef("the hub", "main")


def endpoint() -> str:
    """The address of the hub (HF_ENDPOINT)."""
    from huggingface_hub import constants

    return constants.ENDPOINT


def has_token() -> bool:
    """Whether there is a token (HF_TOKEN, or that of `hf auth login`)."""
    from huggingface_hub import get_token

    return bool(get_token())


def problem(seconds: float) -> str | None:
    """Why the hub does not answer within `seconds`, or refuses the token; None if all is well.

    Without a token a list of one model is requested, with one the name of its user.
    """
    if is_offline():
        return "HF_HUB_OFFLINE is set: only the cache is used"
    from huggingface_hub.utils import build_hf_headers, get_session

    path = "whoami-v2" if has_token() else "models?limit=1"
    try:
        with errors_of_the_request():
            session = get_session()
            request = session.build_request(
                "GET", f"{endpoint()}/api/{path}", headers=build_hf_headers(), timeout=seconds
            )
        status = session.send(request).status_code
    except Exception as error:
        found = str(error) if isinstance(error, HubError) else explain(error, ANY)
        if found is None:
            raise
        return found
    if status == 401:
        return "the hub refuses the token: set HF_TOKEN to a new one, or remove it"
    return None if status < 400 else not_a_hub(f"answers with status {status}")
