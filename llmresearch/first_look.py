"""A first comparison of engines on one model, within about a minute: a table, a plot, and what it cannot tell."""

from base64 import b64encode
from dataclasses import dataclass, field
from datetime import datetime, timezone
from io import BytesIO
from pathlib import Path
import time

import pandas as pd

from . import backends as engines
from . import figures, frames, models, root
from .matrix import plan
from .records import LlmResearchError
from .reporting import cards
from .runner import measure
from .stats.comparisons import compare
from .stats.summaries import summary

CANDIDATES = ("hf", "ort", "llamacpp")
"""Engines that start within seconds; those that compile, or need a server, must be asked for by name."""
SESSIONS = 3
SECONDS = 60.0
PLAN = {"scenarios": [{"name": "quick", "prompt_tokens": 32, "new_tokens": 8}], "phases": ["prefill", "decode"],
        "repetitions": 5, "warmup": 1}  # fmt: skip
"""Of a cell: few calls, since sessions say more than repetitions."""


class QuickError(LlmResearchError):
    """A first look that cannot be had."""


@dataclass(frozen=True, repr=False)
class FirstLook:
    """`comparison` with the baseline, `summary` (seconds per call) by backend and phase, `figure`, all calls as `frame`,
    the `raw` file behind them, and `notes`: sentences on what this cannot tell. Shows itself as a table with its plot."""

    model: str
    frame: pd.DataFrame = field(repr=False)
    summary: pd.DataFrame
    comparison: pd.DataFrame
    figure: object
    raw: Path
    notes: tuple

    def __repr__(self):
        return "\n".join([f"First look at {self.model}", self._table().to_string(index=False), *self.notes, f"raw: {self.raw}"])

    def _repr_html_(self):
        png = BytesIO()
        self.figure.savefig(png, format="png", dpi=120)
        picture = f'<img alt="{_ALT}" src="data:image/png;base64,{b64encode(png.getvalue()).decode()}" style="max-width:100%">'
        words = "".join(f"<li>{cards.escape(note)}</li>" for note in self.notes)
        title = f"<b>First look at {cards.escape(self.model)}</b>"
        compared = self.comparison._repr_html_() if len(self.comparison) else ""
        table = cards.table(self.summary[["backend", "phase", "median", "low", "high", "n", "sessions", "tokens_per_s"]])
        return f"<div>{title}{table}{compared}{picture}<ul>{words}</ul><small>{cards.escape(str(self.raw))}</small></div>"

    def _table(self):
        """Medians in seconds, with the ratio to the baseline and its verdict beside them."""
        shown = self.summary[["backend", "phase", "median", "low", "high", "n", "sessions"]]
        if not len(self.comparison):
            return shown
        beside = pd.DataFrame(self.comparison)[["backend", "phase", "ratio", "verdict"]]
        return shown.merge(beside, on=["backend", "phase"], how="left")


_ALT = "every timed call, with median and 95 % interval"


def quick(model, backends=None, baseline=None, seconds=SECONDS, raw=None, progress=True):
    """A FirstLook at `model` on several engines: time of prefill and of cached decode, in seconds per call.

    `backends`: names, by default those of hf, ort and llamacpp that this machine has; `baseline`: the one that the
    others are compared with, by default the first. Sessions are added while they fit into `seconds` (at most 3, at
    least 1; the first use of a model prepares it, which is not counted). `raw` is where the records go, by default a new
    file under outputs/smoke/quick/. Raises QuickError where no engine can run the model.
    """
    chosen = list(backends) if backends is not None else present(model)
    cells = plan({"study": "quick", "models": [model], "backends": chosen, "sessions": SESSIONS} | PLAN)
    raw = Path(raw) if raw else _place(str(model))
    done = _measured(cells, raw, seconds, progress)
    frame = frames.read(raw)
    steady = _usable(frame)
    ran = list(dict.fromkeys(steady["backend"].astype(str)))
    first = baseline or next((name for name in map(str, chosen) if name in ran), ran[0])
    compared = compare(steady, first, by=["phase"]) if len(ran) > 1 else pd.DataFrame()
    found = summary(steady, ["backend", "phase"])
    figure = figures.latency_distributions(steady, by="backend", facet="phase")
    return FirstLook(str(model), frame, found, compared, figure, raw, tuple(_notes(frame, done, ran, compared)))


def _usable(frame):
    """The undisturbed samples; where there are none all of them, which `_notes` says."""
    steady = frames.steady(frame)
    if steady.empty:
        steady = frames.samples(frame).assign(contaminated=None)
    if steady.empty:
        why = "; ".join(dict.fromkeys(frame["reason"].dropna())) or "no call ended"
        raise QuickError(f"quick: nothing could be measured ({why}). Name other backends, or run it again.")
    return steady


def present(model):
    """The names of CANDIDATES that would run `model` here; raises QuickError with their reasons where none would."""
    why = {name: engines.backend(name)().refuses(plan({"backends": [name], "models": [model]})[0]) for name in CANDIDATES}
    found = [name for name, reason in why.items() if reason is None]
    if not found:
        raise QuickError("quick: no engine is here. " + "; ".join(f"{name}: {reason}" for name, reason in why.items()))
    return found


def _measured(cells, raw, seconds, progress):
    """How many sessions were measured: the next one only where it should end in time."""
    if any(getattr(engines.backend(cell.backend), "needs_weights", True) for cell in cells):
        models.folder(cells[0].source | {"name": cells[0].model} if cells[0].source else cells[0].model)
    began, longest = time.monotonic(), 0.0
    for session in range(1, SESSIONS + 1):
        if session > 1 and time.monotonic() - began + longest > seconds:
            return session - 1
        start = time.monotonic()
        measure([cell for cell in cells if cell.session <= session], raw, PLAN, progress)
        longest = max(longest, time.monotonic() - start)
    return SESSIONS


def _place(model):
    """A new raw file, named by the model and the time."""
    now = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%f")
    safe = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in Path(model).name)
    return root() / "outputs" / "smoke" / "quick" / f"{safe}-{now}.jsonl"


def _notes(frame, sessions, ran, compared):
    """Sentences on what this look cannot tell."""
    for row in frame[frame["status"] != "ok"].drop_duplicates("backend").itertuples():
        yield f"{row.backend} did not run ({row.status}): {row.reason}"
    if len(ran) < 2:
        yield "Only one engine ran: there is nothing to compare it with."
    if sessions == 1:
        yield "One session only: differences between sessions are not known, so that nothing is decided."
    elif sessions < SESSIONS:
        yield f"{sessions} sessions fitted into the time; a comparison wants {SESSIONS} or more."
    if len(compared) and (compared["verdict"] == "undecided").any():
        yield "Undecided rows need more sessions: n_needed says how many would decide."
    kept, taken = len(frames.steady(frame)), len(frames.samples(frame))
    if kept == 0:
        yield "Other work on the machine disturbed every call: these times are not those of the engines. Run it again."
    elif kept < taken:
        yield f"{taken - kept} of {taken} calls were disturbed by other work on the machine and are left out."
    yield "One short prompt at batch 1: this tells nothing about long prompts, batches or servers."
