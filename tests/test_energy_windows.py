"""Windows of back-to-back calls under a counter: taken where they mean something, and silent about nothing."""

import math

import pytest

from llmresearch import energy, energy_windows
from llmresearch.backends.fake import Fake
from llmresearch.energy import Counter
from llmresearch.energy_windows import Meter, Windows, powercap
from llmresearch.matrix import plan

POWERED = {"power_w": 400.0, "idle_w": 70.0, "noise": 0.0}


def started(options=POWERED, **params):
    """(a fake engine that has taken its prompt, its cell)."""
    asked = {"models": ["fake-10m"], "backends": [{"name": "fake"} | options], "energy_window_s": 2.0} | params
    cell = plan(asked)[0]
    engine = Fake()
    engine.load(cell)
    engine.start(cell, [list(range(16))])
    return engine, cell


def measured(phase="prefill", meter=None, engine=None, **params):
    mine, cell = started(**params)
    windows = Windows(engine or mine, cell, meter)
    windows.add(phase)
    return windows.evidence()


def joules_above_idle(found, phase):
    """The Energy of a phase above idle, as a reader of the record gets it."""
    counter = Counter(found["counter"]["period_s"], found["counter"]["step_j"], found["counter"]["wraps_at_j"])
    both = (energy.window(counter, found[name]["start"], found[name]["end"]) for name in (phase, "idle"))
    return energy.above_idle(*both)


def test_a_device_of_known_power_is_measured_above_its_idle_power():
    found = measured()["energy"]
    net = joules_above_idle(found, "prefill")
    assert net.low <= 330.0 * net.seconds <= net.high
    assert net.joules == pytest.approx(330.0 * net.seconds, rel=1e-3)


def test_a_window_lasts_as_long_as_was_asked_and_counts_its_calls_and_tokens():
    found = measured()["energy"]["prefill"]
    assert found["end"][0] - found["start"][0] >= 2.0
    assert found["tokens"] == 16 * found["calls"]
    assert found["calls_s"] == pytest.approx(found["end"][0] - found["start"][0])
    assert found["preparing_s"] == 0.0


def test_a_window_is_never_shorter_than_a_second():
    found = measured(energy_window_s=0.01)["energy"]
    assert all(found[name]["end"][0] - found[name]["start"][0] >= 1.0 for name in ("prefill", "idle"))


def test_the_idle_window_holds_idle_power_only():
    idle = measured()["energy"]["idle"]
    watts = (idle["end"][1] - idle["start"][1]) / (idle["end"][0] - idle["start"][0])
    assert watts == pytest.approx(70.0)


def test_without_the_parameter_nothing_is_measured_and_nothing_said():
    assert measured(energy_window_s=None) == {}


def test_an_engine_without_a_counter_says_why_and_makes_no_calls():
    engine, cell = started({"noise": 0.0})
    windows = Windows(engine, cell)
    windows.add("prefill")
    assert "no power was given" in windows.evidence()["energy"]["unknown"]
    assert engine.now == 0


def test_the_engine_at_rest_is_measured_once_for_all_phases_and_cells():
    engine, cell = started()
    meter = Meter("virtual", engine.energy_j, "the virtual device")
    seen = []
    for phase in ("prefill", "decode"):
        windows = Windows(engine, cell, meter)
        windows.add(phase)
        seen.append(windows.evidence()["energy"])
    assert seen[0]["idle"] is seen[1]["idle"]
    assert set(seen[1]) == {"counter", "idle", "decode"}


class Preparing(Fake):
    """A fake engine that needs a quarter of a call's time to be prepared."""

    def prepare(self, phase):
        super().prepare(phase)
        self.rest(0.001)


def test_preparing_lies_inside_the_window_and_is_counted_apart():
    engine, cell = Preparing(), started()[1]
    engine.load(cell)
    engine.start(cell, [list(range(16))])
    windows = Windows(engine, cell)
    windows.add("prefill")
    found = windows.evidence()["energy"]["prefill"]
    assert found["preparing_s"] == pytest.approx(0.001 * found["calls"])
    assert found["calls_s"] + found["preparing_s"] == pytest.approx(found["end"][0] - found["start"][0])


