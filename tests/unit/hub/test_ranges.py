"""Parts of a file of the hub: exactly the bytes asked for, whatever the network does."""

import hashlib

import pytest

from blockresearch.hub.ranges import download_ranges
from blockresearch.hub.requests import HubError
from tests.unit.hub.test_repository import REPO, SHARD, WEIGHTS, listed, server  # noqa: F401

RANGES = [(0, 1000), (200_000, 300_001), (500_000, 500_001)]


def fetch(target):
    commit, files = listed()
    assert files[SHARD].sha256 == hashlib.sha256(WEIGHTS).hexdigest()
    download_ranges(REPO, commit, files[SHARD], RANGES, target)


def test_a_file_with_holes_has_the_bytes_asked_for_and_no_others(server, tmp_path):  # noqa: F811
    server.fault("drop", path=SHARD, after=50_000)
    fetch(tmp_path / "here/file")
    expected = bytearray(len(WEIGHTS))
    for begin, end in RANGES:
        expected[begin:end] = WEIGHTS[begin:end]
    assert (tmp_path / "here/file").read_bytes() == expected
    sent = sum(request.sent for request in server.requests if request.cdn)
    assert sent == sum(end - begin for begin, end in RANGES)
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("fault", "said"), [("ignore_range", "the whole file"), ("short", "keeps breaking off")]
)
def test_what_is_not_the_range_is_refused_and_nothing_stays(fault, said, server, tmp_path):  # noqa: F811
    server.fault(fault, path=SHARD, times=10, after=10)
    with pytest.raises(HubError, match=said):
        fetch(tmp_path / "file")
    assert not [path for path in tmp_path.iterdir() if path.name not in ("root", "cache")]
