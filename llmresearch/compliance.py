"""Does an engine do the work that it is timed for? Checks in the manner of MLPerf's compliance tests, on a
loaded engine.

Rules: https://github.com/mlcommons/inference/tree/master/compliance (TEST01 outputs of the timed runs, TEST04
caching, TEST06 lengths and end of text). An engine that fails one of them has numbers that mean something
else than they say.

    audit(engine, cell, prompts)   [Finding]: one per check, passed or not, with the figures behind it
    MUTANTS                        engines that cheat in one way each; `run` shows that each of them is caught
"""

import hashlib
import json
from dataclasses import dataclass, replace

from .backends.fake import Fake
from .matrix import plan
from .models.token_ids import seeded_ids

CACHED_BELOW = 0.7  # repeated over unique prompts: an honest engine gives 1, whatever the prompts
LEAST_PROMPTS = 5
NOT_FP32 = 17  # bits per weight up to which a file cannot be fp32


@dataclass(frozen=True)
class Finding:
    """One check: did the engine pass (None where it cannot be asked), and what was seen."""

    check: str
    passed: bool | None
    seen: str


def audit(engine, cell, prompts):
    """[Finding] for cached prompts, length, own answer, timed answer and precision, of a loaded engine.

    `prompts` are at least five different lists of ids, equally long. Raises ValueError for fewer.
    """
    if len({tuple(prompt) for prompt in prompts}) < LEAST_PROMPTS:
        raise ValueError(f"prompts: fewer than {LEAST_PROMPTS} different ones. Draw more, with seeded_ids.")
    cell = replace(cell, batch=1)
    answers = {phase: _answer(engine, cell, prompts[0], phase) for phase in ("e2e", "decode")}
    return [
        _caching(engine, cell, prompts),
        _length(cell, answers),
        _own_answer(engine, cell, prompts[0], answers["e2e"]),
        _same_answer(answers),
        _precision(engine, cell),
    ]


def digest(ids):
    """str: the hash of an answer, ids[batch][token]; the one that stands in the records."""
    return hashlib.sha256(json.dumps(ids).encode()).hexdigest()


def _answer(engine, cell, prompt, phase):
    """(tokens that the call claims, ids that it made) of one call as it is timed."""
    engine.start(cell, [list(prompt)])
    engine.prepare(phase)
    engine.marks.clear()
    claimed = getattr(engine, phase)()
    engine.settle()
    return claimed, (engine.output() or [[]])[0]


def _caching(engine, cell, prompts):
    """A prompt seen before must cost as much as a new one, its first token and its whole answer."""
    found = {phase: _seen_and_new(engine, cell, prompts, phase) for phase in ("prefill", "e2e")}
    phase, (repeated, unique) = min(found.items(), key=lambda item: item[1][0] / item[1][1])
    seen = f"{phase}: {repeated:.4g} s where the prompt was seen before, {unique:.4g} s where it was new"
    return Finding("no cached prompts", repeated >= CACHED_BELOW * unique, seen)


def _seen_and_new(engine, cell, prompts, phase):
    """Least seconds of a phase for (the first prompt again and again, the others once each), in turns.

    A disturbed call is slow, a cached one is not: the fastest of each kind tell, also on a machine that others use.
    """
    seconds = {"repeated": [], "unique": []}
    for prompt in prompts[1:]:
        for kind, ids in (("unique", prompt), ("repeated", prompts[0])):
            engine.start(cell, [list(ids)])
            engine.prepare(phase)
            engine.settle()
            start = engine.clock()
            getattr(engine, phase)()
            engine.settle()
            seconds[kind].append((engine.clock() - start) / 1e9)
    return min(seconds["repeated"]), min(seconds["unique"])


def _length(cell, answers):
    """Each call makes as many ids as it was asked for and claims no other number."""
    found = {phase: (claimed, len(ids)) for phase, (claimed, ids) in answers.items()}
    seen = ", ".join(f"{phase}: {claimed} claimed, {made} made" for phase, (claimed, made) in found.items())
    right = all(pair == (cell.new_tokens, cell.new_tokens) for pair in found.values())
    return Finding("exact length", right, f"{cell.new_tokens} asked; {seen}")


