"""T7: do the phases add up? Per call: the times of the tokens and the gap after the last one are the whole call."""

import tempfile
from pathlib import Path

import numpy as np

from ..frames import read
from ..matrix import plan
from ..runner import measure

ROOM_S = 1e-6
PARAMS = {"study": "phases", "models": ["tiny-gpt2"], "scenarios": [{"name": "short", "prompt_tokens": 32, "new_tokens": 16}]}


def run(raw=None, backend="hf"):
    """The check's result on a raw file, or on a small measurement made for it."""
    frame = read(raw) if raw else _measured(backend)
    whole = frame[frame["token_seconds"].notna() & frame["gap_seconds"].notna()]
    residuals = np.abs([row.seconds - sum(row.token_seconds) - row.gap_seconds for row in whole.itertuples()])
    worst = float(residuals.max()) if len(residuals) else None
    return {"name": "phases", "passed": worst is not None and worst <= ROOM_S, "calls": len(residuals),
            "worst_residual_s": worst, "apart": _apart(whole, frame)}  # fmt: skip


def _measured(backend):
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "phases.jsonl"
        measure(plan(PARAMS | {"backends": [backend]}), raw, progress=False)
        return read(raw)


def _apart(whole, frame):
    """Prefill timed alone over the first token's time inside e2e (medians): near 1, and never used to correct either."""
    alone = frame.query("phase == 'prefill' and kind == 'sample'")["seconds"].median()
    inside = whole.query("phase == 'e2e' and kind == 'sample'")["token_seconds"].map(lambda t: t[0]).median()
    return None if np.isnan(alone) or np.isnan(inside) else float(alone / inside)
