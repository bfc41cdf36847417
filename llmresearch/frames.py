"""Raw lines in, tidy tables out: one row per timed call, and whether all that was planned is there."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
import pyarrow.parquet

from . import records
from .intervals import level_at_look, looks

WORDS = ("record", "cell_id", "phase", "kind", "contaminated")  # texts that repeat: kept as categories
NUMBERS = ("seconds", "device_seconds", "gap_seconds", "time")
WHOLE = ("schema", "session", "index", "tokens")
TELEMETRY = (
    "others_cores", "own_cores", "stolen_cores", "rss_bytes", "peak_rss_bytes", "gpu_memory_bytes", "gpu_utilisation",
    "gpu_sm_clock_hz", "gpu_temperature_c", "gpu_power_w", "gpu_energy_j", "gpu_throttle_reasons", "window_s",
)  # fmt: skip
LABELS = ("study", "run_id", "cell_id", "backend", "device", "dtype", "model", "scenario", "status", "host", "model_sha")
_RECORDS = pa.array(["cell", "call"])
BLOCK = 16 << 20  # bytes per block of lines
SCHEMA = pa.schema(
    [(name, pa.string()) for name in WORDS]
    + [(name, pa.float64()) for name in NUMBERS]
    + [(name, pa.int64()) for name in WHOLE]
    + [("token_seconds", pa.list_(pa.float64())), ("request_seconds", pa.list_(pa.float64()))]
    + [("request_token_seconds", pa.list_(pa.list_(pa.float64()))), ("telemetry", pa.struct([(n, pa.float64()) for n in TELEMETRY]))]
)


def read(raw):
    """One row per timed call with its cell's columns beside it; a cell without calls is one row with no phase.

    Times in seconds, memory in bytes. `raw` is a raw file (JSONL, gzip or Parquet) or a list of them. A line that was
    never finished is left out; another schema, or damage in the middle, is refused.
    """
    if isinstance(raw, (list, tuple)):
        return pd.concat([read(path) for path in raw], ignore_index=True)
    path = Path(raw)
    if path.suffix == ".parquet":
        return _read_parquet(path)
    calls, cells = _calls_and_cells(path)
    return _joined(calls, cells)


def _read_parquet(path):
    try:
        return pa.parquet.read_table(path).to_pandas()
    except (OSError, pa.ArrowInvalid) as error:
        raise records.RawFileError(f"{path}: cannot be read as Parquet. Restore it, or name another file.") from error


def _calls_and_cells(path):
    """(table of calls, list of cell lines); calls after the last cell line belong to a cell that never finished."""
    tables, cells, before, finished = [], [], 0, 0
    for block in _blocks(path):
        table = _table(block, path, before)
        kinds = table["record"].to_numpy(zero_copy_only=False)
        ends = np.flatnonzero(kinds == "cell")
        if len(ends):
            lines = block.split(b"\n")
            cells += [records.decode(lines[i], path, before + i + 1) for i in ends]
            finished = before + ends[-1]
        tables.append(_compact(table.append_column("line", pa.array(np.arange(before, before + len(table))))))
        before += len(table)
    table = pa.concat_tables(tables).unify_dictionaries() if tables else _compact(SCHEMA.empty_table())
    return table.filter(pc.and_(pc.equal(table["record"], "call"), pc.less(table["line"], finished))) if cells else table.slice(0, 0), cells


def _blocks(path):
    """Blocks of whole lines as bytes."""
    rest = b""
    with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as stream:
        while block := stream.read(BLOCK):
            end = block.rfind(b"\n") + 1
            if end:
                yield rest + block[:end]
            rest = block[end:] if end else rest + block


def _table(block, path, before):
    """The block's lines as a table, one row each; a line that is no record of this schema is refused by its number."""
    options = pa.json.ParseOptions(explicit_schema=SCHEMA, unexpected_field_behavior="ignore")
    try:
        table = pa.json.read_json(pa.BufferReader(block), pa.json.ReadOptions(block_size=_parse_size(block)), options)
        sound = pc.all(pc.and_(pc.equal(table["schema"], records.SCHEMA), pc.is_in(table["record"], _RECORDS))).as_py()
        if sound and len(table) == block.count(b"\n"):
            return table
    except pa.ArrowInvalid:
        pass
    for i, line in enumerate(block.split(b"\n")[:-1]):
        records.decode(line, path, before + i + 1)
    raise records.RawFileError(f"{path}: a column has values of another type. Restore the file, or name another.")


def _parse_size(block):
    """Bytes that one thread parses at once: a quarter of a block, but never less than the longest line."""
    return max(BLOCK // 4, 2 * max(map(len, block.split(b"\n"))))


def _compact(table):
    """The table with repeated texts as categories."""
    for name in WORDS:
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, pc.dictionary_encode(table[name]))
    return table


def _joined(table, cells):
    """Calls beside their cell. Categories stay categories, so that a million rows stay small."""
    beside = _cell_frame(cells)
    calls = table.drop_columns(["record", "schema", "line"]).flatten()
    calls = calls.rename_columns([name.removeprefix("telemetry.") for name in calls.column_names]).to_pandas()
    calls["cell_id"] = calls["cell_id"].cat.set_categories(beside["cell_id"].cat.categories)
    joined = beside.merge(calls, on=["cell_id", "session"], how="left", validate="one_to_many")
    return joined.assign(interval_level=_levels(joined))


