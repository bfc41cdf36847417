"""Everything that a person asks about one configuration, answered at once."""

from dataclasses import dataclass, field

from . import explaining, inputs, sharing, solving, speed
from .estimating import MemoryEstimate, estimate
from .formats import SizerError

LONGEST_PROMPT = 2**30


@dataclass(frozen=True)
class Overview:
    """The estimate and what follows from it; what has no answer is None, and `silent` says why by its name.

    `max_context` in tokens, `max_concurrency` in sequences of `context` tokens, `kv_saving` what a cache of
    eight bits spares, `speed` a roofline's times in seconds, `command` the line that starts the engine,
    `call` the Python that asks again, `query` the same as an address, `why` {component: Why}, `overhead`
    {part: bytes}, `mixture` {fact: value} of a mixture of experts.
    """

    estimate: MemoryEstimate
    max_context: int | None
    max_concurrency: int | None
    kv_saving: solving.KvSaving | None
    speed: speed.Speed | None
    command: str | None
    call: str
    query: str
    why: dict
    overhead: dict
    mixture: dict
    silent: dict = field(default_factory=dict)


def overview(model, prompt_tokens=512, **question):
    """The Overview of a question with the arguments of `estimate`; `prompt_tokens` is for the speed.

    Raises SizerError where `estimate` does.
    """
    question = {"model": model} | question
    if not 1 <= prompt_tokens <= LONGEST_PROMPT or prompt_tokens != int(prompt_tokens):
        raise SizerError(f"prompt_tokens: {prompt_tokens!r} is not a prompt's length; give a whole number of 1 or more tokens.")
    found = estimate(**question)
    silent = {}
    asks = {
        "max_context": lambda: solving.max_context(**question),
        "max_concurrency": lambda: solving.max_concurrency(**question),
        "kv_saving": lambda: solving.kv_saving(**question),
        "speed": lambda: speed.roofline(prompt_tokens=prompt_tokens, **question),
        "command": lambda: solving.serve_command(**question),
    }
    answers = {name: _or_silent(name, ask, silent) for name, ask in asks.items()}
    return Overview(
        estimate=found, **answers, call=sharing.as_call(question), query=sharing.as_query(question),
        why=explaining.why(found), overhead=explaining.overhead(found), mixture=explaining.mixture(found),
        silent=silent,
    )  # fmt: skip


def _or_silent(name, ask, silent):
    try:
        return ask()
    except SizerError as error:
        silent[name] = str(error)
        return None


def longest(model):
    """Tokens that a model is made for, by its name, config or mapping; None where it does not say.

    Raises SizerError for a model that is not known.
    """
    return inputs._find_spec(model).longest_context or None
