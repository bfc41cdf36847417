"""Parameters → the list of cells to measure, in a seeded, interleaved order."""

import hashlib
import json
import random
from dataclasses import asdict, dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path

from .backends import resolve
from .records import PHASES, LlmResearchError

DEVICES = ("cpu", "cuda")
EXTRA = ("score", "energy_window_s")  # what a cell does besides its calls; where it does not, its name is as before
DTYPES = ("fp32", "bf16", "fp16", "int8", "q8_0", "q4_k_m")


class ParameterError(LlmResearchError):
    """A parameter that means nothing, found before the first measurement."""


@dataclass(frozen=True)
class Scenario:
    """What a request asks for: lengths in tokens, requests per batch, requests at the same time."""

    name: str
    prompt_tokens: int | None = 64
    new_tokens: int = 32
    batch: int = 1
    concurrency: int = 1
    prompts: int | list = 1  # how many seeded prompts, or the texts themselves


@dataclass(frozen=True)
class Score:
    """What an engine is asked to score: a text of the package, or `seeded` ids, in strided windows."""

    text: str = "evaluation"
    window: int = 256
    stride: int = 128
    tokens: int = 2048  # of the text, at most


@dataclass(frozen=True)
class Params:
    """The parameters of a measurement; a key that is not here is refused."""

    study: str = "study"
    backends: list | dict = field(default_factory=lambda: ["fake"])
    device: str = "cpu"
    dtypes: list = field(default_factory=lambda: ["fp32"])
    models: list = field(default_factory=lambda: ["tiny-gpt2"])
    scenarios: list = field(default_factory=lambda: [{"name": "short", "prompt_tokens": 16, "new_tokens": 8}])
    phases: list = field(default_factory=lambda: ["prefill", "decode", "e2e"])
    repetitions: int = 7          # samples kept, per cell and session (the least, where the rule is `interval`)
    warmup: int | str = 2         # calls between the first and the samples; `auto`: until a test finds them steady
    sessions: int = 1             # fresh processes per cell: the unit of replication
    seed: int = 42
    stop: str = "fixed"           # fixed: `repetitions`; interval: until the median's interval is narrow, or time is up
    within_percent: float = 2.0   # interval rule: half the interval's width, as a share of the median
    within_seconds: float = 10.0  # interval rule: time for one phase of one cell
    timeout_s: float = 600.0      # for one cell, loading included
    threads: int | None = None    # compute threads; null: one per core that the process may use
    score: dict | None = None     # a text for perplexity: {text: evaluation, window: 256, stride: 128, tokens: 2048}
    energy_window_s: float | None = None  # seconds of back-to-back calls per phase under an energy counter; null: none
    roofline: bool = False        # measure what the device's memory and arithmetic can do before the first cell
    also: list = field(default_factory=list)  # further plans of the same run, each a mapping of what differs in it


@dataclass(frozen=True)
class Cell:
    """One combination of the axes in one session. `cell_id` is the same in every session."""

    cell_id: str
    study: str
    session: int
    order: int
    backend: str
    device: str
    dtype: str
    model: str
    scenario: str
    prompt: int
    batch: int
    concurrency: int
    prompt_tokens: int | None
    new_tokens: int
    phases: tuple
    repetitions: int
    warmup: int | str
    seed: int
    stop: str
    within_percent: float
    within_seconds: float
    timeout_s: float
    threads: int | None
    text: str | None = None       # the prompt itself, where it is not seeded ids
    source: dict | None = None    # where the model comes from, where its name does not say
    python: str | None = None     # the interpreter of an engine that has an environment of its own
    score: dict | None = None
    energy_window_s: float | None = None
    options: dict = field(default_factory=dict)

    @property
    def group(self):
        """Cells of one group share a process: one backend, device, precision and model in one session."""
        return (self.session, self.backend, self.device, self.dtype, self.model)

    @property
    def calls(self):
        """The least records that this cell must leave: per phase the first call, warm-up and samples."""
        warmup = 0 if self.warmup == "auto" else self.warmup
        return len(self.phases) * (1 + warmup + self.repetitions)


