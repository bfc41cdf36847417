"""Where a report's numbers come from: the raw file, the facts beside it, and what was left out and why."""

import gzip
import hashlib
import math
from pathlib import Path
import re

from .. import records

UNCALIBRATED = "uncalibrated"
NOT_KNOWN = "unknown"


def behind(raw, frame=None):
    """A dict of what stood behind a report: the sidecar's facts, the raw file's name and hash, exclusions,
    time shares.

    `raw` is the raw file or None, `frame` the whole data frame as `read` gave it or None. What is absent is
    left out.
    """
    found = {"facts": {}}
    if raw is not None and Path(raw).exists():
        raw = Path(raw)
        name = raw.name.removesuffix(".gz")
        found = {"facts": records.facts(raw), "file": name, "sha256": content_hash(raw)}
    if frame is not None:
        found["excluded"] = exclusions(frame)
        found["calls"] = int(frame["seconds"].notna().sum()) if "seconds" in frame else 0
        found["model_seconds"] = float(frame["seconds"].sum()) if "seconds" in frame else math.nan
    return found


def content_hash(path):
    """The SHA-256 of a raw file's lines, as hexadecimal text; compressing the file does not change it."""
    digest = hashlib.sha256()
    with gzip.open(path, "rb") if Path(path).suffix == ".gz" else open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def exclusions(frame):
    """What no estimate is made of: a list of {what, count, of, reason}, in a stable order.

    Cells that were refused, failed or ran out of time, by reason; calls that were first, warm-up or
    contaminated.
    """
    keys = [key for key in ("cell_id", "session") if key in frame]
    cells = frame.drop_duplicates(keys) if keys else frame.head(0)
    found = []
    if "status" in cells:
        lost = cells[cells["status"] != "ok"]
        for (status, reason), group in lost.groupby(["status", lost["reason"].fillna("no reason given")]):
            found.append(
                {"what": f"cells {status}", "count": len(group), "of": len(cells), "reason": str(reason)}
            )
    return found + _calls_left_out(frame)


def _calls_left_out(frame):
    if "kind" not in frame:
        return []
    calls, found = frame[frame["kind"].notna()], []
    reasons = {"first": "shown as cold start", "warmup": "before steady state"}
    for kind, reason in reasons.items():
        found.append(
            {
                "what": f"{kind} calls",
                "count": int((calls["kind"] == kind).sum()),
                "of": len(calls),
                "reason": reason,
            }
        )
    if "contaminated" in calls:
        flagged = calls.loc[calls["kind"].eq("sample") & calls["contaminated"].notna(), "contaminated"]
        counts = flagged.map(_kind_of_reason).value_counts().sort_index()
        found += [
            {"what": "contaminated samples", "count": int(n), "of": len(calls), "reason": why}
            for why, n in counts.items()
        ]
    return [row for row in found if row["count"]]


def _kind_of_reason(text):
    """The reason without its figures, so that equal reasons are counted together."""
    return re.sub(r"[-+]?\d[\d.,]*(e[-+]?\d+)?", "…", str(text))


def certificate(found):
    """The calibration certificate of the machine that measured, as one line; "uncalibrated" without one."""
    stored = found["facts"].get("certificate")
    if not isinstance(stored, dict) or not stored.get("checks"):
        return str(stored) if stored else UNCALIBRATED
    checks = stored["checks"]
    by = {verdict: sorted(n for n, check in checks.items() if check.get("passed") is verdict) for verdict in (True, False, None)}
    lost = f"; failed: {', '.join(by[False])}" if by[False] else ""
    open_ = f"; not judged here: {', '.join(by[None])}" if by[None] else ""
    names, made = ", ".join(by[True]) or "none", stored.get("made", NOT_KNOWN)
    return f"{len(by[True])} of {len(checks)} checks passed ({names}){lost}{open_}; made {made}"


def calibration(found):
    """What the certificate says in a word: calibrated, calibration incomplete, or uncalibrated."""
    stored = found["facts"].get("certificate")
    if not stored:
        return UNCALIBRATED
    return "calibrated" if not isinstance(stored, dict) or stored.get("passed") else "calibration incomplete"


def model_share(found):
    """Seconds inside the models over wall seconds after loading; nan where the sidecar does not tell."""
    facts = found["facts"]
    inside = facts.get("model_seconds") or found.get("model_seconds") or math.nan
    after = (facts.get("wall_seconds") or math.nan) - (facts.get("load_seconds") or 0.0)
    return inside / after if after > 0 else math.nan


def shown(found):
    """The footer as {what: text}."""
    facts = found["facts"]
    return {
        "Code": _commit(facts.get("commit")),
        "Machine": _machine(facts.get("machine")),
        "Packages": _pairs(facts.get("packages"), " "),
        "Raw file": f"{found['file']}, sha256 {found['sha256']}" if "file" in found else "none",
        "Run": f"{facts.get('run_id', NOT_KNOWN)}, started {facts.get('started', NOT_KNOWN)}",
        "Certificate": certificate(found),
        "Time inside the models": _share(model_share(found)),
        "Calls recorded": f"{found['calls']:,}" if "calls" in found else NOT_KNOWN,
        "Left out": _left_out(found.get("excluded")),
    }


def _commit(commit):
    if isinstance(commit, dict):
        changed = " with uncommitted changes" if commit.get("dirty") else ""
        return f"commit {commit.get('commit') or commit.get('sha') or NOT_KNOWN}{changed}"
    return f"commit {commit}" if commit else NOT_KNOWN


def _machine(machine):
    """Processor, cores, memory, GPUs, system; what else the sidecar holds stays there."""
    if not isinstance(machine, dict):
        return _pairs(machine)
    cores, memory = machine.get("cores"), machine.get("memory_bytes")
    gpus = [_pairs(gpu) for gpu in machine.get("gpus") or []]
    python = machine.get("python")
    parts = [
        machine.get("processor"), cores and f"{cores} cores", memory and f"{memory / 2**30:.1f} GiB memory",
        *gpus,        machine.get("system"), python and f"Python {python}",
    ]  # fmt: skip
    return ", ".join(str(part) for part in parts if part) or NOT_KNOWN


def _pairs(value, between=": "):
    """A mapping as 'key: value, …' in its own order; nested ones in brackets; empty ones are unknown."""
    if isinstance(value, dict):
        filled = [(k, v) for k, v in value.items() if v not in (None, "", [], {})]
        return ", ".join(f"{k.replace('_', ' ')}{between}{_nested(v)}" for k, v in filled) or NOT_KNOWN
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_nested, value)) or NOT_KNOWN
    return str(value) if value not in (None, "") else NOT_KNOWN


def _nested(value):
    return f"({_pairs(value)})" if isinstance(value, (dict, list)) else str(value)


def _share(share):
    if share > 1:
        return "no share: a virtual clock counted more seconds than passed"
    return NOT_KNOWN if math.isnan(share) else f"{100 * share:.0f} % of the wall time after loading"


def _left_out(rows):
    if rows is None:
        return NOT_KNOWN
    return "; ".join(f"{r['count']} of {r['of']} {r['what']} ({r['reason']})" for r in rows) or "nothing"
