"""An engine by one name: backend, device and precision; and what each cell left behind beside its calls."""

PARTS = ("backend", "device", "dtype")


def with_engine(frame):
    """The frame with a first column `engine`: 'ort cpu int8'."""
    frame = frame.drop(columns="engine", errors="ignore")
    backend, device, dtype = (frame[part].astype(str) for part in PARTS)
    frame.insert(0, "engine", backend + " " + device + " " + dtype)
    return frame


def engines(frame):
    """Every engine that was asked for, in the order in which the raw file names them."""
    return list(dict.fromkeys(with_engine(frame)["engine"]))


def compared_with(frame, reference):
    """A sentence: in how many sessions the reference was measured, or that nothing can be compared with it."""
    mine = with_engine(frame[frame["status"] == "ok"])
    count = mine.loc[mine["engine"] == reference, "session"].nunique()
    if not count:
        return f"**{reference} was not measured here, so nothing is compared with it:** no speed-up, crossing, payback or gate."
    return f"The reference, {reference}, was measured in {count:,} session{'s' if count > 1 else ''}."


def engine_of(cell):
    """The engine's name of a planned Cell."""
    return " ".join(getattr(cell, part) for part in PARTS)


def cells_of(frame, status="ok"):
    """One row per cell and session with that status (None: any), with `engine`; evidence is a dict in each."""
    found = frame if status is None else frame[frame["status"] == status]
    found = with_engine(found.drop_duplicates(["cell_id", "session"]))
    return found.assign(evidence=[evidence or {} for evidence in found["evidence"]])
