"""What each engine answered to each prompt, and whether that may be judged at all."""

import pandas as pd

from ..texts import read_text

KEYS = ["model", "scenario", "prompt"]
MEANINGLESS = {
    "random": "the model's weights are random: its text means nothing, so no score is given",
    "fake": "the engine is not real: its ids are arithmetic and no text",
    "ids": "the prompt was seeded ids, not a text: what follows it cannot be judged",
    "unplanned": "the raw file is of another plan, which held the prompt: what followed it cannot be judged",
    "silent": "no text was recorded: the model has no tokeniser here",
}


def answers(frame, cells):
    """One row per engine and prompt that ran: text, asked (the prompt), sessions, same_text, and reason or None.

    `frame` has the column `engine`; `cells` are the plan's, which hold the prompts. The text is that of the
    first session; greedy decoding gives the same in all of them, and `same_text` says whether it did.
    `reason` says why an answer may not be scored.
    """
    asked = {cell.cell_id: cell.text for cell in cells}
    ran = frame[frame["status"].astype(str) == "ok"].drop_duplicates(["cell_id", "session"])
    rows = []
    for key, part in ran.groupby(["engine", *KEYS], observed=True, sort=True):
        first = part.sort_values("session").iloc[0]
        row = dict(zip(["engine", *KEYS], key)) | {"text": first["text"], "asked": asked.get(str(first["cell_id"]))}
        same = part["output_sha"].nunique(dropna=False) == 1
        planned = str(first["cell_id"]) in asked
        rows.append(row | {"sessions": len(part), "same_text": bool(same), "reason": _refusal(first, row["asked"], planned)})
    columns = ["engine", *KEYS, "text", "asked", "sessions", "same_text", "reason"]
    return pd.DataFrame(rows, columns=columns)


def _refusal(row, asked, planned):
    """Why this answer may not be scored, or None."""
    evidence = row["evidence"] or {}
    if evidence.get("engine") == "fake":
        return MEANINGLESS["fake"]
    if evidence.get("model_weights") == "random":
        return MEANINGLESS["random"]
    if not asked:
        return MEANINGLESS["ids" if planned else "unplanned"]
    return None if isinstance(row["text"], str) else MEANINGLESS["silent"]


def continuation(prompt, length):
    """What follows `prompt` in the package's text, `length` characters up to the end of a word; None where it is not in it."""
    text = " ".join(read_text("evaluation").split())
    start = text.find(prompt)
    if start < 0 or length < 1:
        return None
    rest = text[start + len(prompt):]
    end = rest.find(" ", length)
    return rest[: end if end > 0 else len(rest)].strip() or None
