"""Energy of a phase: back-to-back calls for seconds under a counter, beside a window of the engine at rest.

On CUDA the counter is NVML's total energy of the GPU, on a CPU the package domains of powercap (RAPL),
summed; what runs beside counts in either, so each window carries the ledger's verdict. Here readings are
taken; what follows from them (idle subtracted, ends, refusals) is for those who read the record:
`energy.window` and `energy.above_idle`.

A call that needs the engine to be prepared is prepared inside of the window, for nothing else could be back
to back. The seconds of it are counted apart (`preparing_s`): their energy cannot be told from the call's,
only bounded by that share.
"""

from dataclasses import asdict
from functools import cache
import gc
from pathlib import Path

from . import energy, interference
from .telemetry import Telemetry
from .timing import available_cores

POWERCAP = "/sys/class/powercap"
LEAST_S = 1.0  # a window is never shorter: ten periods of the slowest counters that are known (0.1 s)
REST_S = 1.0  # before the idle window: clocks and voltages of a device fall within about a second
NO_NVML = "no energy: NVML gives no total energy of this GPU (pynvml missing, or a GPU before Volta)"
NO_DOMAIN = "no energy: no package domain under {} (RAPL is hidden or absent here)"
NO_PERMISSION = "no energy: {} is there and may not be read; root may, or chmod a+r energy_uj"
NO_POWER = "no energy: a virtual clock spends none, and no power was given"


class Meter:
    """A counter of joules: `read()`, its name, what it covers, where it begins again; `reason` where none is.

    Idle power is measured once, at the first question, and the counter's resolution with it.
    """

    def __init__(self, name, read, covers, reason=None, wraps_at_j=None):
        self.name, self.read, self.covers = name, read, covers
        self.reason, self.wraps_at_j = reason, wraps_at_j
        self.idle = None

    def resting(self, engine, seconds):
        """The record of the idle window and of the counter behind it, measured at the first call only."""
        if self.idle is None:
            self.idle = _idle(self, engine, max(seconds, LEAST_S))
        return self.idle


@cache
def machine_meter(device):
    """The Meter of this machine for a device; one per process."""
    return _nvml(Telemetry(device)) if device == "cuda" else powercap()


def _nvml(telemetry):
    if telemetry.energy_j() is None:
        return Meter("nvml", None, "", NO_NVML)
    return Meter("nvml", telemetry.energy_j, "the whole GPU; not the host's processors and memory")


def powercap(folder=POWERCAP):
    """The Meter of all packages under a powercap folder; with the reason where none can be read."""
    folders = sorted(Path(folder).glob("*:[0-9]*"))
    domains = [_Domain(path) for path in folders if _text(path / "name").startswith("package")]
    if not domains:
        return Meter("powercap", None, "", NO_DOMAIN.format(folder))
    if _total(domains) is None:
        return Meter("powercap", None, "", NO_PERMISSION.format(folder))
    covers = f"{len(domains)} processor package(s), all that runs on them; not memory modules, disks, fans"
    return Meter("powercap", lambda: _total(domains), covers)


def _total(domains):
    """Joules of all packages so far, or None where one of them cannot be read."""
    joules = [domain.joules() for domain in domains]
    return None if None in joules else sum(joules)


class _Domain:
    """One package: joules since the first reading, going on where its register began again."""

    def __init__(self, path):
        self.path = path
        self.wraps_at_uj = int(_text(path / "max_energy_range_uj") or 0)
        self.last, self.total = None, 0

    def joules(self):
        """Joules so far, None where the file cannot be read; read it more often than it wraps (minutes)."""
        text = _text(self.path / "energy_uj")
        if not text:
            return None
        now = int(text)
        if self.last is not None:
            self.total += now - self.last + (self.wraps_at_uj if now < self.last else 0)
        self.last = now
        return self.total / 1e6