def test_a_counter_that_stands_still_leaves_a_record_that_no_energy_follows_from():
    engine, cell = started()
    windows = Windows(engine, cell, Meter("stuck", lambda: 7.0, "nothing"))
    windows.add("prefill")
    found = windows.evidence()["energy"]
    assert found["counter"] == {"name": "stuck", "covers": "nothing", "period_s": None}
    assert math.isnan(energy.window(None, found["prefill"]["start"], found["prefill"]["end"]).joules)


def test_a_slow_counter_is_found_to_be_slow_by_watching_it_at_rest():
    engine, cell = started(energy_window_s=3.0)
    slow = Meter("slow", lambda: math.floor(engine.now / 1e8) * 7.0, "the virtual device")    # 70 W, every 0.1 s
    windows = Windows(engine, cell, slow)
    windows.add("prefill")
    assert windows.evidence()["energy"]["counter"]["period_s"] == pytest.approx(0.1, abs=0.002)


def package(folder, number, uj, wraps=262_143_328_850, name="package"):
    path = folder / f"intel-rapl:{number}"
    path.mkdir(exist_ok=True)
    (path / "name").write_text(f"{name}-{number}\n")
    (path / "energy_uj").write_text(f"{uj}\n")
    (path / "max_energy_range_uj").write_text(f"{wraps}\n")
    return path


def test_the_packages_of_a_machine_are_summed_in_joules(tmp_path):
    package(tmp_path, 0, 1_000_000)
    package(tmp_path, 1, 5_000_000)
    package(tmp_path, 2, 9_000_000, name="psys")
    meter = powercap(tmp_path)
    assert meter.read() == 0.0
    package(tmp_path, 0, 3_000_000)
    package(tmp_path, 1, 5_500_000)
    assert meter.read() == 2.5
    assert "2 processor package(s)" in meter.covers


def test_one_package_that_begins_again_does_not_take_energy_away(tmp_path):
    package(tmp_path, 0, 9_000_000, wraps=10_000_000)
    package(tmp_path, 1, 1_000_000, wraps=10_000_000)
    meter = powercap(tmp_path)
    meter.read()
    package(tmp_path, 0, 500_000, wraps=10_000_000)
    package(tmp_path, 1, 2_000_000, wraps=10_000_000)
    assert meter.read() == pytest.approx(1.5 + 1.0)


def test_a_machine_without_packages_and_one_that_hides_them_say_which(tmp_path):
    assert "RAPL is hidden or absent" in powercap(tmp_path).reason
    (package(tmp_path, 0, 1) / "energy_uj").unlink()
    assert "may not be read" in powercap(tmp_path).reason


def test_a_package_that_can_no_longer_be_read_gives_no_reading_and_breaks_nothing(tmp_path):
    package(tmp_path, 0, 1_000_000)
    meter = powercap(tmp_path)
    (tmp_path / "intel-rapl:0" / "energy_uj").unlink()
    assert meter.read() is None


def test_a_gpu_without_a_total_is_unknown(monkeypatch):
    class Telemetry:
        def energy_j(self):
            return None

    assert "no total energy of this GPU" in energy_windows._nvml(Telemetry()).reason


def test_what_runs_beside_a_real_window_is_told(monkeypatch):
    engine, cell = started({"real": True, "power_w": 10.0}, models=["fake-1m"], energy_window_s=1.0)
    monkeypatch.setattr(energy_windows.interference, "verdict", lambda *_: "other processes used 1.00 of 2 cores")
    monkeypatch.setattr(energy_windows, "REST_S", 0.0)
    windows = Windows(engine, cell, Meter("clock", lambda: engine.clock() / 1e9 * 3.0, "three watts"))
    windows.add("prefill")
    found = windows.evidence()["energy"]
    assert found["prefill"]["contaminated"].startswith("other processes") and found["prefill"]["others_cores"] >= 0
    watts = (found["prefill"]["end"][1] - found["prefill"]["start"][1]) / (found["prefill"]["end"][0] - found["prefill"]["start"][0])
    assert watts == pytest.approx(3.0, rel=0.01)
