"""How a GPU's clocks are judged, on a device that is only a virtual clock; and nothing is judged without a GPU."""

import pytest

from llmresearch.selfcheck import gpu


class Device:
    """A GPU with a clock of its own rate: work is queued, and waiting for it moves the wall clock."""

    def __init__(self, hertz=1e9, launch_s=4e-6, bias=0.0):
        self.hertz, self.launch_s, self.bias = hertz, launch_s, bias
        self.now = self.idle_at = 0.0
        self.cold = False
        self.cuda = self

    def is_available(self):
        return True

    def get_device_name(self):
        return "virtual"

    def synchronize(self):
        self.now = max(self.now, self.idle_at)

    def _work(self, seconds):
        self.now += self.launch_s
        self.idle_at = max(self.idle_at, self.now) + seconds

    def _sleep(self, cycles):
        self._work(cycles / self.hertz)

    def Event(self, enable_timing):
        return Event(self)

    def ones(self, *size, **options):
        return Buffer(self)

    empty = ones


class Event:
    def __init__(self, device):
        self.device = device

    def record(self):
        self.at = max(self.device.idle_at, self.device.now)

    def elapsed_time(self, end):
        return (end.at - self.at) * 1e3 * (1 + self.device.bias)


class Buffer:
    def __init__(self, device):
        self.device = device

    def sum(self):
        self.device._work(3e-5 if self.device.cold else 1e-5)
        self.device.cold = False

    def zero_(self):
        self.device._work(1e-4)
        self.device.cold = True


@pytest.fixture
def on(monkeypatch):
    def run(device):
        monkeypatch.setattr(gpu, "_cuda", lambda: (device, None))
        monkeypatch.setattr(gpu, "clock", lambda: device.now)
        return gpu.run(calls=5)

    return run


def test_without_a_gpu_nothing_is_judged(monkeypatch):
    monkeypatch.setattr(gpu, "_cuda", lambda: (None, "needs a CUDA device; this machine has none"))
    assert gpu.run() == {"name": "gpu", "passed": None, "skipped": "needs a CUDA device; this machine has none"}


def test_an_honest_device_passes_and_every_asynchronous_clock_is_caught(on):
    found = on(Device())
    assert found["passed"] and (found["asynchronous_caught"], found["false_alarms"]) == (100, 0)
    assert found["rows"][2]["clock_hz"] == pytest.approx(1e9)
    assert found["clock_drop_noticed"] and not found["steady_clock_accused"]
    assert found["l2_hot_s"] < found["l2_cold_s"]


def test_events_that_are_one_percent_wrong_fail(on):
    assert not on(Device(bias=0.01))["passed"]


def test_clocks_agree_to_two_microseconds_or_half_a_percent():
    assert gpu.agree(11.9e-6, 10e-6) and not gpu.agree(12.1e-6, 10e-6)
    assert gpu.agree(1.0049, 1.0) and not gpu.agree(1.0051, 1.0)


def test_a_wall_clock_below_the_devices_time_was_read_too_early():
    assert gpu.asynchronous(5e-6, 500e-6)
    assert not gpu.asynchronous(505e-6, 500e-6)


def test_a_clock_that_falls_by_a_fifth_is_noticed_and_a_stall_is_not():
    assert gpu.clock_fell([1.0] * 20 + [1.25] * 20)
    assert not gpu.clock_fell([1.0] * 39 + [5.0])
