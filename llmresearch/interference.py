"""What else ran on the machine while samples were taken: the ledger behind the column `contaminated`.

The ledger reads the CPU time of every other process between two snapshots (Linux: the kernel's own nanosecond clock
of each process), the time that the hypervisor took away, and the involuntary switches of this process. Snapshots lie
between calls, never inside one, and at most every `WINDOW` seconds: a call that is longer has a window of its own,
shorter ones share one.

The rule, written here before any run: a sample is contaminated when, over its window, other processes used more than
`BUSY` of a core and more than a quarter of what this process left idle, or the hypervisor stole more than `STOLEN` of
a core. Contaminated samples are kept, say why, and are left out of every summary.
"""

import os
import resource
import time
from dataclasses import dataclass

WINDOW = 0.2   # seconds: a snapshot costs about a third of a millisecond, so parent and ledger stay below 0.5 % of a core
BUSY = 0.10    # cores
STOLEN = 0.02  # cores
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Snapshot:
    """Counters at one moment, in seconds: per process, of this process, and stolen; plus involuntary switches."""

    time: float
    others: dict
    own: float
    stolen: float
    switches: int


def snapshot(mine=()):
    """The counters now; where the system does not tell, they stay empty and nothing is ever flagged.

    `mine` are the ids of processes that do this process's work, an engine's server say: they are not "others".
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    others = _others()
    own = used.ru_utime + used.ru_stime + sum(others.pop(pid, 0.0) for pid in mine)
    return Snapshot(time.perf_counter(), others, own, _stolen(), used.ru_nivcsw)


def _others():
    """CPU seconds by process id, of every process but this one."""
    found, me = {}, os.getpid()
    try:
        names = os.listdir("/proc")
    except OSError:
        return found
    for name in names:
        if name.isdigit() and (pid := int(name)) != me:
            try:
                found[pid] = time.clock_gettime_ns(~pid << 3 | 2) / 1e9  # clock_getcpuclockid(3): the process's CPU clock
            except OSError:
                continue
    return found


def _stolen():
    """Seconds that the hypervisor gave to others, all cores together (/proc/stat, steal)."""
    try:
        with open("/proc/stat") as stream:
            return int(stream.readline().split()[8]) / _TICK
    except (OSError, IndexError):
        return 0.0


def between(a, b, cores):
    """The ledger's entry for the window from snapshot `a` to `b`: rates in cores, and why it is contaminated or None."""
    wall = max(b.time - a.time, 1e-9)
    busy = sum(now - a.others.get(pid, 0.0) for pid, now in b.others.items()) / wall
    own, stolen = (b.own - a.own) / wall, (b.stolen - a.stolen) / wall
    entry = {"window_s": wall, "others_cores": busy, "own_cores": own, "stolen_cores": stolen,
             "involuntary_switches": b.switches - a.switches}  # fmt: skip
    return entry, verdict(busy, own, stolen, cores)


def verdict(busy, own, stolen, cores):
    """Why a window with these rates, in cores, is contaminated; None where it is clean."""
    if busy > BUSY and busy > max(cores - own, 0) / 4:
        return f"other processes used {busy:.2f} of {cores} cores"
    if stolen > STOLEN:
        return f"the hypervisor took {stolen:.2f} of {cores} cores"
    return None
