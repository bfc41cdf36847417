"""Starts one worker process per backend, model and session, sleeps while it measures, and writes the raw file."""

import hashlib
import json
import os
import time
from pathlib import Path

from . import models, provenance, records, roofline
from .backends import backend
from .records import RawFileError
from .strides import windows
from .texts import read_text
from .worker import FORCED_PROMPT, FORCED_STEPS, failure
from .worker_process import WorkerProcess

FAKE_VOCABULARY = 1000     # for engines that need no model
FORCED_INDEX = 1_000_000   # of the forced ids among the seeded prompts: no prompt has it
SCORED_INDEX = 1_000_001   # and of the ids that are scored where there is no text


def measure(cells, raw, params=None, progress=True):
    """Measure what `raw` does not hold yet of `cells`, and give its path.

    A raw file that was cut short is repaired first. A cell that breaks, hangs or kills its process, or whose model's
    file is damaged, becomes a record; a model that is not what its name claims, or a raw file of another plan or
    machine, stops before the first call.
    """
    raw = Path(raw)
    records.repair(raw)
    missing = _missing(cells, raw)
    if not missing:
        return raw
    known = _known_models(missing)
    facts = _begin(raw, cells, params)
    if (params or {}).get("roofline"):
        _probe(raw, missing, facts)
    with _bar(cells, len(cells) - len(missing), progress) as bar:
        for group in _by_process(missing):
            for lines in _measured(group, known, facts):
                records.append(raw, lines)
                bar.set_postfix_str(lines[-1]["cell_id"], refresh=False)
                bar.update()
            _write_facts(raw, facts)
    return raw


def _by_process(cells):
    """The cells of each process, in the order in which the plan first asks for it: plans that were joined share one."""
    groups = {}
    for cell in cells:
        groups.setdefault(cell.group, []).append(cell)
    return groups.values()


def _bar(cells, done, progress):
    """Cells done, elapsed and remaining; plain text where the notebook's own output is not what the user looks at."""
    if os.environ.get("LLMRESEARCH_PROGRESS") == "plain":
        from tqdm import tqdm
    else:
        from tqdm.auto import tqdm

    return tqdm(total=len(cells), initial=done, unit="cell", disable=not progress, mininterval=1.0)


def _missing(cells, raw):
    """The cells that `raw` has not finished; refuses a raw file that holds something else."""
    done = records.done(raw)
    if not done:
        return list(cells)
    planned = {cell.cell_id for cell in cells}
    strange = sorted({cell_id for cell_id, _ in done} - planned)
    if strange:
        raise RawFileError(
            f"{raw}: holds {len(strange)} cells that this plan does not have (first: {strange[0]}). "
            "Parameters changed since it was measured: use them again, or name another raw file."
        )
    missing = [cell for cell in cells if (cell.cell_id, cell.session) not in done]
    host, here = records.facts(raw).get("host"), provenance.host()
    if missing and host not in (None, here):
        raise RawFileError(
            f"{raw}: was measured on {host}; this is {here}, and {len(missing)} cells are missing. One raw file holds one "
            "machine: go on there, or name another raw file."
        )
    return missing


def _known_models(cells):
    """(folder, identity) of each model that an engine needs, or how it is damaged; else raises before the first call."""
    found = {}
    for cell in cells:
        if cell.model not in found and _needs_weights(cell):
            spec = {"name": cell.model} | cell.source if cell.source else cell.model
            try:
                folder = models.folder(spec)
                found[cell.model] = (folder, models.check(spec, folder))
            except models.ModelDamaged as error:
                found[cell.model] = error
    return found


def _needs_weights(cell):
    asked = getattr(backend(cell.backend), "needs_weights", True)
    return asked(cell) if callable(asked) else asked


def _begin(raw, cells, params):
    """The sidecar's facts; those of an earlier part of the same run are kept."""
    facts, now = records.facts(raw), provenance.collect()
    if not facts:
        facts = {"run_id": os.urandom(4).hex(), "study": cells[0].study, "parameters": params} | now
        facts |= {"model_seconds": 0.0, "wall_seconds": 0.0, "load_seconds": 0.0, "processes": 0}
    if now["commit"] not in str(facts["commit"]).split(", "):
        facts["commit"] = f"{facts['commit']}, {now['commit']}"  # continued by other code: the report must say so
    facts["planned_cells"] = len(cells)
    _write_facts(raw, facts)
    return facts


def _probe(raw, cells, facts):
    """What the memory and the arithmetic of each device can do now, beside the facts of the run; once a run."""
    known = facts.setdefault("roofline", {})
    for device, python in {cell.device: cell.python for cell in reversed(cells)}.items():
        if device not in known:
            known[device] = roofline.apart(device, python)
    _write_facts(raw, facts)


def _write_facts(raw, facts):
    path = records.sidecar(raw)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".new")
        temporary.write_text(json.dumps(facts, indent=1) + "\n")
        os.replace(temporary, path)
    except OSError as error:
        raise RawFileError(f"{path}: could not be written ({error.strerror}). Choose a folder you may write to.") from error


