"""What is here: the machine, the packages, and what each backend lacks, in the backend's own words."""

import json
import subprocess
import sys
from pathlib import Path

from . import backends, provenance
from .matrix import plan
from .worker_process import environment

_ASK = "import json, sys; from llmresearch.doctor import answer; print(json.dumps(answer(*sys.argv[1:])))"
DEVICES = ("cpu", "cuda")


def examine(pythons=None):
    """The facts as a dict: `run` (machine, packages, clock, certificate) and `backends` by name and device.

    Each backend is asked in a process of its own, under the interpreter that `pythons` maps its name to (else this
    one): a broken engine cannot take the doctor down, and engines need not share an environment.
    """
    pythons = pythons or {}
    found = {name: _asked(name, pythons.get(name)) for name in backends.BACKENDS}
    return {"run": provenance.collect(), "backends": found}


def pythons_of(path):
    """{backend: its interpreter} as a parameter file names them; refuses a file that no plan can be made of."""
    return {cell.backend.partition(":")[0]: cell.python for cell in plan(path) if cell.python}


def _asked(name, python):
    """{device: None or the sentence that says what is missing} for one backend."""
    cell = plan({"backends": [name]})[0]
    try:
        done = subprocess.run([python or sys.executable, "-c", _ASK, name], capture_output=True, text=True,
                              timeout=120, env=environment(cell))  # fmt: skip
    except subprocess.TimeoutExpired:
        return dict.fromkeys(DEVICES, "gave no answer within 120 s")
    except OSError as error:
        return dict.fromkeys(DEVICES, f"{python} could not be started ({error.strerror})")
    if done.returncode:
        return dict.fromkeys(DEVICES, (done.stderr.strip().splitlines() or ["ended without a word"])[-1])
    return json.loads(done.stdout.strip().splitlines()[-1])


def answer(name):
    """Asked inside the engine's own environment: what it refuses a plain cell with, per device."""
    engine = backends.backend(name)
    return {device: engine().refuses(plan({"backends": [name], "device": device})[0]) for device in DEVICES}


def text(found):
    """The examination for people: one line per fact."""
    run, machine = found["run"], found["run"]["machine"]
    rows = [
        ("machine", run["host"]), ("memory", f"{machine['memory_bytes'] / 2**30:.1f} GiB"), ("system", machine["system"]),
        ("python", machine["python"]), ("code", run["commit"] or "no checkout"),
        ("clock", f"step {run['clock']['step_s'] * 1e9:.0f} ns, an empty call {run['clock']['empty_call_s'] * 1e9:.0f} ns"),
        ("certificate", _certificate(run["certificate"])), ("cache", _home(provenance.cache())),
    ]  # fmt: skip
    rows += [(f"{name} on {device}", lack or "ready") for name, by in found["backends"].items() for device, lack in by.items()]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:{width}}  {value}" for name, value in rows)


def _certificate(found):
    if not found:
        return "none: run `llmresearch selfcheck`"
    failed = [name for name, result in found["checks"].items() if result["passed"] is False]
    return f"{found['made']}, " + (f"failed: {', '.join(failed)}" if failed else "passed" if found["passed"] else "incomplete")


def _home(path):
    """A path without the user's own folder in it."""
    return str(path).replace(str(Path.home()), "~", 1)
