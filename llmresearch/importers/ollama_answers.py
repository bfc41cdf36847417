"""Ollama's own answers, as a script may have saved them: one final message a line, or a list of them."""

from .imported import Defect, Imported, Series

TOOL = "Ollama answers"
NANO = 1e-9


def matches(data):
    """Are these final messages of /api/generate or /api/chat?"""
    lines = data if isinstance(data, list) else [data]
    return (
        bool(lines)
        and all(isinstance(line, dict) for line in lines)
        and any("eval_duration" in line for line in lines)
    )


def read(data, source):
    """Imported: prefill and decode by the server's clock; answers without a prompt count give no prefill."""
    lines = [line for line in (data if isinstance(data, list) else [data]) if line.get("done", True)]
    counted = [line for line in lines if line.get("prompt_eval_count") and line.get("prompt_eval_duration")]
    decoded = [line for line in lines if line.get("eval_count", 0) > 1 and line.get("eval_duration")]
    missing = len(lines) - len(counted)
    defects = (
        [Defect("missing prompt count", "prompt_eval_count", f"{missing} of {len(lines)} answers")]
        if missing
        else []
    )
    series = [
        _series("prefill", counted, "prompt_eval_duration", "prompt_eval_count"),
        _series("decode", decoded, "eval_duration", "eval_count"),
    ]
    return Imported(TOOL, None, source, tuple(s for s in series if s.seconds), (), tuple(defects))


def _series(phase, lines, seconds, tokens):
    model = str(lines[0].get("model", "unknown")) if lines else "unknown"
    return Series(
        phase,
        tuple(line[seconds] * NANO for line in lines),
        tuple(line[tokens] for line in lines),
        "ollama",
        model=model,
    )