def _cell_frame(cells):
    frame = pd.DataFrame(cells, columns=records.CELL_COLUMNS)
    frame["failure_kind"] = [failure.get("kind") if failure else None for failure in frame["failure"]]
    frame["stop"] = [(evidence or {}).get("stop", "fixed") for evidence in frame["evidence"]]
    frame = frame.drop_duplicates(["cell_id", "session"], keep="last")
    return frame.astype(dict.fromkeys(LABELS, "category"))


def _levels(frame):
    """The level that each row's interval must use so that 95 % hold: above 0.95 where the data said when to stop."""
    if not (frame["stop"] == "interval").any():
        return 0.95
    taken = frame.groupby(["cell_id", "session", "phase", "kind"], observed=True)["index"].transform("size")
    stopped = (frame["stop"] == "interval") & (frame["kind"] == "sample")
    return [level_at_look(max(looks(int(n)), 1)) if s else 0.95 for n, s in zip(taken.fillna(0), stopped)]


def samples(frame):
    """The timed calls after first call and warm-up, contaminated ones among them."""
    return frame[(frame["status"] == "ok") & (frame["kind"] == "sample")]


def steady(frame):
    """The calls after warm-up that nothing else on the machine disturbed: what a server that stays up would show."""
    kept = samples(frame)
    return kept[kept["contaminated"].isna()]


def first_calls(frame):
    """The first call of each phase in each fresh process: what a cold start would show."""
    return frame[(frame["status"] == "ok") & (frame["kind"] == "first")]


def coverage(frame, cells):
    """What became of the plan, one row per backend, device, precision and model.

    Columns: planned, ok, refused, failed, timeout, missing (cells × sessions), samples, contaminated, and why.
    """
    by = ["backend", "device", "dtype", "model"]
    planned = pd.DataFrame([{name: getattr(c, name) for name in [*by, "cell_id", "session"]} for c in cells])
    done = frame.drop_duplicates(["cell_id", "session"])[["cell_id", "session", "status", "reason"]]
    done = done.astype({"cell_id": str, "status": str})
    both = planned.merge(done, on=["cell_id", "session"], how="left").fillna({"status": "missing"})
    counts = both.pivot_table(index=by, columns="status", values="cell_id", aggfunc="count", fill_value=0)
    counts = counts.reindex(columns=[*records.STATUSES, "missing"], fill_value=0)
    counts.insert(0, "planned", counts.sum(axis=1))
    why = both.groupby(by)["reason"].agg(_reasons)
    return counts.join(_samples_of(frame, by)).fillna({"samples": 0, "contaminated": 0}).join(why).reset_index()


def _samples_of(frame, by):
    taken = samples(frame).astype(dict.fromkeys(by, str)).groupby(by)
    return pd.DataFrame({"samples": taken.size(), "contaminated": taken["contaminated"].count()})


def _reasons(texts):
    """Each reason once, the most frequent first, or None."""
    counts = texts.dropna().value_counts()
    return "; ".join(counts.index) or None


def check_counts(frame, cells, totals=None):
    """Plan against raw file: one row per quantity with `planned`, `found`, `lost` (refused, failed, timed out) and `agrees`.

    Quantities: cells (over all sessions) and, per phase, samples; `samples` in all. `totals` maps a quantity to the
    number that a report shows, which is checked too. A rule that stops on the data may take more than was planned.
    """
    planned = _planned(cells)
    rows = [_count(name, planned[name], *_found(frame, name, cells)) for name in planned]
    open_ended = {c.stop for c in cells} == {"interval"}
    for row in rows:
        gap = row["found"] + row["lost"] - row["planned"]
        shown = (totals or {}).get(row["quantity"])
        row["shown"] = shown
        row["agrees"] = (gap >= 0 if open_ended else gap == 0) and shown in (None, row["found"])
    return pd.DataFrame(rows)


def _count(quantity, planned, found, lost):
    return {"quantity": quantity, "planned": planned, "found": found, "lost": lost}


def _planned(cells):
    phases = list(dict.fromkeys(phase for cell in cells for phase in cell.phases))
    each = {f"{phase} samples": sum(c.repetitions for c in cells if phase in c.phases) for phase in phases}
    return {"cells": len(cells), **each, "samples": sum(each.values())}


def _found(frame, quantity, cells):
    """(found, lost) of a quantity: what the raw file holds, and what refusals and failures explain."""
    if quantity == "cells":
        return len(frame.drop_duplicates(["cell_id", "session"])), 0
    phase = quantity.removesuffix("samples").strip()
    kept = samples(frame)
    taken = len(kept[kept["phase"] == phase] if phase else kept)
    broken = set(zip(*(frame.loc[frame["status"] != "ok", k].astype(t) for k, t in (("cell_id", str), ("session", int)))))
    hit = [c for c in cells if (c.cell_id, c.session) in broken and (not phase or phase in c.phases)]
    return taken, sum(c.repetitions * (1 if phase else len(c.phases)) for c in hit)


def proven_dtype(evidence):
    """The precision that an engine's own words prove, or None where they prove none.

    TensorRT before 10 chooses types itself: where its copies of a cache count as layers, they are no proof of fp16.
    """
    chooses = evidence.get("engine") == "tensorrt" and int(str(evidence["version"]).partition(".")[0]) < 10
    return None if chooses and evidence.get("dtype") == "fp16" and "copy" not in evidence["layers"] else evidence.get("dtype")
