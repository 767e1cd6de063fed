"""Headers: each rule of the format, and other kinds of files by their names."""

import json

import pytest

from blockresearch.safetensors.header import SafetensorsError
from blockresearch.safetensors.reader import read_header


def raw(path, header: str | bytes, body: bytes = b"", length: int | None = None):
    text = header.encode() if isinstance(header, str) else header
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + body)
    return path


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize(
    ("header", "body", "rule"),
    [
        (json.dumps({"t": entry()})[:-1] + ', "t": 1}', bytes(8), "twice"),
        ('{"t": ["F32", [2], [0, 8]]}', bytes(8), "not an object"),
        (json.dumps({"t": entry(dtype="F33")}), bytes(8), "unknown dtype"),
        (json.dumps({"t": entry() | {"dtype": {"F32": None}}}), bytes(8), "not a text"),
        (json.dumps({"t": entry(shape=[-2])}), bytes(8), "shape"),
        (json.dumps({"t": entry(shape=[2.0])}), bytes(8), "shape"),
        (json.dumps({"t": entry(shape=[True, 2])}), bytes(8), "shape"),
        (
            json.dumps({"t": entry(shape=[3])}),
            bytes(8),
            "needs 12 bytes but data_offsets",
        ),
        (json.dumps({"t": entry(offsets=[8, 0])}), bytes(8), "data_offsets"),
        (json.dumps({"t": entry(offsets=[8, 16])}), bytes(16), "hole"),
        (json.dumps({"a": entry(), "b": entry()}), bytes(8), "overlaps"),
        (json.dumps({"t": entry()}), bytes(7), "file has"),
        (json.dumps({"t": entry()}), bytes(9), "file has"),
        ('{"__metadata__": {"x": 1}}', b"", "__metadata__"),
        ('{"t": NaN}', b"", "NaN"),
        ("[]", b"", "not a JSON object"),
        ("{", b"", "not valid JSON"),
        ("[" * 100_000, b"", "not valid JSON"),
        (b'{"\xff": 1}', b"", "UTF-8"),
        (json.dumps({"\ud800": entry()}), bytes(8), "Unicode"),
    ],
)
def test_a_broken_header_is_refused_with_the_rule(tmp_path, header, body, rule):
    path = raw(tmp_path / "m.safetensors", header, body)
    with pytest.raises(SafetensorsError, match=rule) as caught:
        read_header(path)
    assert "m.safetensors" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "explanation"),
    [
        (b"", "0 bytes"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"<!doctype html><html></html>", "HTML"),
        (b"GGUF\x03\x00\x00\x00" + bytes(64), "GGUF"),
        (b"PK\x03\x04" + bytes(64), "convert"),
        (b"\x80\x02}q\x00." + bytes(64), "pickle"),
        (b"\x1f\x8b\x08\x00" + bytes(10**6), "gzip"),
        (b'{"error":"Repository not found"}', "server"),
        (b"Access to model x is restricted.\n", 'that begins with "Access to model x is restr'),
        (b"x".ljust(257, b"\0") + b"ustar\x0000" + bytes(300), "tar archive"),
        (bytes(64), "zero bytes"),
        ((10**9).to_bytes(8, "little") + bytes(64), "truncated"),
    ],
)
def test_other_kinds_of_files_are_named(tmp_path, content, explanation):
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with pytest.raises(SafetensorsError, match=explanation):
        read_header(path)


@pytest.mark.parametrize("length", [0x3C, 0x0280, 0x0480, 0x8B1F, 0x5A4D])
def test_a_length_like_another_magic_is_accepted(tmp_path, length):
    header = json.dumps({"t": entry(dtype="U8", shape=[0], offsets=[0, 0])})
    path = raw(tmp_path / "m.safetensors", header.ljust(length))
    assert path.read_bytes()[:2] in (b"<\0", b"\x80\x02", b"\x80\x04", b"\x1f\x8b", b"MZ")
    assert len(read_header(path).tensors) == 1
