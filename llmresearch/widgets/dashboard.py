"""The sizer's validation to look through: totals, errors by an axis, every profile, one broken down, a log added."""

from html import escape
from itertools import count

import ipywidgets as w
from itables import JavascriptFunction
from itables.widget import ITable
import numpy as np

from ..records import LlmResearchError
from ..reporting import cards
from ..sizer import browsing
from .log_drop import LogDrop

STYLE = """<style>
.lr-dashboard { max-width: 72rem; }
.lr-dashboard .widget-html-content { line-height: 1.45; white-space: normal; }
.lr-dashboard h2 { font-size: 1.15rem; margin: 0.9rem 0 0.3rem; }
.lr-dashboard table { color: inherit; }
.lr-dashboard .widget-label { width: auto; min-width: 9rem; }
.lr-dashboard .widget-dropdown, .lr-dashboard .widget-text { max-width: 100%; }
.lr-key { display: flex; flex-wrap: wrap; gap: 0 1rem; }
.lr-key i { display: inline-block; width: 0.8rem; height: 0.8rem; margin-right: 0.4rem; }
.lr-bar { display: flex; height: 16px; max-width: 40rem; border: 1px solid #767c85; margin: 2px 0 8px; }
.lr-dashboard :is(.itables_anywidget, .dt-container) { background: transparent !important; }
.lr-dashboard .dt-container :is(td, th, label, .dt-info, .dt-paging-button) { color: var(--jp-ui-font-color1, inherit) !important; }
.lr-dashboard .dt-container tr.selected td { color: #fff !important; background: #0a5a9c; box-shadow: none !important; }
.lr-dashboard .dt-container :is(input, select) {
  color: var(--jp-ui-font-color1, inherit); background: var(--jp-layout-color1, inherit); border: 1px solid #767c85;
}
.lr-dashboard table.dataTable .dtcc-search input { background: var(--jp-layout-color1, inherit) !important; }
.lr-dashboard table.dataTable .dtcc-search svg { color: var(--jp-ui-font-color1, inherit) !important; opacity: 0.8 !important; }
.lr-dashboard table.dataTable .dtcc-search select:focus-visible {
  opacity: 1; width: 100%; z-index: 1; color: var(--jp-ui-font-color1, inherit); background: var(--jp-layout-color1, inherit);
}
</style>"""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9")


class Dashboard(w.VBox):
    """The validation dashboard; `.choose(row_id)` and `.add_log(text, name)` do what a click and a dropped file do.

    `.rows` is the data (sizer/browsing.everything), `.axis`, `.engine`, `.profile`, `.model` and `.drop` are its
    inputs, `.table` (sortable, searchable, filtered by column; a click on a row chooses it), `.errors`, `.parts` and
    `.said` what it shows; `.drop.answer` has the sentences on dropped files. It computes nothing: every number is
    sizer/browsing.py's.
    """

    def __init__(self, rows=None):
        self.rows = browsing.everything() if rows is None else rows
        self._names = count(1)
        self.totals, self.errors, self.parts, self.said = (w.HTML() for _ in range(4))
        self.parts.add_class("lr-parts")
        self.axis = w.Dropdown(options=list(browsing.AXES), description="Errors by", style=_LABEL)
        self.engine = w.Dropdown(options=["all"], description="Engine", style=_LABEL)
        self.profile = w.Dropdown(description="Profile", **_ROOM)
        self.model = w.Text(description="Model", placeholder="where the log does not name one", continuous_update=False, **_ROOM)
        self.drop = LogDrop(self._dropped)
        self.table = ITable(self._shown(), **_table(self._shown()))
        self._fill()
        self._watch()
        super().__init__(self._laid_out(), layout=w.Layout(width="100%"))
        self.add_class("lr-dashboard")

    def choose(self, row_id):
        """Shows a profile part by part and marks its row; a row that is not there says so and keeps what was shown."""
        try:
            found = browsing.breakdown(self.rows, row_id)
        except LlmResearchError as error:
            return self._say(str(error))
        self.parts.value = _broken_down(self.rows[self.rows.row_id == row_id].iloc[0], found)
        self._say("")
        if row_id in self.profile._options_values:
            self.profile.value = row_id
            self.table.selected_rows = [self.profile._options_values.index(row_id)]

    def add_log(self, text, name=None, model=None):
        """Adds a log as a row and chooses it; a log that cannot be used shows its sentence and changes nothing."""
        name = name or f"log {next(self._names)}"
        sentence = self._added(text, name, model)
        if not sentence:
            self._grown(name)
        self._say(sentence)

    def _added(self, text, name, model=None):
        """Adds a row; the sentence where it cannot be, else ""."""
        try:
            self.rows = browsing.added(self.rows, browsing.from_log(text, name, model or self.model.value or None))
        except LlmResearchError as error:
            return f"{name}: {error}"
        return ""

    def _dropped(self, files):
        """What LogDrop shows of [(name, text), ...]: the sentences of those refused, and the names of the rows added."""
        self._say("")
        found = [(name, self._added(text, name)) for name, text in files]
        good = [name for name, sentence in found if not sentence]
        if good:
            self._grown(good[-1])
        return [sentence for _, sentence in found if sentence], f"Added: {', '.join(good)}." if good else ""

    def _grown(self, name):
        """Everything again after rows were added; shows the one called `name`."""
        self._fill()
        self.engine.value = "all"
        self._refresh(len(self.rows) - 1)
        self.choose(name)

    def _laid_out(self):
        """Headings and parts from top to bottom."""
        return [
            w.HTML(STYLE), self.totals, w.HTML("<h2>Where it errs</h2>"), self.axis, self.errors,
            w.HTML("<h2>Every profile, GiB</h2>"), self.engine, w.Box([self.table], layout=w.Layout(overflow="auto", display="block")),
            w.HTML("<h2>One profile, part by part</h2>"), self.profile, self.parts,
            w.HTML("<h2>Your own</h2><p>A log of vLLM, SGLang or llama.cpp from start-up; it stays in this process.</p>"),
            self.model, self.drop, self.said,
        ]  # fmt: skip

    def _watch(self):
        self.axis.observe(lambda _: self._show_errors(), "value")
        self.engine.observe(lambda _: self._refresh(), "value")
        self.profile.observe(lambda change: change["new"] and self.choose(change["new"]), "value")
        self.table.observe(self._clicked, "selected_rows")

    def _kept(self):
        """The rows that the filter leaves."""
        return self.rows if self.engine.value in (None, "all") else self.rows[self.rows.engine == self.engine.value]

    def _shown(self):
        return browsing.table(self._kept()).astype({"batch": float}).round(3).rename(columns=lambda name: name.replace("_", " "))

    def _fill(self):
        """Everything that depends on the rows."""
        self.totals.value = cards.html("How good the sizer is", "", browsing.headline(self.rows))
        self.engine.options = ["all", *sorted(self.rows.engine.unique())]
        self._show_errors()
        self._offer()

    def _offer(self):
        """The profiles that the filter leaves, to be chosen with the keyboard; the chosen one stays where it can."""
        before, kept = self.profile.value, self._kept()
        options = [(f"{row.row_id}: {row.model}, {row.engine} {row.version}", row.row_id) for row in kept.itertuples()]
        values = [value for _, value in options]
        self.profile.options = options
        self.profile.value = before if before in values else values[0]
        self.choose(self.profile.value)

    def _refresh(self, at=0):
        """The table of the rows that the filter leaves, at the page that row `at` is on."""
        shown = self._shown()
        self.table.update(shown, **_table(shown) | {"displayStart": at - at % ROWS})
        self._offer()

    def _show_errors(self):
        found = browsing.errors_by(self.rows, self.axis.value)
        self.errors.value = cards.table(found, note="Absolute errors in percent, the profile's family left out of the fit.")

    def _clicked(self, change):
        """A row of the table was clicked: its place is among the rows that are shown."""
        kept = self._kept()
        if change["new"] and change["new"][-1] < len(kept):
            self.choose(kept.row_id.iloc[change["new"][-1]])

    def _say(self, sentence):
        self.said.value = f'<p role="alert"><b>{escape(sentence)}</b></p>' if sentence else ""


