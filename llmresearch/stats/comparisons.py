"""The front door: is one engine faster than another? Paired, blocked, over sessions, corrected, and able to say no."""

import math

import numpy as np
import pandas as pd
from scipy import special

from .corrections import adjust
from .estimates import session_labels
from ..intervals import NAN, check_share
from .planning import sessions_to_decide
from ..records import LlmResearchError
from .summaries import timed

MARGIN = 0.02             # ± 2 %: the audit tolerance of MLPerf's "materially different"
BLOCKS = ("model", "phase", "scenario", "prompt", "batch", "concurrency", "kind")
LABELS = ("dtype", "device")            # block by these only where the baseline itself has several
COLUMNS = ("ratio", "low", "high", "p", "p_adjusted", "effect", "verdict", "baseline_seconds", "seconds", "speedup",
           "n", "blocks", "calls", "n_needed", "margin", "p_equivalent", "unit_of_replication", "method")


class Comparison(pd.DataFrame):
    """What `compare` gives: a frame that shows its ratios, intervals and verdicts first, in a notebook and as text."""

    @property
    def _constructor(self):
        return Comparison

    def _shown(self):
        """The columns that carry the answer, or None where they are not all there."""
        if not {"ratio", "low", "high", "verdict", "baseline"} <= set(self.columns):
            return None
        named = [name for name in self.columns[: list(self.columns).index("ratio")]]
        more = [name for name in ("p_adjusted", "n", "n_needed") if name in self]
        return pd.DataFrame(self)[[*named, "ratio", "low", "high", "verdict", *more]]

    def _note(self):
        known = {"level", "margin", "correction", "family"} <= set(self.attrs)
        rule = "{level:.0%} intervals, equivalent within ±{margin:.0%}, corrected by {correction} over {family}. "
        return (rule.format(**self.attrs) if known else "") + "ratio: time over the baseline's, below 1 is faster."

    def __repr__(self):
        shown = self._shown()
        return super().__repr__() if shown is None else f"{shown.to_string(index=False)}\n{self._note()}"

    def _repr_html_(self):
        from ..reporting.cards import table

        shown = self._shown()
        return super()._repr_html_() if shown is None else table(shown, note=self._note())


def compare(df, baseline, by=None, correction="holm", level=0.95, margin=MARGIN, between="backend"):
    """A frame with one row per candidate and group of `by`: how its time relates to the baseline's, and a verdict.

    ratio: seconds of the candidate over those of the baseline, below 1 is faster (speedup is 1 / ratio), with `low`
    and `high` at `level`, beside both absolutes (geometric means of the cells' medians) and n, the sessions.
    verdict: faster, slower, equivalent (within ± `margin`), or undecided (`n_needed` sessions would decide).
    p_adjusted and the verdict hold for the whole table (`correction`: holm, bonferroni, bh or none).

    Each cell's median is paired with the baseline's of the same session and block (model, phase, scenario, prompt,
    batch, concurrency as far as there), the log-ratios are averaged over the blocks of a session, and Student's t is
    taken over sessions: a session, not a call, is what varies when an experiment is repeated. One session therefore
    decides nothing. Arms that share no sessions are compared by Welch's t on session means. `by` defaults to model and
    phase; `between` names the column that holds the baseline.
    """
    check_share("level", level)
    if not 0 < margin < 1:
        raise LlmResearchError(f"margin: {margin!r} is not a share. Give 0.02 for 2 %.")
    by = _columns(df, by, between)
    used = timed(df, by)
    _check_baseline(df, baseline, between)
    cells = _Cells(used, baseline, by, between)
    rows = [_compared(cells, group, arm) for group, arm in cells.comparisons()]
    rows += _unmeasured(cells, [name for name in df[between].dropna().unique() if name != baseline])
    out = pd.DataFrame(rows, columns=[*by, between, "baseline", *_Row])
    return _judged(out, by, between, correction, level, margin, used.attrs.get("left out", {}))


def _columns(df, by, between):
    for name in (between, "seconds"):
        if name not in df:
            raise LlmResearchError(f"compare: the frame has no column {name!r}. Give the frame that read() returns.")
    if by is None:
        return [c for c in ("model", "phase") if c in df and c != between]
    by = [by] if isinstance(by, str) else list(by)
    missing = [c for c in by if c not in df]
    if missing:
        raise LlmResearchError(f"by: no column {missing[0]!r}. There are: {', '.join(map(str, df.columns))}.")
    return [c for c in by if c != between]


def _check_baseline(df, baseline, between):
    names = sorted(map(str, df[between].dropna().unique()))
    if len(df) and str(baseline) not in names:
        raise LlmResearchError(f"baseline: {baseline!r} is not in column {between!r}. There are: {', '.join(names)}.")


