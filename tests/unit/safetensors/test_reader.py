"""The strict reader: sound files as the reference library reads them, and files that change."""

import os
import socket

import numpy as np
import pytest
from safetensors.numpy import save_file

from blockresearch.safetensors.header import SafetensorsError
from blockresearch.safetensors.reader import read_bytes, read_chunks, read_header, unchanged
from tests.conftest import write_safetensors


def test_agrees_with_the_reference_writer(tmp_path):
    arrays = {
        "b": np.arange(6, dtype=np.float32).reshape(2, 3),
        "a": np.arange(5, dtype=np.int64),
        "scalar": np.array(3.0),
        "empty": np.zeros((0, 4), np.float16),
    }
    path = tmp_path / "m.safetensors"
    save_file(arrays, path, metadata={"format": "pt"})
    header = read_header(path)
    assert header.metadata == {"format": "pt"}
    assert {tensor.name: tensor.shape for tensor in header.tensors} == {
        name: array.shape for name, array in arrays.items()
    }
    for tensor in header.tensors:
        stored = read_bytes(path, tensor.begin, tensor.end).tobytes()
        assert stored == arrays[tensor.name].tobytes()


def test_chunks_put_together_are_the_data(tmp_path):
    path = tmp_path / "m.safetensors"
    write_safetensors(path, {"w": ("U8", [100], bytes(range(100)))})
    tensor = read_header(path).tensors[0]
    chunks = list(read_chunks(path, tensor.begin, tensor.end, 48))
    assert [len(chunk) for chunk in chunks] == [48, 48, 4]
    assert b"".join(chunk.tobytes() for chunk in chunks) == bytes(range(100))


def test_what_is_no_file_is_told_and_not_waited_for(tmp_path):
    path = tmp_path / "m.safetensors"
    listener = socket.socket(socket.AF_UNIX)
    for make, words in (
        (lambda: path.mkdir(), "a folder"),
        (lambda: path.symlink_to(tmp_path / "gone"), "a link to a file that is not there"),
        (lambda: path.symlink_to(path), "Too many levels"),
        (lambda: path.symlink_to("/dev/zero"), "a device"),
        (lambda: listener.bind(os.path.relpath(path)), "a socket"),
        (lambda: os.mkfifo(path), "a FIFO"),
    ):
        make()
        with pytest.raises(SafetensorsError, match=words):
            read_header(path)
        path.rmdir() if path.is_dir() else path.unlink()
    listener.close()
    with pytest.raises(SafetensorsError, match="No such file"):
        read_header(path)


def test_a_file_changed_while_read_is_an_error(tmp_path):
    path = tmp_path / "m.safetensors"
    write_safetensors(path, {"w": ("U8", [100], bytes(100))})
    size = path.stat().st_size
    with unchanged({path: size}):
        pass
    with pytest.raises(SafetensorsError, match="should have"), unchanged({path: size + 1}):
        pass
    with pytest.raises(SafetensorsError, match="was changed"), unchanged({path: size}):
        write_safetensors(path, {"w": ("U8", [100], bytes(range(100)))})


def test_a_file_that_shrinks_is_an_error_not_a_crash(tmp_path):
    path = tmp_path / "m.safetensors"
    write_safetensors(path, {"w": ("U8", [100], bytes(100))})
    tensor = read_header(path).tensors[0]
    os.truncate(path, tensor.end - 10)
    with pytest.raises(SafetensorsError, match="truncated"):
        list(read_chunks(path, tensor.begin, tensor.end, 48))
