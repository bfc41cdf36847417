"""`estimate`: one question, or a data frame of them."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from . import advising, conformal, inputs
from .answers import NAMES, answer
from .coefficients import coefficients
from .formats import SizerError


@dataclass(frozen=True, slots=True, repr=False)
class Component:
    """A number with its 90 % interval, in bytes (tokens for kv_pool_tokens), and where it comes from.

    `label` is one of the closed vocabulary: measured, derived, fitted, extrapolated, cited, unknown.
    """

    value: float
    low: float
    high: float
    label: str

    @property
    def gib(self):
        """The value in GiB, 2^30 bytes."""
        return self.value / 2**30

    def __repr__(self):
        from ..reporting.display import estimate as shown

        return f"{shown(self.value, self.low, self.high, 'B')} ({self.label})"

    def _repr_html_(self):
        number, _, interval = repr(self).partition(" [")
        return f"<span><b>{number}</b>{' [' + interval if interval else ''}</span>"


class Tokens(Component):
    """A Component that counts tokens, not bytes."""

    __slots__ = ()

    def __repr__(self):
        return f"{self.value:,.0f} tokens [{self.low:,.0f}, {self.high:,.0f}] ({self.label})"


@dataclass(frozen=True, repr=False)
class MemoryEstimate:
    """What one GPU holds. Components in bytes; with several pipeline stages those of the first, whose log is
    printed; `kv_pool_tokens`, `required` and `p_fit` are of the tightest stage."""

    weights: Component
    activation: Component
    non_torch: Component
    cuda_graphs: Component
    kv_per_token: Component
    kv_pool: Component
    kv_pool_tokens: Component
    required: Component
    budget: Component
    p_fit: float
    assumed: tuple = ()
    wider: tuple = ()
    question: dict = field(default_factory=dict, repr=False)
    asked: inputs.Asked = field(default=None, repr=False, compare=False)

    @cached_property
    def advice(self):
        """Sentences on what to turn, each tried, where it does not surely fit."""
        return tuple(advising.advise(self, self.asked))

    @property
    def fits(self):
        """ "fits" from 95 %, "tight" from 50 %, else "does not fit"."""
        return "fits" if self.p_fit >= 0.95 else "tight" if self.p_fit >= 0.5 else "does not fit"

    def as_dict(self):
        """The answer as plain numbers, with the names of its attributes."""
        parts = {name: getattr(self, name) for name in NAMES}
        plain = {
            n: {"value": p.value, "low": p.low, "high": p.high, "label": p.label} for n, p in parts.items()
        }
        more = {"p_fit": self.p_fit, "fits": self.fits, "advice": list(self.advice)}
        return plain | more | {"assumed": list(self.assumed), "wider": list(self.wider)}

    def __repr__(self):
        from .shown import text

        return text(self)

    def _repr_html_(self):
        from .shown import html

        return html(self)


def estimate(
    model, engine="vllm", engine_version=None, gpu="h200", gpu_memory_gib=None, tp=1, pp=1,
    weight_format="bf16",
    kv_dtype="auto", max_model_len=4096, max_num_seqs=None, max_num_batched_tokens=None,
    gpu_memory_utilization=0.9,
    enforce_eager=False, batch=1, context=None, usage="offline", ep=None,
):  # fmt: skip
    """A MemoryEstimate of one GPU, in bytes; for a data frame with these columns, the frame with the answers
    beside.

    `model`: a registry name, a Hugging Face id of one, a config.json (or GGUF, or a folder), a mapping with
    the keys of a Hugging Face config, or a data frame. `gpu_memory_gib` overrides what the GPU reports, in
    GiB. `batch` sequences of `context` tokens (`max_model_len` unless given) are what must fit.
    `engine_version` None is the latest known. `usage`: vLLM's defaults differ between "offline" (`LLM`) and
    "server" (`vllm serve`). `ep`: GPUs that the experts are spread over whole, where that is not the `tp`
    that splits them.

    A frame gets <name>, <name>_low, <name>_high for every component and p_fit; missing values mean the
    defaults. A row that cannot be answered holds nan, and a column `reason` says why. Raises SizerError for a
    single question that cannot be answered, in one sentence.
    """
    if hasattr(model, "columns"):
        return _frame(model)
    given = dict(zip(inputs.DEFAULTS, (
        model, engine, engine_version, gpu, gpu_memory_gib, tp, pp, weight_format, kv_dtype, max_model_len,
        max_num_seqs,
        max_num_batched_tokens, gpu_memory_utilization, enforce_eager, batch, context, usage, ep,
    ), strict=True))  # fmt: skip
    asked = inputs.ask(given, 1)
    if asked.reasons[0] is not None:
        raise SizerError(asked.reasons[0])
    out, p_fit = answer(asked, coefficients())
    return _single(given, asked, out, float(p_fit[0]))


def _single(given, asked, out, p_fit):
    labels = _labels(asked)
    parts = {
        name: (Tokens if name == "kv_pool_tokens" else Component)(
            *(float(part[0]) for part in out[name]), labels.get(name, "fitted")
        )
        for name in NAMES
    }
    nominal = np.array([asked.gpus[asked.gpu_code[0]].nominal])
    wider = conformal.why_wider(asked.facts, asked.settings, nominal)
    assumed = tuple(_assumed(asked))
    return MemoryEstimate(
        **parts, p_fit=p_fit, assumed=assumed, wider=tuple(wider), question=given, asked=asked
    )


def _labels(asked):
    """Where each number comes from: the weakest of its parts."""
    facts, settings = asked.facts, asked.settings
    nominal = np.array([asked.gpus[asked.gpu_code[0]].nominal])
    outside = bool(conformal.why_wider(facts, settings, nominal))
    fitted = "extrapolated" if outside or settings.engine[0] != 0 else "fitted"
    exact = dict.fromkeys(("weights", "kv_per_token"), "derived")
    spec = asked.specs[0]
    if spec.vision_params or spec.assumed:
        exact["weights"] = fitted
    graphs = "derived" if bool(settings.eager[0]) else fitted
    rest = dict.fromkeys(("activation", "non_torch", "kv_pool", "kv_pool_tokens", "required"), fitted)
    return exact | rest | {"cuda_graphs": graphs, "budget": "extrapolated" if nominal[0] else "derived"}


def _assumed(asked):
    """Sentences on what was not given and what it was taken to be."""
    spec, settings = asked.specs[0], asked.settings
    yield from spec.assumed
    if spec.file_gpu_bytes and asked.forms[0].name == "bf16":
        yield "weights as the tensor table of the file has them"
    elif spec.quantised_as and asked.forms[0].name == "bf16":
        yield f"the config is quantised: weights as {spec.quantised_as}"
    if not asked.version_given[0] and settings.engine[0] == 0:
        yield "no vLLM version given: 0.25; the high ends reach what versions before 0.17 take"
    if not asked.seqs_given[0]:
        seqs, tokens = settings.seqs[0], settings.tokens[0]
        yield f"max_num_seqs {seqs:g} and max_num_batched_tokens {tokens:g}, the engine's own"
    if asked.clipped[0]:
        yield f"max_model_len {settings.length[0]:g}, the model's own limit, instead of the default 4096"
    if spec.trust_remote_code:
        yield "the model's repository carries code of its own: it may need trust_remote_code"


def _frame(frame):
    import pandas as pd

    if "model" not in frame.columns:
        raise SizerError("estimate: the data frame has no column 'model'; add one with registry names.")
    given = {name: frame[name] if name in frame.columns else value for name, value in inputs.DEFAULTS.items()}
    asked = inputs.ask(given, len(frame))
    out, p_fit = answer(asked, coefficients())
    said = ~np.equal(asked.reasons, None)
    refused = said & ~asked.gpu_unknown
    columns = {}
    for name in NAMES:
        for suffix, values in zip(("", "_low", "_high"), out[name], strict=True):
            columns[name + suffix] = np.where(refused, np.nan, values) if refused.any() else values
    columns["p_fit"] = np.where(refused, np.nan, p_fit) if refused.any() else p_fit
    if said.any():
        columns["reason"] = asked.reasons
    kept = frame.drop(columns=[name for name in columns if name in frame.columns])
    return pd.concat([kept, pd.DataFrame(columns, index=frame.index)], axis=1)
