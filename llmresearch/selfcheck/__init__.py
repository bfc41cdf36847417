"""The calibration certificate of this machine: one file per check, each also a test."""

import importlib
import json
from datetime import UTC, datetime

from .. import provenance
from ..records import LlmResearchError

CHECKS = {
    "timer": "timer.run",
    "footprint": "footprint.run",
    "interference": "interference.run",
    "warmup": "warmup.run",
    "phases": "phases.run",
    "gpu": "gpu.run",
    "roofline": "roofline.run",
    "identity": "identity.run",
    "oracle": "oracle.run",
    "compliance": "compliance.run",
    "energy": "energy.run",
    "failures": "failures.run",
    "aa": "statistics.aa",
    "ab": "statistics.ab",
    "coverage": "statistics.coverage",
    "fwer": "statistics.fwer",
    "simpson": "statistics.simpson",
    "peeking": "statistics.peeking",
    "design": "statistics.design",
    "verdicts": "statistics.verdicts",
    "tails": "statistics.tails",
    "scaling": "statistics.scaling",
    "units": "statistics.units",
}


class UnknownCheck(LlmResearchError):
    """A check's name that nobody knows."""


def run(names=None):
    """Yield the result of each check (default: all), a dict with `name`, `passed` and its figures.

    `passed` is None, with the reason as `skipped`, where this machine cannot be judged: a GPU check without a GPU.
    """
    for name in names or CHECKS:
        if name not in CHECKS:
            raise UnknownCheck(f"selfcheck: unknown check {name!r}. Known: {', '.join(CHECKS)}.")
    for name in names or CHECKS:
        module, function = CHECKS[name].split(".")
        yield getattr(importlib.import_module(f".{module}", __name__), function)()


def certificate(results):
    """The certificate of these results, as a dict; what was certified before on this machine stays beside it."""
    known = (provenance.certificate() or {}).get("checks", {})
    checks = known | {result["name"]: result for result in results}
    return {
        "host": provenance.host(), "commit": provenance.commit(),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "passed": all(result["passed"] is not False for result in checks.values()) and set(CHECKS) <= set(checks),
        "checks": checks,
    }  # fmt: skip


def store(found):
    """Write the certificate where every later run of this machine finds it; its path."""
    path = provenance.certificate_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n")
    return path
