"""How fast can this device read memory and multiply matrices, here and now? The ceilings that no honest sample breaks.

Runs in the session whose samples it bounds, under the interpreter of the engine (`python -m llmresearch.roofline
--device cuda`): numpy on a CPU, torch on a GPU. A buffer that was never written is no memory: the kernel maps one
page of zeros everywhere, and reading it was seen at 378 GB/s where memory gives 47.5. So every buffer is written
first, and the memory that the process holds must grow with it.
"""

import argparse
import json
import mmap
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from .records import LlmResearchError

LEAST_BUFFER = 256 << 20   # bytes; and at least BEYOND_CACHE times the last-level cache
BEYOND_CACHE = 4
GEMM = 2048                # rows of the matrices on a CPU
GPU_BUFFER, GPU_GEMM = 2 << 30, 8192
REPEATS = 7                # the fastest counts: a ceiling, not a typical value
PATIENCE = 300             # seconds for a probe in a process of its own
RESIDENT = 0.9             # of a buffer must be real memory after it was written


class CeilingNotMeasured(LlmResearchError):
    """A device that is not there, or memory that did not become real."""


def measure(device="cpu", repeats=REPEATS):
    """The ceilings of a device as a dict for JSON.

    bytes_per_s: the fastest of reading (dot product) and copying (read + written), all cores; flops_per_s: per dtype,
    of a large matrix product; cache_bytes: the last-level cache, which small models are read from; buffer_bytes,
    resident_share and untouched_bytes_per_s tell that the buffer was real memory, and what an unwritten one pretends.
    """
    if device not in ("cpu", "cuda"):
        raise CeilingNotMeasured(f"roofline: device {device!r} is not known. Devices: cpu, cuda.")
    return {"device": device} | (_cpu(repeats) if device == "cpu" else _cuda(repeats))


def apart(device="cpu", python=None):
    """The ceilings of a device, measured in a process of its own under the interpreter `python`; as `measure`.

    Where they cannot be measured: {"device": …, "refused": the reason}, and the run that asked goes on without them.
    """
    home = os.pathsep.join(filter(None, [str(Path(__file__).resolve().parent.parent), os.environ.get("PYTHONPATH")]))
    command = [python or sys.executable, "-m", "llmresearch.roofline", "--device", device]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=os.environ | {"PYTHONPATH": home})
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"device": device, "refused": f"roofline: the probe did not run ({error})."}
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    words = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    return {"device": device, "refused": words.partition("CeilingNotMeasured: ")[2] or words}


def fastest(call, repeats, settle=lambda: None):
    """Seconds of the fastest of `repeats` calls, after one that is not counted."""
    call()
    seconds = []
    for _ in range(repeats):
        settle()
        start = time.perf_counter()
        call()
        settle()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _cpu(repeats):
    cache = cpu_cache_bytes()
    size = max(LEAST_BUFFER, BEYOND_CACHE * cache)
    with ThreadPoolExecutor(_cores()) as pool:
        source, share = touched(size)
        target, _ = touched(size)
        read = size / _read_seconds(pool, source, repeats)
        copied = 2 * size / fastest(lambda: _in_parts(pool, np.copyto, target, source), repeats)
        del source, target
        untouched = size / _read_seconds(pool, _fresh(size), repeats)
    return {
        "bytes_per_s": max(read, copied), "read_bytes_per_s": read, "copy_bytes_per_s": copied,
        "untouched_bytes_per_s": untouched, "resident_share": share, "buffer_bytes": size, "cache_bytes": cache,
        "flops_per_s": {"fp32": _gemm_flops(repeats)},
    }  # fmt: skip


def _cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def touched(size):
    """(float32 buffer of `size` bytes, all written; share of it that became memory of this process, nan if not told).

    Raises CeilingNotMeasured where less than RESIDENT of it is real: such a buffer reads faster than memory can.
    """
    before = _resident()
    buffer = _fresh(size)
    buffer.fill(1.0)
    share = (_resident() - before) / size
    if share < RESIDENT:
        raise CeilingNotMeasured(
            f"roofline: {share:.0%} of a written buffer of {size >> 20} MiB is real memory, where {RESIDENT:.0%} must be. "
            "Free some memory (part of it may have been swapped out) and measure again."
        )
    return buffer, share


def _fresh(size):
    """A float32 buffer of pages that this process never had; numpy's own may be memory it used before."""
    return np.frombuffer(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), np.float32)


def _resident():
    """Bytes of this process in memory; nan where the system does not say, so that no comparison holds."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return float("nan")


def _read_seconds(pool, buffer, repeats):
    return fastest(lambda: _in_parts(pool, np.dot, buffer, buffer), repeats)


def _in_parts(pool, call, a, b):
    """`call` over equal parts of two buffers, one part per core."""
    return list(pool.map(call, np.array_split(a, _cores()), np.array_split(b, _cores())))


def _gemm_flops(repeats):
    a = np.ones((GEMM, GEMM), np.float32)
    return 2 * GEMM**3 / fastest(lambda: a @ a, repeats)


def cpu_cache_bytes():
    """Bytes of the largest cache level of all sockets together (Linux sysfs); 0 where the system does not say."""
    found = {}
    for index in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cache/index[0-9]*"):
        try:
            level, size, cores = ((index / n).read_text().strip() for n in ("level", "size", "shared_cpu_list"))
        except OSError:
            continue
        found[int(level), cores] = int(size.rstrip("K")) * 1024
    last = max((level for level, _ in found), default=0)
    return sum(size for (level, _), size in found.items() if level == last)


def _cuda(repeats):
    torch = _torch()
    cache = torch.cuda.get_device_properties(0).L2_cache_size
    source = torch.ones(GPU_BUFFER // 4, device="cuda")
    target = torch.empty_like(source)
    settle = torch.cuda.synchronize
    copied = 2 * GPU_BUFFER / fastest(lambda: target.copy_(source), repeats, settle)
    read = GPU_BUFFER / fastest(source.sum, repeats, settle)
    del source, target
    return {
        "bytes_per_s": max(read, copied), "read_bytes_per_s": read, "copy_bytes_per_s": copied,
        "buffer_bytes": GPU_BUFFER, "cache_bytes": cache, "flops_per_s": _cuda_flops(torch, repeats),
    }  # fmt: skip


def _torch():
    try:
        import torch
    except ImportError as error:
        raise CeilingNotMeasured("roofline: a GPU's ceilings need torch. Install it, or ask for device cpu.") from error
    if not torch.cuda.is_available():
        raise CeilingNotMeasured("roofline: no CUDA device here. Ask for device cpu, or run on a machine with a GPU.")
    return torch


def _cuda_flops(torch, repeats):
    """Operations per second per dtype; fp32 with TF32 allowed, which an engine may use: a ceiling must be the higher."""
    before, found = torch.backends.cuda.matmul.allow_tf32, {}
    torch.backends.cuda.matmul.allow_tf32 = True
    for name, dtype in (("fp32", torch.float32), ("fp16", torch.float16), ("bf16", torch.bfloat16)):
        a = torch.randn(GPU_GEMM, GPU_GEMM, device="cuda", dtype=dtype)
        found[name] = 2 * GPU_GEMM**3 / fastest(lambda a=a: a @ a, repeats, torch.cuda.synchronize)
    torch.backends.cuda.matmul.allow_tf32 = before
    return found


def main():
    """Print the ceilings of a device as JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--device", default="cpu")
    print(json.dumps(measure(parser.parse_args().device)))


if __name__ == "__main__":
    main()