def load(path):
    """A YAML file of parameters as a dict; refuses what is not a mapping."""
    import yaml

    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ParameterError(f"{path}: cannot be read ({error.strerror}). Name a file under params/.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        place = getattr(error, "problem_mark", None)
        where = f", line {place.line + 1}" if place else ""
        raise ParameterError(f"{path}{where}: not YAML. Write one `key: value` a line.") from error
    if not isinstance(values, dict):
        raise ParameterError(f"{path}: a {type(values).__name__}, not a mapping. Write one `key: value` a line.")
    return values


def measuring(values):
    """The part of a study's parameters that says what to measure."""
    names = {f.name for f in fields(Params)}
    return {key: value for key, value in values.items() if key in names}


def plan(params):
    """The cells of a measurement, list[Cell], in the order in which they run.

    Each session visits every cell once: models in a seeded random order, the backends of a model next to each other
    (a drift of the machine then hits both sides of a comparison). Every second session goes through the order of the one
    before backwards, so that a drift hits no backend always last; the others draw a new one.
    """
    params = _checked(params)
    cells = [cell for one in (params, *_further(params)) for cell in _planned(one)]
    seen = set()
    for cell in cells:
        if (cell.cell_id, cell.session) in seen:
            raise ParameterError(f"parameters: the cell {cell.cell_id} is asked for twice. Name it once.")
        seen.add((cell.cell_id, cell.session))
    return [replace(cell, order=order) for order, cell in enumerate(cells)]


def _further(params):
    """The Params of each entry of `also`: the run's own, but for what the entry says."""
    _list("also", params.also)
    for entry in params.also:
        if "also" in known_keys("also", entry, Params):
            raise ParameterError("also: an entry has an `also` of its own. Write one flat list.")
        yield _checked(replace(params, also=[], **entry))


def _planned(params):
    chance = random.Random(params.seed)
    for session in range(1, params.sessions + 1):
        groups = list(_groups(params, chance)) if session % 2 else groups[::-1]
        for group in groups:
            yield from _cells_of(params, session, *group, chance)


def _groups(params, chance):
    """(backend entry, dtype, model) in this session's order."""
    models = [_named("models", m) for m in params.models]
    engines = [(b, dtype) for b in _backends(params) for dtype in b["dtypes"]]
    for model in chance.sample(models, len(models)):
        for entry, dtype in chance.sample(engines, len(engines)):
            yield entry, dtype, model


def _cells_of(params, session, entry, dtype, model, chance):
    asked = [(s, i) for s in _scenarios(params) for i in range(_count(s.prompts))]
    for scenario, prompt in chance.sample(asked, len(asked)):
        yield _cell(params, session, entry, dtype, model, scenario, prompt)


def _cell(params, session, entry, dtype, model, scenario, prompt):
    text = scenario.prompts[prompt] if isinstance(scenario.prompts, list) else None
    values = dict(
        study=params.study, backend=entry["label"], device=entry["device"], dtype=dtype, model=model["name"],
        scenario=scenario.name, prompt=prompt, batch=scenario.batch, concurrency=scenario.concurrency,
        prompt_tokens=None if text else scenario.prompt_tokens, new_tokens=scenario.new_tokens,
        phases=tuple(params.phases), repetitions=params.repetitions, warmup=params.warmup, seed=params.seed,
        stop=params.stop, within_percent=params.within_percent, within_seconds=params.within_seconds,
        timeout_s=params.timeout_s, threads=params.threads, score=_score(params.score),
        energy_window_s=params.energy_window_s, text=text, python=entry["python"],
        source={k: v for k, v in model.items() if k != "name"} or None, options=entry["options"],
    )  # fmt: skip
    return Cell(cell_id=_identity(values), session=session, order=0, **values)


def _identity(values):
    """A name that a reader understands, and a digest of everything that makes the cell what it is."""
    what = {k: v for k, v in values.items() if k not in ("study", "timeout_s", "python") and (k not in EXTRA or v is not None)}
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:8]
    words = ("backend", "device", "dtype", "model", "scenario")
    return "/".join([str(values[w]) for w in words] + [f"p{values['prompt']}", digest])


def _checked(params):
    """The parameters as Params, or the sentence that says which one is wrong."""
    if isinstance(params, (str, Path)):
        params = measuring(load(params))
    if not isinstance(params, Params):
        params = Params(**known_keys("parameters", params, Params))
    for name in ("repetitions", "sessions"):
        _whole(name, getattr(params, name), least=1)
    if params.warmup != "auto":
        _whole("warmup", params.warmup, least=0, also=" or 'auto'")
    if params.threads is not None:
        _whole("threads", params.threads, least=1)
    _whole("seed", params.seed, least=0)
    for name in ("within_percent", "within_seconds", "timeout_s"):
        _positive(name, getattr(params, name))
    if params.energy_window_s is not None:
        _positive("energy_window_s", params.energy_window_s)
    _score(params.score)
    if not isinstance(params.roofline, bool):
        raise ParameterError(f"roofline: {params.roofline!r} is neither true nor false. Write one of them.")
    _one_of("stop", [params.stop], ("fixed", "interval"))
    _one_of("phases", params.phases, PHASES)
    _one_of("device", [params.device], DEVICES)
    _one_of("dtypes", params.dtypes, DTYPES)
    _filled("models", params.models)
    names = [_named("models", entry)["name"] for entry in params.models]
    if len(set(names)) < len(names):
        raise ParameterError(f"models: a name stands twice in {names}. Name each once.")
    return params