_Row = ("center", "spread", "error", "df", "effect", "baseline_seconds", "seconds", "n", "blocks", "calls", "unit",
        "method")


class _Cells:
    """Log medians of all cells, with integer codes of group, arm, block and session, ready to be paired."""

    def __init__(self, used, baseline, by, between):
        self.baseline, self.by = baseline, by
        blocks = [c for c in BLOCKS if c in used and c not in by and c != between]
        mine = used[used[between] == baseline]
        blocks += [c for c in LABELS if c in used and c not in (*by, between) and mine[c].nunique() > 1]
        frame = pd.DataFrame({"group": _codes(used, by), "block": _codes(used, blocks),
                              "session": pd.factorize(session_labels(used))[0]}, index=used.index)
        frame["arm"], self.arms = pd.factorize(used[between])
        self.keys = used[by].groupby(frame["group"]).first() if by else None
        seconds, work = used["seconds"].to_numpy(float), _work(used, frame)
        good = np.isfinite(seconds) & (seconds > 0)
        frame["log"] = np.log(np.where(good, seconds / work, 1.0))
        frame["square"] = frame["log"] ** 2
        frame["bad"] = ~good
        grouped = frame.groupby(["group", "arm", "session", "block"], sort=True)
        cells = grouped["log"].agg(["median", "mean", "size"])
        cells["square"], cells["bad"] = grouped["square"].sum(), grouped["bad"].sum()
        if (when := place_in_time(used)) is not None:
            cells = cells.join(_trends(frame, when - when.groupby(frame["session"]).transform("mean")))
        self._parts = _parts(cells.reset_index())

    def comparisons(self):
        """(group, arm) of every candidate that was measured."""
        return [key for key in self._parts if self.arms[key[1]] != self.baseline]

    def part(self, group, arm):
        return self._parts.get((group, arm))

    def base(self, group):
        where = np.flatnonzero(self.arms == self.baseline)
        return self.part(group, where[0]) if where.size else None

    def key(self, group):
        return list(self.keys.loc[group]) if self.by else []


def _parts(cells):
    """The cells of each (group, arm) as a dict of arrays; `cells` is sorted by them."""
    arrays = {name: cells[name].to_numpy() for name in cells}
    new = (np.diff(arrays["group"]) != 0) | (np.diff(arrays["arm"]) != 0)
    cuts = [0, *(np.flatnonzero(new) + 1), len(cells)] if len(cells) else [0]
    slices = [slice(a, b) for a, b in zip(cuts, cuts[1:])]
    return {(arrays["group"][s.start], arrays["arm"][s.start]): {k: v[s] for k, v in arrays.items()} for s in slices}


def _codes(df, columns):
    """One integer per row and distinct combination of the columns."""
    if not columns:
        return np.zeros(len(df), int)
    return df.groupby(columns, dropna=False, observed=True, sort=True).ngroup().to_numpy()


def _work(used, frame):
    """Tokens of each call where a block's calls handled different numbers of them, else 1 (then seconds are per call)."""
    if "tokens" not in used:
        return 1.0
    tokens = pd.Series(used["tokens"].to_numpy(float), index=used.index)
    keys = [frame["group"], frame["block"]]
    uneven = tokens.groupby(keys).transform("max") != tokens.groupby(keys).transform("min")
    usable = (tokens > 0).groupby(keys).transform("all")
    return np.where(uneven & usable, tokens, 1.0)


def _compared(cells, group, arm):
    """One row of numbers, not yet judged."""
    head = [*cells.key(group), cells.arms[arm], cells.baseline]
    mine, base = cells.part(group, arm), cells.base(group)
    if base is None:
        return head + _no_row("the baseline was not measured in this group")
    broken = int(mine["bad"].sum() + base["bad"].sum())
    if broken:
        return head + _no_row(f"{broken} times are not positive numbers")
    return head + _paired_or_not(mine, base)


def _unmeasured(cells, candidates):
    """A row without numbers for every group and candidate of which no call may be used."""
    reason = "no usable call of it: refused, failed, or all contaminated"
    gone = [name for name in candidates if name not in set(cells.arms)]
    groups = list(cells.keys.index) if cells.by else [0]
    return [[*cells.key(group), name, cells.baseline, *_no_row(reason)] for name in gone for group in groups]


def _no_row(reason, center=NAN, n=0):
    return [center, NAN, NAN, NAN, NAN, NAN, NAN, n, 0, 0, "session", reason]


