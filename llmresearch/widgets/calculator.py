"""The memory calculator: fields in, the sizer's answer out, in a notebook, in Voila and without a browser."""

import os
from pathlib import Path

import anywidget
import traitlets

from ..sizer import sharing
from ..sizer.formats import SizerError
from ..sizer.overview import overview
from . import fields, panel

HERE = Path(__file__).parent
START = {"model": "llama-3.1-8b", "gpu": "h100", "max_model_len": 8192}


class Field:
    """One input: `.value` as `estimate` takes it (None: the default), `.error` the sentence beside it, or "".

    Setting `.value` answers anew. A value that cannot be is kept as it was typed, with its sentence; the
    calculator's `.answer` stays the last good one.
    """

    def __init__(self, control, answer):
        self.control, self._answer = control, answer
        self._value, self.error = fields.DEFAULTS[control.name], ""

    def __repr__(self):
        return f"Field({self.control.name}={self._value!r}{', error=' + repr(self.error) if self.error else ''})"

    @property
    def value(self):
        return self._value

    @value.setter
    def value(self, value):
        self._value = value
        self._answer()

    @property
    def asked(self):
        """The value with text read as what it means. Raises SizerError for what means nothing."""
        name, found = self.control.name, self._value
        if isinstance(found, str):
            found = sharing.read(name, found, int if name == fields.PROMPT else None)
        return fields.DEFAULTS[name] if found is None else found


class Calculator(anywidget.AnyWidget):
    """How much GPU memory a model takes, for people: `Calculator("qwen3-8b", gpu="l4")` in a cell shows it.

    The arguments are those of `lr.sizer.estimate`. Each is a Field by the same name: `calculator.tp.value = 2`
    answers anew; `.tp.error` is the sentence where it cannot be. `.fields` maps names to Fields (with
    `prompt_tokens`, for the time to the first token). `.answer` is the last good sizer.overview.Overview, with
    `.estimate`, `.max_context`, `.max_concurrency`, `.kv_saving`, `.speed`, `.command`, `.call`, `.query` and
    `.why`; `.estimate` and `.call` stand on the calculator too. `.error` is a sentence that belongs to no field.
    Without arguments it starts from the address's query where Voila serves it, else from an example.
    """

    _esm = HERE / "calculator.js"
    _css = HERE / "calculator.css"
    form = traitlets.List().tag(sync=True)
    state = traitlets.Dict().tag(sync=True)
    shown = traitlets.Dict().tag(sync=True)

    def __init__(self, model=None, **question):
        asked, error = _start(model, question)
        self.fields = {one.name: Field(one, self._answer) for one in fields.controls()}
        for name, value in asked.items():
            self.fields[name]._value = value
        for name, field in self.fields.items():
            setattr(self, name, field)
        self.answer, self.error = None, ""
        self._beat = 0
        super().__init__(form=[_as_form(field.control) for field in self.fields.values()])
        self._answer()
        self.error = self.error or error
        self._show()
        self.on_msg(self._told)

    @property
    def estimate(self):
        """The last good MemoryEstimate, or None before there was one."""
        return self.answer and self.answer.estimate

    @property
    def call(self):
        """The `lr.sizer.estimate(...)` of the last good answer, to copy."""
        return self.answer and self.answer.call

    @property
    def question(self):
        """The arguments as the fields stand. Raises SizerError for text that means nothing."""
        return {name: field.asked for name, field in self.fields.items()}

    def update(self, **values):
        """Sets several fields and answers once. Raises SizerError for a name that is no field."""
        unknown = sorted(set(values) - set(self.fields))
        if unknown:
            raise SizerError(f"calculator: no field {unknown[0]!r}. Known: {', '.join(self.fields)}.")
        for name, value in values.items():
            self.fields[name]._value = value
        self._answer()

    def _answer(self):
        """Asks the sizer; a refusal goes beside the field that its sentence starts with."""
        for field in self.fields.values():
            field.error = ""
        self.error = ""
        try:
            self.answer = overview(**self.question)
        except SizerError as error:
            name = str(error).partition(":")[0]
            if name in self.fields:
                self.fields[name].error = str(error)
            else:
                self.error = str(error)
        self._show()

    def _show(self):
        """Sends the view what changed, in one message."""
        self._beat += 1
        with self.hold_sync():
            self.state = {name: self._of(field) for name, field in self.fields.items()}
            self.shown = self._pages() | {"beat": self._beat}

    def _of(self, field):
        value = field.value
        text = sharing._word(value) if isinstance(value, (dict, str)) else "" if value is None else f"{value}"
        state = {"value": value if isinstance(value, bool) else text, "error": field.error}
        if field.control.kind == "slider":
            state["stops"] = self._stops(field)
        if field.control.group == "experts":
            state["hidden"] = not (self.answer and self.answer.mixture)
        return state

    def _stops(self, field):
        if field.control.name != "max_model_len":
            return list(field.control.options)
        try:
            return list(fields.stops(self.model.asked))
        except SizerError:
            return list(self.state.get(field.control.name, {}).get("stops", fields.STOPS))

    def _pages(self):
        if self.answer is None:
            return {"error": self.error}
        found = self.answer
        return {
            "answer": panel.answer(found), "advanced": panel.advanced(found), "experts": panel.experts(found),
            "command": found.command or "", "no_command": found.silent.get("command", ""), "call": found.call,
            "query": found.query, "error": self.error, "stale": self.error != "" or any(f.error for f in self.fields.values()),
        }  # fmt: skip

    def _told(self, _, content, buffers):
        """What the page sent: {"set": {name: text}}, or {"long": name} of a text that it kept to itself."""
        values, name = (content.get("set"), content.get("long")) if isinstance(content, dict) else (None, None)
        if isinstance(name, str) and name in self.fields:
            self.fields[name].error = sharing.too_long(name)
            self._show()
        if isinstance(values, dict) and set(values) <= set(self.fields):
            self.update(**{name: value if isinstance(value, bool) else str(value) for name, value in values.items()})


def _start(model, question):
    """(arguments, sentence): given ones, else the address's, else an example."""
    given = ({} if model is None else {"model": model}) | question
    unknown = sorted(set(given) - set(fields.DEFAULTS))
    if unknown:
        raise SizerError(f"calculator: no field {unknown[0]!r}. Known: {', '.join(fields.DEFAULTS)}.")
    if given:
        return START | given if model is None else given, ""
    try:
        return sharing.from_query(os.environ.get("QUERY_STRING", "")) or START, ""
    except SizerError as error:
        return START, str(error)


def _as_form(control):
    return {
        "name": control.name, "label": fields.NAMES[control.name], "help": fields.HELP[control.name],
        "kind": control.kind, "group": control.group, "options": [f"{option}" for option in control.options],
        "step": control.step, "longest": sharing.LARGEST_TEXT, "least": control.least, "most": control.most,
    }  # fmt: skip
