"""Each job has a GPU to itself."""

import threading
import types

import pytest

from blockresearch import device


def test_jobs_take_different_gpus_or_wait(monkeypatch, tmp_path):
    monkeypatch.setattr(device, "_gpu_count", lambda: 2)
    monkeypatch.setattr(device, "_lock_file", lambda name: tmp_path / name)
    waited = []

    def third():
        with device.slot("cuda") as name:
            waited.append(name)

    with device.slot("cuda") as first:
        with device.slot("cuda") as second:
            thread = threading.Thread(target=third)
            thread.start()
            thread.join(0.1)
            assert {first, second} == {"cuda:0", "cuda:1"} and not waited
        thread.join(5)
    assert waited == [second]
    with device.slot("cpu") as name:
        assert name == "cpu"


def test_a_slot_belongs_to_the_gpu_itself(monkeypatch):
    torch = pytest.importorskip("torch")

    def lock_with(visible, name):
        uuid = visible.split(",")[int(name.removeprefix("cuda:"))]
        monkeypatch.setattr(
            torch.cuda, "get_device_properties", lambda _: types.SimpleNamespace(uuid=uuid)
        )
        return device._lock_file(name)

    assert lock_with("GPU-a", "cuda:0") != lock_with("GPU-b", "cuda:0")
    assert lock_with("GPU-b", "cuda:0") == lock_with("GPU-a,GPU-b", "cuda:1")
