"""One process: load an engine and a model, prove what runs, measure its cells, stream the records to the parent.

Runs under the interpreter of its engine and imports numpy and that engine only. The plan comes as JSON on standard
input; what was measured goes as JSON lines through a pipe of its own, so that nothing an engine prints gets into it.
"""

import gc
import json
import os
import sys
import traceback

from . import timing
from .backends import backend as backend_class
from .energy_windows import Windows
from .failures import classify_failure
from .matrix import from_json
from .models.artifacts import cache_folder
from .records import LlmResearchError
from .together import Together

FORCED_PROMPT, FORCED_STEPS = 16, 32  # tokens by prefill, then one cached step each: varied, so agreement means something


def main():
    """Read the plan, measure every cell, tell the parent; exit code 0 unless the process itself breaks."""
    tell = _private_pipe()
    work = json.load(sys.stdin)
    kind = backend_class(from_json(work["cells"][0]["cell"]).backend)
    engines, loaded = [kind()], None
    _foretell(engines[0], work["cells"])
    for entry in work["cells"]:
        cell = from_json(entry["cell"])
        found = _attempt(lambda: _refusal(engines[0].refuses(cell)))
        if found is None:
            loaded = loaded or _loaded(engines[0], cell, work["folder"], tell)
            found = loaded if loaded["status"] != "ok" else _attempt(lambda: _cell(engines, cell, entry, work["folder"], tell))
        tell({"cell": found})


def _foretell(engine, entries):
    """Tells an engine that is built for shapes all that this process will ask of it."""
    if hasattr(engine, "expects"):
        engine.expects([(from_json(entry["cell"]), entry["ids"]) for entry in entries])


def _private_pipe():
    """A function that sends one JSON line to the parent; what engines print goes to standard error instead."""
    channel = os.dup(1)
    os.dup2(2, 1)

    def tell(message):
        data = (json.dumps(message) + "\n").encode()
        while data:
            data = data[os.write(channel, data):]

    return tell


def _attempt(step):
    """What the step gives; a cell that breaks becomes a record of how, and the run goes on."""
    try:
        return step()
    except Exception as error:  # the one broad except: engines raise anything, and none of it may cost the run
        text = _words(error)
        return {"status": "failed", "reason": text, "failure": failure(text), "evidence": {"where": _where(error)}}


def _words(error):
    """What broke, in its own words: our sentences as they are, and files of the cache by their place in it."""
    ours = isinstance(error, LlmResearchError)
    text = str(error) if ours else "".join(traceback.format_exception_only(error)).strip()
    return text.replace(f"{cache_folder()}{os.sep}", "")


def failure(text):
    """The class of an error text, as it stands in a record."""
    found = classify_failure(text)
    return {"kind": found.kind, "cause": found.cause, "remedy": found.remedy}


def _where(error):
    """File and line of the innermost frames, without their folders."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    return [f"{os.path.basename(f.filename)}:{f.lineno} {f.name}" for f in frames]


def _refusal(reason):
    """The record of a refused cell; None where there is no reason to refuse."""
    if not reason:
        return None
    return {"status": "refused", "reason": reason, "failure": {"kind": "refused", "cause": reason, "remedy": None}}


def _loaded(engine, cell, folder, tell):
    """Load once for all cells; what came of it."""
    found = _attempt(lambda: engine.load(cell, folder)) or {"status": "ok"}
    if found["status"] == "failed":
        found["evidence"] |= _attempt(getattr(engine, "remains", dict))
    gc.collect()
    gc.freeze()  # what loading left: looking through it again before each phase takes longer than many phases
    tell({"ready": found["status"]})
    return found


def _cell(engines, cell, entry, folder, tell):
    """Measure a cell on the loaded engine, or on as many as it has requests at once; more of them are loaded first."""
    if cell.concurrency == 1:
        return _measure(engines[0], cell, entry, tell)
    while len(engines) < cell.concurrency:
        engines.append(type(engines[0])())
        engines[-1].load(cell, folder)
    both = Together(engines[: cell.concurrency])
    try:
        return _measure(both, cell, entry, tell)
    finally:
        both.end()


def _measure(engine, cell, entry, tell):
    """Measure every phase of a cell; the cell's part of its record."""
    engine.start(cell, entry["ids"])
    outputs, energy = None, Windows(engine, cell)
    for phase in cell.phases:
        for calls in timing.measure(engine, cell, phase, getattr(engine, "processes", tuple)()):
            tell({"calls": [vars(call) for call in calls]})
        outputs = engine.output() or outputs
        energy.add(phase)
    evidence = {"forced": engine.forced(entry["forced"], FORCED_PROMPT) if entry["forced"] else None, "stop": cell.stop}
    if cell.score:
        evidence["scored"] = cell.score | {"scores": _scores(engine, entry["scored"])}
    return {
        "status": "ok", "evidence": engine.evidence() | evidence | energy.evidence(),
        "output_ids": outputs, "padded_tokens": getattr(engine, "padded_tokens", None),
    }  # fmt: skip


def _scores(engine, windows):
    """[summed -log p in nats, tokens] of each window; None for an engine that tells no probabilities."""
    score = getattr(engine, "score", None)
    return score and [list(score(ids, first)) for ids, first in windows]


if __name__ == "__main__":
    main()
