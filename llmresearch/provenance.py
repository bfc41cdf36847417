"""What stood behind a number: code, machine, packages, clock, certificate."""

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from . import timing

PACKAGES = (
    "llmresearch", "numpy", "scipy", "pandas", "statsmodels", "torch", "transformers", "tokenizers", "safetensors",
    "accelerate", "gguf", "onnx", "onnxruntime", "onnxruntime-gpu", "tensorrt", "tensorrt-rtx", "pycuda",
    "llama-cpp-python", "vllm", "matplotlib", "papermill", "nbconvert", "nvidia-ml-py",
)  # fmt: skip


def collect():
    """The run-level facts of a measurement that starts now, as a dict for the sidecar."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "host": host(),
        "machine": machine(),
        "packages": packages(),
        "clock": timing.calibrate(),
        "garbage_collector": "collected before a phase, off during it",
        "certificate": certificate(),
    }


def host():
    """The hardware in words, so that two machines of one kind read alike and no machine is named."""
    gpus = [g["name"] for g in _gpus()]
    return ", ".join([f"{_processor()}, {timing.available_cores()} cores", *gpus])


def machine():
    """Processor, memory, system, GPUs, and what the clock frequency and the governor were."""
    import psutil

    frequency = psutil.cpu_freq()
    return {
        "processor": _processor(), "cores": timing.available_cores(), "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()}", "python": platform.python_version(),
        "frequency_hz": frequency and frequency.current * 1e6, "governor": _text(_GOVERNOR),
        "load_average": os.getloadavg()[0], "affinity": _affinity(), "gpus": _gpus(),
    }  # fmt: skip


_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def _affinity():
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def _text(path):
    try:
        return path.read_text().strip()
    except OSError:
        return None


def _processor():
    """The processor's name; `platform` does not tell it on Linux."""
    for line in (_text(Path("/proc/cpuinfo")) or "").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _gpus():
    """Name, memory, driver of each GPU that NVML sees; an empty list without one."""
    try:
        import pynvml as nvml

        nvml.nvmlInit()
    except ImportError:
        return []
    except nvml.NVMLError:
        return []
    found = []
    for index in range(nvml.nvmlDeviceGetCount()):
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        found.append({"name": nvml.nvmlDeviceGetName(handle), "driver": nvml.nvmlSystemGetDriverVersion(),
                      "memory_bytes": nvml.nvmlDeviceGetMemoryInfo(handle).total})  # fmt: skip
    return found


def packages():
    """Installed versions of the packages whose version can move a number."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found | {"python": sys.version.split()[0]}


def commit():
    """The code's commit, `+changes` where the working tree differs, or None outside a checkout.

    Code that travels without its checkout may say what it is in LLMRESEARCH_COMMIT.
    """
    if os.environ.get("LLMRESEARCH_COMMIT"):
        return os.environ["LLMRESEARCH_COMMIT"]
    folder = Path(__file__).resolve().parent
    found = _git(folder, "rev-parse", "HEAD")
    return found and found[:12] + ("+changes" if _git(folder, "status", "--porcelain", "--", ".") else "")


def _git(folder, *arguments):
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def cache():
    """The folder for what is prepared once: models, engines, certificates."""
    return Path(os.environ.get("LLMRESEARCH_CACHE") or Path.home() / ".cache" / "llmresearch")


def certificate_path():
    """Where the certificate of this machine lies."""
    return cache() / "certificate.json"


def certificate():
    """This machine's calibration certificate, or None: one that was made on other hardware does not count."""
    try:
        found = json.loads(certificate_path().read_text())
    except (OSError, ValueError):
        return None
    return found if found.get("host") == host() else None