def _text(path):
    """A small file's text, or nothing."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""


class Windows:
    """The windows of one cell on a loaded engine; without `energy_window_s` it does nothing."""

    def __init__(self, engine, cell, meter=None):
        self.engine, self.seconds = engine, cell.energy_window_s
        self.found = {}
        if self.seconds is None:
            return
        self.seconds = max(self.seconds, LEAST_S)
        self.meter = meter or _meter_of(engine, cell.device)
        if self.meter.reason:
            self.found = {"unknown": self.meter.reason}

    def add(self, phase):
        """Measure a window of a phase, after its calls one by one; nothing where there is no counter."""
        if self.seconds is None or self.meter.reason:
            return
        self.found |= self.meter.resting(self.engine, self.seconds)
        engine, seconds = self.engine, self.seconds
        self.found[phase] = _watched(engine, self.meter, lambda: _calls(engine, phase, seconds))

    def evidence(self):
        """{"energy": {"counter": …, "idle": …, phase: …}}, {"energy": {"unknown": reason}}, or nothing."""
        return {"energy": self.found} if self.found else {}


def _meter_of(engine, device):
    """The engine's own counter where its clock is virtual, else the machine's."""
    if not getattr(engine, "virtual", False):
        return machine_meter(device)
    read = getattr(engine, "energy_j", None)
    spends = read is not None and read() is not None
    return Meter("virtual", read, "the virtual device", None if spends else NO_POWER)


def _idle(meter, engine, seconds):
    """{"counter": what it can tell, "idle": a window at rest}; both from one polling of a settled engine."""
    rest = getattr(engine, "rest", None)
    pause = {"sleep": rest} if rest else {}
    engine.settle()
    energy.poll(meter.read, REST_S, _seconds(engine), 0.05, **pause)
    polled = []

    def resting():
        polled.extend(energy.poll(meter.read, seconds, _seconds(engine), **pause))
        return {}

    found = _watched(engine, meter, resting)
    counter = energy.resolution(*polled, meter.wraps_at_j)
    told = asdict(counter) if counter else {"period_s": None}
    return {"counter": {"name": meter.name, "covers": meter.covers} | told, "idle": found}


def _watched(engine, meter, work):
    """A window's record: the counter at both ends as [seconds, joules], what else ran, what `work` tells."""
    virtual = getattr(engine, "virtual", False)
    processes = getattr(engine, "processes", tuple)()
    gc.collect()
    gc.disable()
    try:
        engine.settle()
        before = interference.snapshot(processes)
        start = _reading(engine, meter)
        found = work()
        engine.settle()
        end = _reading(engine, meter)
        after = interference.snapshot(processes)
    finally:
        gc.enable()
    ledger, contaminated = interference.between(before, after, available_cores())
    beside = {} if virtual else {"others_cores": ledger["others_cores"]}
    return {"start": start, "end": end, "contaminated": None if virtual else contaminated} | beside | found


def _reading(engine, meter):
    """[seconds, joules] of now, the time in the middle of the reading."""
    clock = _seconds(engine)
    before, joules, after = clock(), meter.read(), clock()
    return [(before + after) / 2, joules]


def _seconds(engine):
    """The engine's clock in seconds."""
    return lambda: engine.clock() / 1e9


def _calls(engine, phase, seconds):
    """Calls of a phase, back to back for `seconds` or more: calls, tokens, seconds inside and preparing."""
    clock = _seconds(engine)
    calls, tokens, inside, preparing, begin = 0, 0, 0.0, 0.0, clock()
    while clock() - begin < seconds:
        engine.marks.clear()
        prepare = clock()
        engine.prepare(phase)
        engine.settle()
        start = clock()
        tokens += getattr(engine, phase)()
        engine.settle()
        inside, preparing, calls = inside + clock() - start, preparing + start - prepare, calls + 1
    return {"calls": calls, "tokens": tokens, "calls_s": inside, "preparing_s": preparing}