def _measured(cells, known, facts):
    """Yield the lines of each cell of a group; a process that dies costs one cell, and a new one takes over."""
    of_model = known.get(cells[0].model, (None, None))
    if isinstance(of_model, models.ModelDamaged):
        if _needs_weights(cells[0]):
            yield from (_lines(cell, [], _broken(of_model), [[]], None, facts) for cell in cells)
            return
        of_model = None, None
    folder, identity = of_model
    prepared = [(cell, *prompt_ids(cell, folder, identity), scored(cell, folder, identity)) for cell in cells]
    if folder and any(cell.text for cell in cells):
        models.text_of(folder, [])  # loads the tokeniser now, and not while the worker measures
    while prepared:
        began, worker = time.monotonic(), WorkerProcess(prepared, folder)
        try:
            for (cell, rows, *_), (calls, found) in zip(list(prepared), worker.results()):
                facts["model_seconds"] += sum(call["seconds"] for call in calls)
                said = _said(cell, found, folder, identity, worker.load_seconds)
                yield _lines(cell, calls, found | said, rows, identity, facts)
                prepared = prepared[1:]
        finally:
            worker.end()
            facts["processes"] += 1
            facts["wall_seconds"] += time.monotonic() - began
            facts["load_seconds"] += worker.load_seconds


def _broken(error):
    """What became of a cell whose model cannot be read."""
    return {"status": "failed", "reason": str(error), "failure": failure(str(error)), "evidence": {}}


def _said(cell, found, folder, identity, ready_seconds):
    """What the first row's ids say where the prompt was a text; and beside the evidence: how long the process took to be
    ready (None: it never was), whether anybody trained the model, and the weights that only a token to be answered passes.
    """
    ids, evidence = found.get("output_ids"), found.get("evidence") or {}
    known = {"ready_seconds": ready_seconds or None}
    if identity:
        known |= {"model_weights": identity.weights}
        known |= {"output_weights": identity.vocab * identity.hidden} if identity.vocab and identity.hidden else {}
    return {"text": models.text_of(folder, ids[0]) if cell.text and folder and ids else None, "evidence": evidence | known}


def _lines(cell, calls, found, rows, identity, facts):
    """All lines of a cell: its calls, then the cell."""
    who = {"cell_id": cell.cell_id, "session": cell.session}
    output, evidence = found.get("output_ids"), found.get("evidence") or {}
    measured = identity.params_measured if identity else evidence.get("parameters")
    if "scored" in evidence:  # a perplexity means nothing without the number of tokens there were to choose from
        evidence["scored"]["vocabulary"] = identity.vocab if identity else FAKE_VOCABULARY
    line = records.cell_line(
        **who, study=cell.study, run_id=facts["run_id"], order=cell.order, backend=cell.backend, device=cell.device,
        dtype=cell.dtype, model=cell.model, params_declared=identity and identity.params_declared,
        params_measured=measured, model_sha=identity and identity.content_sha256,
        scenario=cell.scenario, prompt=cell.prompt, batch=cell.batch, concurrency=cell.concurrency,
        prompt_tokens=len(rows[0]) or evidence.get("prompt_tokens_counted"), new_tokens=cell.new_tokens, host=facts["host"],
        output_sha=output and hashlib.sha256(json.dumps(output).encode()).hexdigest(), **found,
    )  # fmt: skip
    return [records.call_line(**who, **call) for call in calls] + [line]


def prompt_ids(cell, folder, identity):
    """(ids[row][token], forced ids): the same for every engine, from the seed or from the cell's text.

    Rows are those of all requests that run at once, a batch each.
    """
    vocab = identity.vocab if identity else FAKE_VOCABULARY
    count = cell.batch * cell.concurrency
    if cell.text is not None:
        rows = [models.prompt_ids(folder, cell.text) if folder else []] * count  # a server's own model: it counts
    else:
        indices = range(cell.prompt * count, (cell.prompt + 1) * count)
        rows = [models.seeded_ids(vocab, cell.prompt_tokens, cell.seed, index) for index in indices]
    return rows, models.seeded_ids(vocab, FORCED_PROMPT + FORCED_STEPS, cell.seed, FORCED_INDEX)


def scored(cell, folder, identity):
    """[(ids, first)] of each window that the cell scores: the same for every engine with the model's vocabulary."""
    if cell.score is None:
        return []
    asked, begin = cell.score, []
    if asked["text"] == "seeded":
        ids = models.seeded_ids(identity.vocab if identity else FAKE_VOCABULARY, asked["tokens"], cell.seed, SCORED_INDEX)
    else:
        ids = models.prompt_ids(folder, read_text(asked["text"]))[: asked["tokens"]]
        begin = os.path.commonprefix([ids, models.prompt_ids(folder, "")])
    return _windows(ids, asked, begin)


def _windows(ids, asked, begin):
    """Each window of a text after the ids that begin every text: some models read badly without that one."""
    plan = windows(len(ids), asked["window"], asked["stride"])
    heads = [begin if window.start else [] for window in plan]
    return [(head + ids[w.start:w.end], len(head) + w.first) for head, w in zip(heads, plan)]
