"""What every importer gives: series of samples, figures reported and computed again, defects."""

import hashlib
import json
import math
from dataclasses import dataclass, field
from pathlib import Path

from .. import records
from ..intervals import needed
from ..records import LlmResearchError

AGREES = 1e-3  # relative: reported figures are often rounded to three or four digits

# Known defects, each with what it does and where it is known from.
DEFECTS = {
    "uint64 stddev": "llama-bench squares nanoseconds in 64-bit integers, which wrap from reps × mean² ≥ "
    "2^64 "
    "(llama.cpp issues 22300, 24951): its stddev_ns is not the samples' standard deviation",
    "mean of rates": "llama-bench averages tokens/s over repetitions; tokens over total time is the rate",
    "duplicated tokens": "optimum-benchmark never resets its list of token times: earlier tokens are counted "
    "again in every "
    "generation, and the gap between two generations as a token",
    "throughput unit": "optimum-benchmark divides decoded tokens by the time of a generation and calls it "
    "samples/s",
    "first is second": "optimum-benchmark generates once, silently, before first_generate: it is no cold "
    "start",
    "decode by subtraction": "decode is generate minus the mean of prefill, so its samples share an error",
    "iid intervals": "the intervals treat every request as independent; requests of one run share its "
    "conditions, so they "
    "say how well this run is known, not how another would turn out",
    "missing prompt count": "prompt_eval_count is missing: Ollama omits it where the prompt came from its "
    "cache "
    "(ollama issues 2068, 3427), and a prefill rate from such an answer is fiction",
    "pooled processes": "pyperf compares all values of all processes together, as if one process had made "
    "them",
    "no warm-up": "requests were timed from the first on: the server warmed up inside the measurement",
    "few for a tail": "a tail percentile of fewer samples than can bound it is the luck of the slowest one",
    "not all kept": "the file keeps fewer requests than its statistics were made of; they cannot be computed "
    "again",
    "no samples": "the file holds statistics only; nothing can be computed again, and nothing is imported",
}


class ImportProblem(LlmResearchError):
    """A file that no importer understands."""


@dataclass(frozen=True)
class Defect:
    """One known defect, where it is in the file, and the figures that show it."""

    name: str
    where: str
    shown: str

    @property
    def meaning(self):
        """The sentence that explains it."""
        return DEFECTS[self.name]


@dataclass(frozen=True)
class Figure:
    """A figure that the file reports, and the same from its samples; nan where there are none."""

    what: str
    reported: float
    recomputed: float
    unit: str

    @property
    def agrees(self):
        """Do both agree within a rounding? False where one is unknown."""
        return math.isclose(self.reported, self.recomputed, rel_tol=AGREES)


@dataclass(frozen=True)
class Series:
    """The samples of one phase under one set of conditions; seconds and tokens (None: not told) have one entry per call."""

    phase: str
    seconds: tuple
    tokens: tuple
    backend: str
    model: str = "unknown"
    scenario: str = "unknown"
    dtype: str | None = None
    device: str | None = None
    batch: int = 1
    concurrency: int = 1
    prompt_tokens: int | None = None
    new_tokens: int | None = None
    session: int = 1
    kinds: tuple = ()  # first | warmup | sample; empty: all are samples
    token_seconds: tuple = ()  # per call, where the file has them


@dataclass(frozen=True)
class Imported:
    """A file of another harness, understood."""

    tool: str
    version: str | None
    source: str
    series: tuple = ()
    figures: tuple = ()
    defects: tuple = field(default=())

    def table(self):
        """DataFrame, one row per figure: what, reported, recomputed, unit, agrees."""
        import pandas as pd

        columns = ["what", "reported", "recomputed", "unit", "agrees"]
        return pd.DataFrame([[getattr(f, name) for name in columns] for f in self.figures], columns=columns)

    def write(self, raw):
        """Path: a raw file with every sample as a record, to be read by `read`; refuses one that exists.

        The unit of replication is the session, as the file tells it: one, where the tool does not say which
        process made a sample. Raises ImportProblem for a file without samples.
        """
        raw = Path(raw)
        if not self.series:
            raise ImportProblem(f"{self.source}: has no samples. Export it with all samples kept.")
        if raw.exists():
            raise ImportProblem(f"{raw}: exists. Imported samples go into a file of their own; name another.")
        for order, series in enumerate(self.series):
            records.append(raw, self._lines(series, order))
        return raw

    def _lines(self, series, order):
        what = [
            self.tool,
            series.backend,
            series.model,
            series.scenario,
            series.phase,
            series.dtype,
            series.device,
        ]
        digest = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:8]
        who = {"cell_id": "/".join(map(str, what[:5])) + f"/{digest}", "session": series.session}
        counts, calls = {}, []
        for place, (seconds, tokens) in enumerate(zip(series.seconds, series.tokens)):
            kind = series.kinds[place] if series.kinds else "sample"
            each = list(series.token_seconds[place]) if series.token_seconds else None
            counts[kind] = counts.get(kind, -1) + 1
            calls.append(
                records.call_line(
                    **who,
                    phase=series.phase,
                    kind=kind,
                    index=counts[kind],
                    seconds=seconds,
                    tokens=tokens,
                    token_seconds=each,
                )
            )
        cell = records.cell_line(
            **who,
            study="imported",
            run_id=self.source,
            order=order,
            backend=series.backend,
            device=series.device,
            dtype=series.dtype,
            model=series.model,
            scenario=series.scenario,
            prompt=0,
            batch=series.batch,
            concurrency=series.concurrency,
            prompt_tokens=series.prompt_tokens,
            new_tokens=series.new_tokens,
            status="ok",
            evidence={
                "imported_from": self.source,
                "tool": self.tool,
                "tool_version": self.version,
                "stop": "fixed",
                "defects": sorted({defect.name for defect in self.defects}),
            },
        )
        return [*calls, cell]


def tail(where, q, n):
    """[Defect] where the `q` quantile is reported of `n` samples that cannot bound it, else []."""
    least = needed(q)
    return (
        [Defect("few for a tail", where, f"p{q * 100:g} of {n} samples; {least} bound it at 95 %")]
        if n < least
        else []
    )