def _paired_or_not(mine, base):
    shared = np.intersect1d(mine["session"], base["session"])
    alone = min(len(np.unique(part["session"])) for part in (mine, base))
    if len(shared) >= 2 or (len(shared) == 1 and alone == 1):
        return _paired(mine, base, shared)
    if alone < 2:
        return _no_row("an arm with a single session, not shared with the other: nothing to compare", n=alone)
    return _unpaired(mine, base)


def _paired(mine, base, shared):
    """Student's t of the sessions' mean log-ratios over the blocks that both arms have in every session."""
    both = [_grid(part, shared, np.intersect1d(mine["block"], base["block"])) for part in (mine, base)]
    have = np.isfinite(both[0]) & np.isfinite(both[1])
    rows, columns, dropped = complete(have)
    if not rows.any() or not columns.any():
        return _no_row("no block that both measured in the same session")
    a, b = (g[np.ix_(rows, columns)] for g in both)
    d = (a - b).mean(axis=1)
    numbers = [math.exp(b.mean()), math.exp(a.mean()), len(d), int(columns.sum()), int(mine["size"].sum())]
    note = f"paired by session and block{dropped}"
    effect = d.mean() / _call_spread(mine, base)
    if len(d) < 2:
        return [d[0], NAN, NAN, NAN, effect, *numbers, "session", "one session: no replication, so no interval"]
    order = _order_effect(mine, base, shared)
    if _drifts(order, d.mean()):
        why = "the machine drifts and one arm was always measured last: order and engine cannot be told apart"
        return [d.mean(), NAN, NAN, NAN, effect, *numbers, "session", f"{why}; change the order between sessions"]
    spread = d.std(ddof=1)
    if not _spreads(spread, a):
        return [d[0], NAN, NAN, NAN, effect, *numbers, "session", "all session ratios are equal: no spread"]
    return [d.mean(), spread, spread / math.sqrt(len(d)), len(d) - 1, effect, *numbers, "session", note]


def place_in_time(used):
    """When each call ran, as far as `time`, or `order` and `index`, tell; None where they do not."""
    if "time" in used and used["time"].notna().all():
        return used["time"].astype(float)
    if all(c in used and used[c].notna().all() for c in ("order", "index")):
        return used["order"] + used["index"] / (used["index"].max() + 1.0)
    return None


def _trends(frame, when):
    """Per cell: the mean place in time, and the sums of squares and products about the cell's means."""
    table = frame[["group", "arm", "session", "block", "log"]].assign(when=when, tt=when**2, tl=when * frame["log"])
    cells = table.groupby(["group", "arm", "session", "block"], sort=True)
    out, n = cells.mean(), cells.size()
    return pd.DataFrame({"when": out["when"], "tt": n * (out["tt"] - out["when"] ** 2),
                         "tl": n * (out["tl"] - out["when"] * out["log"])})


def _order_effect(mine, base, shared):
    """What a drift within the sessions would make of the log-ratio in each, where one arm always came last; else None."""
    if "when" not in mine or len(shared) < 3:
        return None
    rows = [[p[c][p["session"] == k] for c in ("when", "tt", "tl")] for k in shared for p in (mine, base)]
    gap = np.array([a[0].mean() - b[0].mean() for a, b in zip(rows[::2], rows[1::2])])
    if not ((gap > 0).all() or (gap < 0).all()):
        return None
    slopes = [(a[2].sum() + b[2].sum()) / max(a[1].sum() + b[1].sum(), 1e-300) for a, b in zip(rows[::2], rows[1::2])]
    return np.array(slopes) * gap


def _drifts(effect, center):
    """Whether the order's effect is sure (one-sided 5 %) and goes the way of the ratio."""
    if effect is None or effect.std() == 0:
        return False
    t = effect.mean() / (effect.std(ddof=1) / math.sqrt(len(effect)))
    return bool(t * np.sign(center) > special.stdtrit(len(effect) - 1, 0.95))


def _spreads(spread, logs):
    """Whether a spread is more than rounding."""
    return spread > 1e-12 * max(1.0, np.abs(logs).max())


