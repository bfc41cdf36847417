"""What else ran is known, and the rule that excludes a sample was written before the run."""

import subprocess
import sys
import time

import pytest

from llmresearch import interference
from llmresearch.interference import Snapshot, between, verdict


def snap(time, others=None, own=0.0, stolen=0.0, switches=0):
    return Snapshot(time, others or {}, own, stolen, switches)


def test_a_quiet_window_is_clean():
    entry, why = between(snap(0), snap(1, own=2.0), cores=2)
    assert why is None and entry["own_cores"] == 2.0 and entry["others_cores"] == 0.0


def test_the_cpu_time_of_others_is_counted_in_cores_new_processes_among_them():
    entry, _ = between(snap(10, {1: 5.0, 2: 1.0}), snap(12, {1: 6.0, 2: 1.0, 3: 0.5}), cores=2)
    assert entry["others_cores"] == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("busy", "own", "cores", "flagged"),
    [
        (1.0, 1.0, 2, True),      # the other core is taken
        (0.05, 2.0, 2, False),    # below a tenth of a core
        (0.2, 2.0, 2, True),      # nothing was left idle
        (0.5, 8.0, 16, False),    # eight cores lie idle
        (3.0, 8.0, 16, True),     # more than a quarter of what lay idle
    ],
)
def test_others_count_when_they_take_more_than_was_idle(busy, own, cores, flagged):
    assert (verdict(busy, own, 0.0, cores) is not None) == flagged


def test_time_that_the_hypervisor_took_is_contamination():
    assert verdict(0.0, 1.0, 0.03, 2) == "the hypervisor took 0.03 of 2 cores"


@pytest.mark.skipif(sys.platform != "linux", reason="processes are read from /proc")
def test_a_spinning_process_is_seen_and_one_of_ours_is_not():
    spinner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(0.3)
        theirs = interference.snapshot()
        ours = interference.snapshot(mine=(spinner.pid,))
        assert spinner.pid in theirs.others and spinner.pid not in ours.others
        time.sleep(0.3)
        assert interference.snapshot().others[spinner.pid] > theirs.others[spinner.pid]
        assert interference.snapshot(mine=(spinner.pid,)).own > ours.own
    finally:
        spinner.kill()
        spinner.wait()


def test_a_system_that_tells_nothing_flags_nothing(monkeypatch):
    def absent(*_):
        raise FileNotFoundError

    monkeypatch.setattr("os.listdir", absent)
    monkeypatch.setattr("builtins.open", absent)
    found = interference.snapshot()
    assert found.others == {} and found.stolen == 0.0
