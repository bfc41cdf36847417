"""An absent device measures nothing; a present one is read in plain units."""

import sys
import types

from llmresearch.telemetry import Telemetry


def test_without_a_gpu_only_memory_is_read():
    read = Telemetry("cpu").read()
    assert set(read) == {"rss_bytes", "peak_rss_bytes"} and read["peak_rss_bytes"] > 1e6


def nvml(**readings):
    """A stand-in for NVML that answers with `readings` and fails where it has none."""

    class NVMLError(Exception):
        pass

    def ask(name):
        def answer(*_):
            if name not in readings:
                raise NVMLError(name)
            return readings[name]

        return answer

    module = types.ModuleType("pynvml")
    module.NVMLError, module.NVML_CLOCK_SM, module.NVML_TEMPERATURE_GPU = NVMLError, 1, 0
    for name in ("nvmlInit", "nvmlDeviceGetHandleByIndex", "nvmlDeviceGetMemoryInfo", "nvmlDeviceGetUtilizationRates",
                 "nvmlDeviceGetClockInfo", "nvmlDeviceGetPowerUsage", "nvmlDeviceGetTemperature",
                 "nvmlDeviceGetCurrentClocksThrottleReasons", "nvmlDeviceGetTotalEnergyConsumption"):  # fmt: skip
        setattr(module, name, ask(name))
    return module


def test_a_gpu_is_read_in_bytes_watts_joules_and_hertz(monkeypatch):
    memory, use = types.SimpleNamespace(used=2**30), types.SimpleNamespace(gpu=50)
    monkeypatch.setitem(sys.modules, "pynvml", nvml(
        nvmlInit=None, nvmlDeviceGetHandleByIndex="gpu 0", nvmlDeviceGetMemoryInfo=memory, nvmlDeviceGetUtilizationRates=use,
        nvmlDeviceGetClockInfo=1980, nvmlDeviceGetPowerUsage=350_000, nvmlDeviceGetTemperature=41,
        nvmlDeviceGetCurrentClocksThrottleReasons=0, nvmlDeviceGetTotalEnergyConsumption=1_500))  # fmt: skip
    read = Telemetry("cuda").read()
    assert (read["gpu_memory_bytes"], read["gpu_utilisation"], read["gpu_power_w"]) == (2**30, 0.5, 350.0)
    assert (read["gpu_energy_j"], read["gpu_sm_clock_hz"], read["gpu_temperature_c"]) == (1.5, 1.98e9, 41)


def test_what_a_gpu_does_not_tell_is_null(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", nvml(nvmlInit=None, nvmlDeviceGetHandleByIndex="gpu 0"))
    read = Telemetry("cuda").read()
    assert read["gpu_power_w"] is None and Telemetry("cuda").energy_j() is None


def test_a_driver_that_does_not_start_is_no_gpu(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", nvml())
    assert "gpu_power_w" not in Telemetry("cuda").read()