def _unpaired(mine, base):
    """Welch's t of the sessions' means over the blocks that every session of both arms has."""
    blocks = np.intersect1d(mine["block"], base["block"])
    grids = [_grid(part, np.unique(part["session"]), blocks) for part in (mine, base)]
    rows, columns, dropped = complete(np.isfinite(np.vstack(grids)))
    cut = len(grids[0])
    a, b = grids[0][np.ix_(rows[:cut], columns)], grids[1][np.ix_(rows[cut:], columns)]
    if not columns.any() or min(len(a), len(b)) < 2:
        return _no_row("no block that two sessions of each arm measured")
    va, vb = a.mean(axis=1).var(ddof=1) / len(a), b.mean(axis=1).var(ddof=1) / len(b)
    center, error = a.mean() - b.mean(), math.sqrt(va + vb)
    n = min(len(a), len(b))
    numbers = [math.exp(b.mean()), math.exp(a.mean()), n, int(columns.sum()), int(mine["size"].sum())]
    effect = center / _call_spread(mine, base)
    if not _spreads(error, a):
        return [center, NAN, NAN, NAN, effect, *numbers, "session", "all sessions give equal times: no spread"]
    df = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    note = f"sessions not shared: Welch on session means{dropped}"
    return [center, error * math.sqrt(n), error, df, effect, *numbers, "session", note]


def _grid(part, sessions, blocks):
    """Log medians as a (sessions, blocks) array, nan where a cell is missing."""
    grid = np.full((len(sessions), len(blocks)), NAN)
    row, column = np.searchsorted(sessions, part["session"]), np.searchsorted(blocks, part["block"])
    inside = np.isin(part["session"], sessions) & np.isin(part["block"], blocks)
    grid[row[inside], column[inside]] = part["median"][inside]
    return grid


def complete(have):
    """(sessions to keep, blocks to keep, words): the complete table left after dropping what misses most, step by step.

    Averages over different blocks in different sessions would compare unlike things. A session goes only where it
    misses more than a third: sessions are the replication.
    """
    rows, columns = np.ones(have.shape[0], bool), np.ones(have.shape[1], bool)
    while rows.any() and columns.any() and not have[np.ix_(rows, columns)].all():
        part = ~have[np.ix_(rows, columns)]
        by_row, by_column = part.mean(axis=1), part.mean(axis=0)
        if by_row.max() > max(by_column.max(), 1 / 3):
            rows[np.flatnonzero(rows)[by_row.argmax()]] = False
        else:
            columns[np.flatnonzero(columns)[by_column.argmax()]] = False
    lost = [f"{n} {name}" for n, name in ((int((~rows).sum()), "sessions"), (int((~columns).sum()), "blocks")) if n]
    return rows, columns, f"; {' and '.join(lost)} incomplete and left out" if lost else ""


def _call_spread(mine, base):
    """The standard deviation of single calls' log seconds within their cells, pooled; nan where none has two calls."""
    n, mean, square = (np.concatenate([p[c] for p in (mine, base)]) for c in ("size", "mean", "square"))
    df = (n - 1).sum()
    variance = (square - n * mean**2).sum() / df if df else NAN
    return math.sqrt(variance) if variance > 1e-24 else NAN


def _judged(out, by, between, correction, level, margin, left_out):
    """The table with intervals, p-values and verdicts."""
    alpha, edge = 1 - level, math.log1p(margin)
    center, error, df = (out[c].to_numpy(float) for c in ("center", "error", "df"))
    half = special.stdtrit(df, (1 + level) / 2) * error
    out["ratio"], out["low"], out["high"] = np.exp(center), np.exp(center - half), np.exp(center + half)
    out["speedup"] = np.exp(-center)
    out["p"] = 2 * special.stdtr(df, -np.abs(center) / error)
    out["p_equivalent"] = special.stdtr(df, (np.abs(center) - edge) / error)
    out["p_adjusted"] = adjust(out["p"], correction)
    same = adjust(out["p_equivalent"], correction) < alpha
    differs = (out["p_adjusted"] < alpha).to_numpy()
    out["verdict"] = np.select([differs & (center < 0), differs & (center > 0), same],
                               ["faster", "slower", "equivalent"], "undecided")
    family = max(1, int(np.isfinite(out["p"]).sum())) if correction not in (None, "none") else 1
    out["n_needed"] = _needed(out, center, edge, alpha / family)
    out["margin"], out["unit_of_replication"] = margin, out["unit"]
    out.attrs.update(level=level, margin=margin, correction=correction, family=family, left_out=left_out)
    found = Comparison(out[[*by, between, "baseline", *COLUMNS]])
    found.attrs = dict(out.attrs)
    return found


def _needed(out, center, edge, alpha):
    """Sessions in all that would decide what is undecided (at 80 % power, the family's alpha); nan for the decided."""
    spread = out["spread"].to_numpy(float)
    n = np.maximum(sessions_to_decide(center, spread, edge, alpha), out["n"] + 1)
    n = np.where(np.isfinite(spread), n, np.where(out["n"] < 2, 3, NAN))     # a spread needs sessions to be known
    return np.where(out["verdict"] == "undecided", n, NAN)
