"""A place in the page onto which start-up logs are dropped; a button beside it does the same by key."""

from pathlib import Path

import anywidget
import traitlets

HERE = Path(__file__).parent
LARGEST = 5 << 20
"""Bytes of a log that are read at most: a start-up is some kilobytes, and a server's line may carry 10 MiB."""
MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
"""First bytes of a text and its encoding: PowerShell's `>` writes UTF-16."""


class LogDrop(anywidget.AnyWidget):
    """Takes several files at once: calls `take([(name, text), ...])`, which gives back (sentences, added).

    `sentences` says of each file that cannot be used why, in one sentence; `added` what became of the others. Both
    stand beside the zone as `.answer`. A file that is too large never leaves the browser.
    """

    _esm = HERE / "log_drop.js"
    _css = HERE / "log_drop.css"
    label = traitlets.Unicode("Drop start-up logs here, or choose them").tag(sync=True)
    largest = traitlets.Int(LARGEST).tag(sync=True)
    answer = traitlets.Dict({"sentences": [], "added": ""}).tag(sync=True)

    def __init__(self, take):
        self._take, self._texts, self._refused = take, [], []
        super().__init__()
        self.on_msg(self._told)

    def say(self, sentences=(), added=""):
        """Shows sentences, or nothing, beside the zone."""
        self.answer = {"sentences": list(sentences), "added": added}

    def _told(self, _, content, buffers):
        """One file of a drop: {"name", "size", "index", "of", "read"}, its bytes in `buffers`; {"of": 0} for a drop without."""
        if not isinstance(content, dict) or not isinstance(content.get("of"), int):
            return
        if content.get("index", 0) == 0:
            self._texts, self._refused = [], []
        if content["of"] == 0:
            return self.say(["drop: no file was dropped. Drop the text file of a start-up log."])
        self._keep(f"{content.get('name')}", content, buffers)
        if content.get("index") == content["of"] - 1:
            self._done()

    def _keep(self, name, content, buffers):
        if content.get("read") and len(buffers) == 1 and len(buffers[0]) <= self.largest:
            self._texts.append((name, _text(bytes(buffers[0]))))
        elif isinstance(content.get("size"), int) and content["size"] > self.largest:
            self._refused.append(f"{name}: longer than {self.largest >> 20} MiB. Give the lines from start-up only.")
        else:
            self._refused.append(f"{name}: the browser cannot read it as a file. Drop text files, not folders.")

    def _done(self):
        sentences, added = self._take(self._texts) if self._texts else ([], "")
        self.say([*self._refused, *sentences], added)


def _text(content):
    """The text of a file's bytes, whatever they are."""
    return content.decode(next((code for mark, code in MARKS.items() if content.startswith(mark)), "utf-8"), "replace")
