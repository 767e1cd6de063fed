"""A GPU has a few workers at a time, of whatever process."""

import contextlib
import threading
import types

import pytest

from blockresearch import device


@pytest.fixture
def two_gpus(monkeypatch, tmp_path):
    monkeypatch.setattr(device, "_gpu_count", lambda: 2)
    monkeypatch.setattr(device, "_lock_file", lambda name, number: tmp_path / f"{name}-{number}")
    device._free_slots.cache_clear()
    yield
    device._free_slots.cache_clear()


def test_workers_take_different_gpus_or_wait(two_gpus):
    waited = []

    def another():
        with device.slot("cuda") as found:
            waited.append(found)

    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(device.slot("cuda")) for _ in range(3)]
        assert held == [("cuda:0", 0), ("cuda:1", 0), ("cuda:0", 1)]
        with device.slot("cuda") as last:
            thread = threading.Thread(target=another)
            thread.start()
            thread.join(0.1)
            assert last == ("cuda:1", 1) and not waited
        thread.join(5)
    assert waited == [last]
    with device.slot("cpu") as found:
        assert found == ("cpu", 0)


def test_workers_of_other_processes_are_seen(two_gpus, tmp_path):
    with (tmp_path / "cuda:0-0").open("a") as file:
        device.fcntl.flock(file, device.fcntl.LOCK_EX)
        with device.slot("cuda") as found:
            assert found == ("cuda:1", 0)


def test_a_slot_belongs_to_the_gpu_itself(monkeypatch):
    torch = pytest.importorskip("torch")

    def lock_with(visible, name):
        uuid = visible.split(",")[int(name.removeprefix("cuda:"))]
        monkeypatch.setattr(
            torch.cuda, "get_device_properties", lambda _: types.SimpleNamespace(uuid=uuid)
        )
        return device._lock_file(name, 0)

    assert lock_with("GPU-a", "cuda:0") != lock_with("GPU-b", "cuda:0")
    assert lock_with("GPU-b", "cuda:0") == lock_with("GPU-a,GPU-b", "cuda:1")


def test_a_gpu_without_torch_is_named_in_one_line(monkeypatch):
    monkeypatch.setattr(device, "_has_driver", lambda: True)
    monkeypatch.setattr(device.importlib.util, "find_spec", lambda name: None)
    note = device.unused_gpu()
    assert "`make setup GPU=yes` in a clone" in note and "`pip install torch`" in note
    monkeypatch.setattr(device, "_has_driver", lambda: False)
    assert device.unused_gpu() is None
