"""Folders on other machines: s3://, hf://, https:// and what else fsspec reads."""

import os

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.arrow import ArrowFSWrapper


class RemoteError(ValueError):
    """A folder on another machine that cannot be read; the message says what to do."""


class S3(ArrowFSWrapper):
    """Arrow's file system of S3, which needs no library beside Arrow."""

    protocol = "s3"


def is_remote(place: str) -> bool:
    """Whether `place` is an address and not a local path."""
    return "://" in place


def open_remote(url: str) -> tuple[AbstractFileSystem, str]:
    """The file system of an address and the path in it, by the credentials of the environment.

    For s3:// these are AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL or
    the files of the AWS command line; without a key the bucket is read as everyone may.
    Raises RemoteError if the library of this kind of address is missing or unknown.
    """
    try:
        if url.startswith("s3://"):
            return _s3(), url.removeprefix("s3://")
        # One that nobody else uses: a caller may adapt it.
        return url_to_fs(url, skip_instance_cache=True)
    except ImportError as error:
        raise RemoteError(
            f"{url}: {error}: pip install 'ai-block-research[remote]' brings what it needs."
        ) from error
    except (OSError, ValueError) as error:
        raise RemoteError(f"{url}: {error}.") from error


def _s3() -> S3:
    from pyarrow.fs import S3FileSystem

    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return S3(
        S3FileSystem(region=region, endpoint_override=os.environ.get("AWS_ENDPOINT_URL") or None)
    )