_LABEL = {"description_width": "initial"}
_ROOM = {"style": _LABEL, "layout": {"width": "34rem", "max_width": "calc(100% - 4px)"}}
ROWS = 8
"""Of the table, on a page."""
_NAMED = JavascriptFunction("""function () {
    const api = this.api();
    setTimeout(() => {
        for (const one of api.table().container().querySelectorAll(".dtcc-search :is(input, select)")) {
            const name = api.column(Number(one.closest("[data-dt-column]").dataset.dtColumn)).title();
            one.setAttribute("aria-label", (one.tagName === "SELECT" ? "How to filter " : "Filter ") + name);
        }
    });
}""")
"""Names the fields of the filters for those who hear the page; they are made after the first draw."""
_TABLE = {
    "select": "single", "selected_rows": [], "showIndex": False, "scrollX": False, "pageLength": ROWS, "lengthMenu": [ROWS, 25, 100],
    "maxBytes": 0, "maxColumns": 0, "classes": "display nowrap compact", "style": "width:100%", "allow_html": False,
    "columnControl": [{"target": 1, "content": ["search"]}],
    "drawCallback": _NAMED, "warn_on_undocumented_option": False,
}  # fmt: skip


def _table(shown):
    """What the table is told of a frame: its settings, and how many digits of its numbers are shown."""
    whole = list(shown).index("batch")
    floats = [at for at, kind in enumerate(shown.dtypes) if kind.kind == "f" and at != whole]
    return _TABLE | {"columnDefs": [_digits(3, floats), _digits(0, [whole])]}


def _digits(count, columns):
    """Numbers with `count` digits after the point, and a dash for what is not known; sorted and filtered as numbers."""
    shown = f"type !== 'display' ? data : Number.isFinite(data) ? data.toFixed({count}) : '–'"
    return {"targets": columns, "render": JavascriptFunction(f"function (data, type) {{ return {shown}; }}")}


def _broken_down(row, found):
    """One profile as HTML: who it is, a bar of what was measured, and the table of its parts."""
    known = found[found.measured.fillna(0) > 0]
    whole = known.measured.sum()
    bars = "".join(
        f'<div title="{escape(one.component)}" style="width:{100 * one.measured / whole:.2f}%;background:{COLOURS[one.Index]}"></div>'
        for one in known.itertuples()
    )
    key = "".join(f'<span><i style="background:{COLOURS[one.Index]}"></i>{escape(one.component)}</span>' for one in known.itertuples())
    title = f"{row.row_id}: {row.model}, {row.engine} {row.version}, {row.tp} GPU, {row.weight_format}"
    note = f"GiB a GPU; from and to: the 90 % interval, without this profile's family. Source: {row.source}"
    errors = [f"{error:+.2f}" if np.isfinite(error) else "–" for error in found.error_percent]
    shown = found.assign(error_percent=errors).rename(columns={"low": "from", "high": "to"})
    bar = f'<div class="lr-bar" role="img" aria-label="measured, part by part">{bars}</div><div class="lr-key">{key}</div>'
    return f"<p><b>{escape(title)}</b></p>{bar if len(known) else ''}{cards.table(shown, verdicts='inside', note=note)}"
