"""Memory, energy, clocks and temperature around a call; a device that is absent measures nothing."""

import os
import resource
import sys

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Telemetry:
    """Counters of this process and, on CUDA, of its GPU. `read()` costs some microseconds and lies between calls."""

    def __init__(self, device):
        self.gpu = _Gpu() if device == "cuda" else None
        if self.gpu and not self.gpu.handle:
            self.gpu = None

    def read(self):
        """What the machine says now: bytes, joules, degrees, hertz, shares."""
        values = {"rss_bytes": _resident(), "peak_rss_bytes": _peak()}
        return values | (self.gpu.read() if self.gpu else {})

    def energy_j(self):
        """The GPU's total-energy counter in joules, or None."""
        return self.gpu.energy_j() if self.gpu else None


def _resident():
    """Bytes of this process in memory, or None where the system does not say."""
    try:
        with open("/proc/self/statm") as stream:
            return int(stream.read().split()[1]) * _PAGE
    except OSError:
        return None


def _peak():
    """The most bytes that this process ever had in memory (kibibytes on Linux, bytes on macOS: getrusage(2))."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class _Gpu:
    """NVML's readings of the first visible GPU."""

    def __init__(self):
        self.handle = None
        try:
            import pynvml
        except ImportError:
            return
        self.nvml = pynvml
        try:
            pynvml.nvmlInit()
            self.handle = pynvml.nvmlDeviceGetHandleByIndex(_first_visible())
        except pynvml.NVMLError:
            return

    def _ask(self, name, *arguments):
        try:
            return getattr(self.nvml, name)(self.handle, *arguments)
        except self.nvml.NVMLError:
            return None

    def read(self):
        memory, use = self._ask("nvmlDeviceGetMemoryInfo"), self._ask("nvmlDeviceGetUtilizationRates")
        clock = self._ask("nvmlDeviceGetClockInfo", self.nvml.NVML_CLOCK_SM)
        power = self._ask("nvmlDeviceGetPowerUsage")
        return {
            "gpu_memory_bytes": memory and memory.used,
            "gpu_utilisation": use and use.gpu / 100,
            "gpu_sm_clock_hz": clock and clock * 1e6,
            "gpu_temperature_c": self._ask("nvmlDeviceGetTemperature", self.nvml.NVML_TEMPERATURE_GPU),
            "gpu_power_w": power and power / 1e3,
            "gpu_throttle_reasons": self._ask("nvmlDeviceGetCurrentClocksThrottleReasons"),
            "gpu_energy_j": self.energy_j(),
        }

    def energy_j(self):
        millijoules = self._ask("nvmlDeviceGetTotalEnergyConsumption")
        return None if millijoules is None else millijoules / 1e3


def _first_visible():
    """The index NVML gives to the GPU that the engine calls 0; a UUID is left to NVML's first."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    return int(first) if first.isdigit() else 0