def _own_answer(engine, cell, prompt, answer):
    """The model, led along its own answer, must choose each of its tokens: no padding, no early end."""
    _, made = answer
    if not made:
        return Finding("its own answer", False, "no ids were made")
    engine.start(cell, [list(prompt)])
    led = engine.forced([*prompt, *made], len(prompt))
    if led is None:
        return Finding("its own answer", None, "the engine takes no forced tokens")
    chosen = led["top1"][: len(made)]
    places = [place for place, (a, b) in enumerate(zip(made, chosen)) if a != b]
    seen = f"{len(made) - len(places)} of {len(made)} tokens chosen again" + (
        f", not the one at {places[0]}" if places else ""
    )
    return Finding("its own answer", not places, seen)


def _same_answer(answers):
    """Decode starts one token later than e2e and must go on with the same ids: compared by hashes."""
    whole, after = answers["e2e"][1], answers["decode"][1]
    mine, other = digest(whole[1:]), digest(after[: max(len(whole) - 1, 0)])
    return Finding(
        "timed answers agree", mine == other and bool(whole), f"e2e {mine[:12]}, decode {other[:12]}"
    )


def _precision(engine, cell):
    """What the evidence says was loaded is what the cell is called; and fp32 has 32 bits a weight."""
    found = engine.evidence()
    bits = found.get("bits_per_weight")
    thin = cell.dtype == "fp32" and bits is not None and bits <= NOT_FP32
    seen = f"{cell.dtype} asked, {found.get('dtype')} loaded" + (
        f" at {bits:.4g} bits a weight" if bits else ""
    )
    return Finding("asked precision", found.get("dtype") == cell.dtype and not thin, seen)


class _Honest(Fake):
    """The fake engine; its decode answers as real engines do, from the second token on."""

    def decode(self):
        made = self._steps(self.cell.new_tokens)
        self._last = [self._row(row, self.cell.new_tokens + 1)[1:] for row in self.ids]
        return made


class _Caching(_Honest):
    """Answers a prompt that it has seen without the work."""

    def load(self, cell, folder=None):
        super().load(cell, folder)
        self.seen = set()

    def prefill(self):
        key, known = str(self.ids), len(self.seen)
        self.seen.add(key)
        return super().prefill() if len(self.seen) > known else self._from_cache()

    def _from_cache(self):
        self._forward(1)
        self._last = [[self._next(row)] for row in self.ids]
        return len(self.ids[0])


class _Remembering(_Honest):
    """Gives a whole answer again without the work where it has seen the prompt."""

    def load(self, cell, folder=None):
        super().load(cell, folder)
        self.seen = set()

    def e2e(self):
        known = str(self.ids) in self.seen
        self.seen.add(str(self.ids))
        if not known:
            return super().e2e()
        self._forward(1)
        self._last = [self._row(row, self.cell.new_tokens) for row in self.ids]
        return self.cell.new_tokens


class _Truncating(_Honest):
    """Stops after half of the tokens and claims them all."""

    def _steps(self, steps):
        super()._steps(steps // 2)
        self._last = [self._row(row, self.cell.new_tokens // 2) for row in self.ids]
        return steps


class _Padding(_Honest):
    """Ends early and fills up with its end-of-text token."""

    def _row(self, row, count):
        made = super()._row(row, count)
        return made[: count // 2] + [0] * (count - count // 2)


class _WrongPrecision(_Honest):
    """Computes in fp16 where fp32 was asked for."""

    def evidence(self):
        return super().evidence() | {"dtype": "fp16"}


MUTANTS = {
    "caching": (_Caching, "no cached prompts"),
    "remembering": (_Remembering, "no cached prompts"),
    "truncating": (_Truncating, "exact length"),
    "padding": (_Padding, "its own answer"),
    "wrong precision": (_WrongPrecision, "asked precision"),
}


def run():
    """The check of the checks: an honest engine passes all, each mutant fails the one meant for it."""
    scenario = {"name": "c", "prompt_tokens": 64, "new_tokens": 16}
    cell = plan({"backends": ["fake"], "models": ["fake-50m"], "scenarios": [scenario]})[0]
    prompts = [seeded_ids(1000, 64, 42, index) for index in range(8)]
    failed = {}
    for name, (kind, _) in ({"honest": (_Honest, None)} | MUTANTS).items():
        engine = kind()
        engine.load(cell)
        failed[name] = [finding.check for finding in audit(engine, cell, prompts) if finding.passed is False]
    caught = {name: check in failed[name] for name, (_, check) in MUTANTS.items()}
    return {
        "name": "compliance",
        "passed": all(caught.values()) and not failed["honest"],
        "caught": caught,
        "failed": failed,
    }