def known_keys(where, values, kind):
    """The mapping as it is; refuses what is no mapping, or a key that the dataclass `kind` does not have."""
    if not isinstance(values, dict):
        raise ParameterError(f"{where}: {values!r} is not a mapping. Write `key: value` pairs.")
    names = [f.name for f in fields(kind)]
    for key in values:
        if key not in names:
            close = get_close_matches(str(key), names, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ParameterError(f"{where}: unknown key {key!r}.{hint} Known keys: {', '.join(names)}.")
    return values


def _score(values):
    """What a cell scores, with every key; None where it scores nothing."""
    if values is None:
        return None
    found = asdict(Score(**known_keys("score", values, Score)))
    for key in ("window", "stride", "tokens"):
        _whole(f"score: {key}", found[key], least=2)
    if found["stride"] >= found["window"]:
        raise ParameterError(f"score: stride {found['stride']} with window {found['window']}. Choose stride < window.")
    return found


def _scenarios(params):
    _filled("scenarios", params.scenarios)
    found = []
    for entry in params.scenarios:
        known_keys("scenarios", entry, Scenario)
        if not isinstance(entry.get("name"), str):
            raise ParameterError(f"scenarios: {entry!r} has no name. Write {{name: short, prompt_tokens: 16, …}}.")
        scenario = Scenario(**entry)
        for key in ("prompt_tokens", "new_tokens", "batch", "concurrency"):
            _whole(f"scenarios: {scenario.name}: {key}", getattr(scenario, key), least=1)
        if not isinstance(scenario.prompts, list):
            _whole(f"scenarios: {scenario.name}: prompts", scenario.prompts, least=1, also=" or a list of texts")
        elif not scenario.prompts or not all(isinstance(text, str) and text for text in scenario.prompts):
            raise ParameterError(f"scenarios: {scenario.name}: prompts must be texts, at least one. Write [\"…\"].")
        found.append(scenario)
    names = [s.name for s in found]
    if len(set(names)) < len(names):
        raise ParameterError(f"scenarios: a name stands twice in {names}. Give each its own.")
    return found


def _count(prompts):
    return len(prompts) if isinstance(prompts, list) else prompts


def _backends(params):
    """Each asked-for backend as {label, device, dtypes, python, options}, with the studies' names resolved."""
    _filled("backends", params.backends)
    asked = params.backends
    if isinstance(asked, dict):
        asked = [{"name": name} | (options or {}) for name, options in asked.items()]
    found = [_backend(_named("backends", entry), params) for entry in asked]
    labels = [(b["label"], b["device"], dtype) for b in found for dtype in b["dtypes"]]
    for label in labels:
        if labels.count(label) > 1:
            raise ParameterError(f"backends: {'/'.join(label)} stands twice. Give each its own `label`.")
    return found


def _backend(entry, params):
    rest = dict(entry)
    name = rest.pop("name")
    backend, device, dtype = resolve(name)
    device = rest.pop("device", None) or device or params.device
    dtypes = rest.pop("dtypes", None) or ([dtype] if dtype else params.dtypes)
    _one_of(f"backends: {name}: device", [device], DEVICES)
    _one_of(f"backends: {name}: dtypes", dtypes, DTYPES)
    label = rest.pop("label", None)
    python = rest.pop("python", None)
    return {"label": f"{backend}:{label}" if label else backend, "device": device, "dtypes": list(dtypes),
            "python": python, "options": rest}  # fmt: skip


def _named(where, entry):
    """A name, or a mapping with a name, as a mapping."""
    entry = {"name": entry} if isinstance(entry, str) else entry
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise ParameterError(f"{where}: {entry!r} is no name. Write a name, or a mapping with a name.")
    return entry


def _list(where, values):
    if not isinstance(values, list):
        raise ParameterError(f"{where}: {values!r} is not a list. Write a list of mappings.")


def _filled(where, values):
    if not isinstance(values, (list, dict)) or not values:
        raise ParameterError(f"{where}: {values!r} is not a list with something in it. Write at least one entry.")


def _one_of(where, values, known):
    _filled(where, values)
    for value in values:
        if value not in known:
            raise ParameterError(f"{where}: unknown {value!r}. Known: {', '.join(known)}.")


def _whole(where, value, least, also=""):
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ParameterError(f"{where}: {value!r} is not a whole number from {least} up{also}. Change it.")


def _positive(where, value):
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise ParameterError(f"{where}: {value!r} is not a number above 0. Change it.")


def as_json(cell):
    """The cell as a dict that travels to a worker."""
    return asdict(cell)


def from_json(values):
    """The cell that travelled."""
    return Cell(**values | {"phases": tuple(values["phases"])})
