"""T5: does the clock tell the truth of a GPU? Kernels that spin for a known number of cycles say how long they took.

Device events and the wall clock with a wait at its end must agree; a wall clock without the wait must be noticed; a
small copy is timed with its data in the L2 cache and out of it; a clock rate that falls within a block must be noticed.
Without a CUDA device nothing is judged: `passed` is None, and `skipped` says why.
"""

import statistics
import time

CYCLES = (20_000, 100_000, 1_000_000, 10_000_000)  # about 10 µs to 5 ms at 2 GHz
BIAS_S, BIAS_SHARE = 2e-6, 0.005
TRIALS = 100
DROP = 0.02                # of the clock rate between the first and the last quarter of a block
SLOWER = 1.25              # the drop that is put in: a clock at four fifths
HOT_BYTES, FLUSH_BYTES = 8 << 20, 512 << 20  # fits the L2 of a data-centre GPU (40 to 60 MiB); flushes it
clock = time.perf_counter


def run(calls=50, trials=TRIALS):
    """The check's result: bias of the wall clock against events per length, asynchronous clocks caught, L2, clock drops."""
    torch, reason = _cuda()
    if reason:
        return {"name": "gpu", "passed": None, "skipped": reason}
    empty = [_timed(torch, _spin(torch, 0)) for _ in range(calls)]
    rows = [_row(cycles, [_timed(torch, _spin(torch, cycles)) for _ in range(calls)], empty) for cycles in CYCLES]
    pairs = [_timed(torch, _spin(torch, CYCLES[2]), wait) for _ in range(trials) for wait in (True, False)]
    caught, false = (sum(asynchronous(*pair) for pair in pairs[i::2]) for i in (1, 0))
    steady, dropped = (_block(torch, slower) for slower in (1.0, SLOWER))
    hot, cold = _l2(torch, calls, flush=False), _l2(torch, calls, flush=True)
    passed = all(r["passed"] for r in rows) and caught == trials and not false and dropped and not steady and hot < cold
    return {"name": "gpu", "passed": bool(passed), "device": torch.cuda.get_device_name(), "rows": rows, "trials": trials,
            "asynchronous_caught": caught, "false_alarms": false, "clock_drop_noticed": dropped, "steady_clock_accused": steady,
            "l2_hot_s": hot, "l2_cold_s": cold}  # fmt: skip


def _cuda():
    """(torch, None), or (None, why nothing can be judged)."""
    try:
        import torch
    except ImportError:
        return None, "needs torch, which is not installed here"
    return (torch, None) if torch.cuda.is_available() else (None, "needs a CUDA device; this machine has none")


def _spin(torch, cycles):
    """A call that keeps the GPU busy for `cycles` of its clock."""
    return lambda: torch.cuda._sleep(cycles)


def _timed(torch, call, wait=True):
    """(wall seconds, device seconds) of one call; without `wait` the wall clock is read while the GPU still works."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start = clock()
    begin.record()
    call()
    end.record()
    if wait:
        torch.cuda.synchronize()
    wall = clock() - start
    torch.cuda.synchronize()
    return wall, begin.elapsed_time(end) / 1e3


def _row(cycles, pairs, empty):
    """Both clocks at one length, less what an empty kernel costs each, and whether they agree."""
    wall, device = (statistics.median(p[i] for p in pairs) - statistics.median(p[i] for p in empty) for i in (0, 1))
    return {"cycles": cycles, "wall_s": wall, "device_s": device, "bias_s": wall - device, "passed": agree(wall, device),
            "clock_hz": cycles / device if device > 0 else None}  # fmt: skip


def agree(wall_s, device_s):
    """Do the two clocks agree within 2 µs or 0.5 %, whichever is more?"""
    return abs(wall_s - device_s) <= max(BIAS_S, BIAS_SHARE * device_s)


def asynchronous(wall_s, device_s):
    """Was the wall clock read before the device was done? Then it shows less time than the device worked."""
    return wall_s < device_s * (1 - BIAS_SHARE) - BIAS_S


def clock_fell(seconds):
    """Do equal kernels take longer at the end of a block than at its begin: the last quarter's median against the first's?"""
    quarter = max(len(seconds) // 4, 1)
    return statistics.median(seconds[-quarter:]) > (1 + DROP) * statistics.median(seconds[:quarter])


def _block(torch, slower, calls=80):
    """Is a fall of the clock seen in a block whose second half takes `slower` times the cycles?"""
    for _ in range(10):  # the clock has risen by then
        _timed(torch, _spin(torch, CYCLES[2]))
    cycles = [round(CYCLES[2] * (slower if i >= calls // 2 else 1)) for i in range(calls)]
    return clock_fell([_timed(torch, _spin(torch, c))[1] for c in cycles])


def _l2(torch, calls, flush):
    """Median device seconds of summing a small buffer, after it was read, or after a large one was written over the cache."""
    data = torch.ones(HOT_BYTES // 4, device="cuda")
    large = torch.empty(FLUSH_BYTES // 4, device="cuda")
    seconds = []
    for _ in range(calls):
        data.sum()
        if flush:
            large.zero_()
        seconds.append(_timed(torch, data.sum)[1])
    return statistics.median(seconds)
