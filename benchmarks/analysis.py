"""How long the analysis of a million calls takes, and a bootstrap of five sessions of a thousand samples.

    python benchmarks/analysis.py [CALLS]

Writes a raw file of that many calls (simulated times, real columns, about 0.8 kB each) into a temporary folder, then, in
a fresh process, reads it, summarises it by four keys with intervals, and compares every backend with the first, corrected
by Holm. Bars on 2 cores: 20 s, 2 GiB, and 1 s for the bootstrap, which is shown beside scipy's.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

import llmresearch as lr
from llmresearch.records import call_line, cell_line, encode
from llmresearch.stats import compare, hierarchical_bootstrap, summary

BACKENDS = ("hf", "hf-compile", "ort", "trt", "llamacpp", "vllm", "ollama")
MODELS = {"gpt2-25m": 25_016_064, "gpt2-100m": 96_088_320, "gpt2": 124_439_808}
SCENARIOS, SESSIONS, PHASES = 9, 5, ("prefill", "decode")
TELEMETRY = {name: 123456789.12345678 for name in (
    "others_cores", "own_cores", "stolen_cores", "rss_bytes", "peak_rss_bytes", "gpu_memory_bytes", "gpu_utilisation",
    "gpu_sm_clock_hz", "gpu_temperature_c", "gpu_power_w", "gpu_energy_j", "window_s")}  # fmt: skip


def write(path, calls):
    """Write about so many simulated calls; the number written."""
    rng, each = np.random.default_rng(0), calls // (len(BACKENDS) * len(MODELS) * SCENARIOS * SESSIONS * len(PHASES))
    written = 0
    with open(path, "wb") as stream:
        for session in range(SESSIONS):
            for model, params in MODELS.items():
                for backend in BACKENDS:
                    offset = 0.05 * rng.standard_normal()
                    for scenario in range(SCENARIOS):
                        lines = _cell(rng, session, model, params, backend, scenario, each, offset)
                        stream.write(b"".join(lines))
                        written += len(lines) - 1
    return written


def _cell(rng, session, model, params, backend, scenario, each, offset):
    """The lines of one cell: its calls, then itself."""
    known = {"cell_id": f"{backend}-{model}-{scenario}", "session": session}
    lines, now = [], 1e6 * session + scenario
    for phase in PHASES:
        template = encode(call_line(**known, phase=phase, kind="sample", index=-1, seconds=-2.0, tokens=64,
                                    device_seconds=-2.0, telemetry=TELEMETRY, time=-3.0)).decode()
        for i, seconds in enumerate(1e-10 * params * np.exp(offset + 0.05 * rng.standard_normal(each))):
            now += seconds
            lines.append(template.replace('"index": -1', f'"index": {i}').replace("-2.0", f"{seconds:.9f}")
                         .replace("-3.0", f"{now:.6f}").encode())
    cell = cell_line(**known, study="benchmark", run_id="one", order=scenario, backend=backend, device="cpu", dtype="fp32",
                     model=model, params_measured=params, scenario=f"scenario-{scenario}", prompt=0, batch=1, concurrency=1,
                     prompt_tokens=64, new_tokens=64, status="ok", evidence={"dtype": "float32"}, host="simulated")
    return [*lines, encode(cell)]


def analyse(path):
    """A dict of seconds per step and the peak memory of this process in GiB."""
    marks = [time.perf_counter()]
    frame = lr.steady(lr.read(path))
    marks.append(time.perf_counter())
    table = summary(frame, ["model", "backend", "scenario", "phase"])
    marks.append(time.perf_counter())
    found = compare(frame, "hf", by=["model", "phase", "scenario"])
    marks.append(time.perf_counter())
    read, summarised, compared = np.diff(marks)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"calls": len(frame), "read_s": read, "summary_s": summarised, "compare_s": compared,
            "total_s": marks[-1] - marks[0], "peak_GiB": peak, "groups": len(table), "comparisons": len(found)}


def bootstraps(resamples=10_000):
    """A frame: seconds of our bootstrap of 5 sessions x 1,000 samples, and of scipy's of the same number of samples."""
    rng = np.random.default_rng(0)
    x, sessions = rng.lognormal(size=5000), np.repeat(range(5), 1000)
    rows = []
    for name, run in (
        ("hierarchical, median", lambda: hierarchical_bootstrap(x, sessions, resamples=resamples)),
        ("hierarchical, mean", lambda: hierarchical_bootstrap(x, sessions, "mean", resamples=resamples)),
        ("scipy.stats.bootstrap of all samples, median, percentile", lambda: stats.bootstrap(
            (x,), np.median, n_resamples=resamples, method="percentile", batch=200, rng=rng)),
        ("scipy.stats.bootstrap of 5 session medians, percentile", lambda: stats.bootstrap(
            (np.median(x.reshape(5, 1000), axis=1),), np.mean, n_resamples=resamples, method="percentile", rng=rng)),
    ):
        start = time.perf_counter()
        run()
        rows.append({"bootstrap": name, "resamples": resamples, "seconds": time.perf_counter() - start})
    return pd.DataFrame(rows)


def main(calls=1_000_000):
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw.jsonl"
        written = write(raw, calls)
        print(f"{written:,} calls, {raw.stat().st_size / written:.0f} bytes each")
        done = subprocess.run([sys.executable, __file__, "analyse", str(raw)], capture_output=True, text=True, check=True)
    print(pd.Series(json.loads(done.stdout)).round(2).to_string())
    print(bootstraps().round(3).to_string(index=False))


if __name__ == "__main__":
    if sys.argv[1:2] == ["analyse"]:
        print(json.dumps(analyse(sys.argv[2])))
    else:
        main(*map(int, sys.argv[1:2]))
