"""One raw line: the only file format, and the border between measuring and analysing.

A raw file is JSONL (gzip when its name ends in `.gz`). Each line is a `call` (one timed call) or a `cell` (what became
of a cell in one session). A cell's calls come first and its `cell` line last, in one write: a cell without its line was
never finished, and is measured again.
"""

import gzip
import json
import os
import zlib
from pathlib import Path

SCHEMA = 1

CELL_COLUMNS = (
    "study", "run_id", "cell_id", "session", "order", "backend", "device", "dtype", "model", "params_declared",
    "params_measured", "model_sha", "scenario", "prompt", "batch", "concurrency", "prompt_tokens", "new_tokens",
    "padded_tokens", "status", "reason", "failure", "evidence", "output_ids", "output_sha", "text", "host",
)  # fmt: skip
CALL_COLUMNS = (
    "cell_id", "session", "phase", "kind", "index", "seconds", "device_seconds", "token_seconds", "gap_seconds",
    "tokens", "contaminated", "telemetry", "time", "request_seconds", "request_token_seconds",
)  # fmt: skip
STATUSES = ("ok", "refused", "failed", "timeout")
KINDS = ("first", "warmup", "sample")
PHASES = ("prefill", "decode", "e2e", "generate")


class LlmResearchError(Exception):
    """What a user did wrong or a machine lacks, as one sentence: where, what was found, what is right, what to do."""


class RawFileError(LlmResearchError):
    """A raw file that cannot be read, continued or written."""


def cell_line(**values):
    """A `cell` record: every column of its kind, null where nothing was measured."""
    return _line("cell", CELL_COLUMNS, values)


def call_line(**values):
    """A `call` record: every column of its kind, null where nothing was measured."""
    return _line("call", CALL_COLUMNS, values)


def _line(record, columns, values):
    unknown = set(values) - set(columns)
    if unknown:
        raise RawFileError(f"record: a {record} has no column {sorted(unknown)}. Columns: {', '.join(columns)}.")
    return {"schema": SCHEMA, "record": record} | {name: values.get(name) for name in columns}


def encode(line):
    """The line as bytes, ending in a newline; the kind of line is always found at the same place."""
    return (json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n").encode()


def append(path, lines):
    """Write the lines of one cell as a whole and wait until they are on the disk."""
    path = Path(path)
    data = b"".join(encode(line) for line in lines)
    if path.suffix == ".gz":
        data = gzip.compress(data, mtime=0)
    start = path.stat().st_size if path.exists() else 0
    try:
        _write_through(path, data)
    except OSError as error:
        _cut(path, start)
        raise RawFileError(
            f"{path}: could not be written ({error.strerror}). Everything measured before is in it; free some space "
            "or choose another file, then run the same command again."
        ) from error


def _write_through(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _cut(path, size):
    """Back to `size` bytes, so that half a cell never stays behind."""
    if path.exists() and path.stat().st_size > size:
        os.truncate(path, size)


def lines(path):
    """Every line of a raw file as a dict, in order; a truncated end is left out, any other damage is refused."""
    for number, text in enumerate(text_lines(path), 1):
        yield decode(text, path, number)


def decode(text, path, number):
    """One line as a dict; refuses what is not a record of this schema."""
    try:
        line = json.loads(text)
    except ValueError as error:
        raise RawFileError(
            f"{path}, line {number}: not JSON. A raw file holds one record a line; restore it from a copy, "
            "or name another file."
        ) from error
    check(line, path, number)
    return line


def check(line, path, number):
    """Refuse a line of another schema, or one that is no record at all."""
    found = line.get("schema") if isinstance(line, dict) else None
    if found != SCHEMA or line.get("record") not in ("cell", "call"):
        raise RawFileError(
            f"{path}, line {number}: schema {found!r}, record {line.get('record') if isinstance(line, dict) else None!r}. "
            f"This version reads schema {SCHEMA}; use the version that wrote the file, or another file."
        )


def text_lines(path):
    """The complete lines of a raw file as bytes; what follows the last newline was never finished."""
    path = Path(path)
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as stream:
            for text in stream:
                if text.endswith(b"\n"):
                    yield text
    except (EOFError, zlib.error):
        return
    except gzip.BadGzipFile as error:
        raise RawFileError(f"{path}: not a gzip file, though its name says so. Rename it, or name another.") from error
    except OSError as error:
        raise RawFileError(f"{path}: cannot be read ({error.strerror}). Check the name and its permissions.") from error


def repair(path):
    """Cut a raw file back to its last finished cell, and say how many unfinished lines were taken away."""
    path = Path(path)
    if not path.exists():
        return 0
    finished, total, unfinished = 0, 0, 0
    for number, text in enumerate(text_lines(path), 1):
        total, unfinished = total + len(text), unfinished + 1
        if decode(text, path, number)["record"] == "cell":
            finished, unfinished = total, 0
    if path.suffix == ".gz":
        return _repair_gzip(path, finished, unfinished)
    torn = path.stat().st_size > total
    _cut(path, finished)
    return unfinished + torn


def _repair_gzip(path, finished, unfinished):
    """A gzip file cannot be cut: what was finished is written again, and only if something was not."""
    kept = b"".join(text_lines(path))[:finished]
    try:
        torn = len(gzip.decompress(path.read_bytes())) > len(kept)
    except (EOFError, zlib.error):
        torn = True
    if not torn:
        return 0
    temporary = path.with_name(path.name + ".repair")
    temporary.write_bytes(gzip.compress(kept, mtime=0))
    os.replace(temporary, path)
    return max(1, unfinished)


def cells(path):
    """The `cell` lines of a raw file; an absent file has none."""
    return [line for line in lines(path) if line["record"] == "cell"] if Path(path).exists() else []


def done(path):
    """The (cell_id, session) pairs that a raw file has finished."""
    return {(line["cell_id"], line["session"]) for line in cells(path)}


def sidecar(path):
    """Where the run-level facts of a raw file stand: the same stem, `.json`."""
    path = Path(path)
    stem = path.with_suffix("") if path.suffix == ".gz" else path
    return stem.with_suffix(".json")


def facts(path):
    """The run-level facts of a raw file as a dict; empty where it has no sidecar."""
    beside = sidecar(path)
    if not beside.exists():
        return {}
    try:
        return json.loads(beside.read_text())
    except ValueError as error:
        raise RawFileError(f"{beside}: not JSON. Restore it, or delete it to go on without it.") from error
