"""Pieces of a page in both forms: what stands in the Markdown and what stands in the HTML."""

from html import escape
import math
import re

from . import display
from .claims import LABELS

NOTHING = "No rows: nothing was measured that could stand here."


def caption(item):
    """('Table 3.', 'What it shows. (measured)') of an entry of report.json."""
    return f"{item['kind'].capitalize()} {item['number']}.", f"{item['caption'].rstrip()} ({item['label']})"


def table(item, shown):
    """(Markdown, HTML) of a `display.Shown` under its caption."""
    number, text = caption(item)
    more = _more(len(shown.rows), shown.hidden, item["files"][0])
    nothing = "" if shown.hidden else NOTHING
    markdown, html = (
        (shown.markdown(), shown.html()) if shown.rows else (nothing, f"<p>{nothing}</p>" if nothing else "")
    )
    return (
        f"**{number}** {text}\n\n{markdown}\n" + (f"\n{more}\n" if more else ""),
        f'<figure class="lr-tab" id="{_id(item)}">'
        f"<figcaption><b>{number}</b> {labelled(text)}</figcaption>\n{html}"
        + (f'<p class="lr-more">{escape(more)}</p>' if more else "") + "</figure>",
    )  # fmt: skip


def _more(rows, hidden, file):
    """Where the rows are that the page does not show."""
    if not hidden:
        return ""
    return (
        f"The first {rows} of {rows + hidden} rows; all of them: {file}."
        if rows
        else f"{hidden} rows, in {file}."
    )


def figure(item, folder, base64):
    """(Markdown, HTML) of a figure: a relative link there, the picture itself here."""
    number, text = caption(item)
    alt = escape(item["caption"], quote=True)
    return (
        f"![{number}]({folder}/{item['files'][0]})\n\n**{number}** {text}\n",
        f'<figure class="lr-fig" id="{_id(item)}"><img alt="{alt}" src="data:image/png;base64,{base64}"/>\n'
        f"<figcaption><b>{number}</b> {labelled(text)}</figcaption></figure>",
    )


def _id(item):
    return f"{item['kind']}-{item['name']}"


def claim(found):
    """(Markdown, HTML) of a Claim: its status, its words, its interval and the line that was drawn."""
    because = f"{reading(found)}, {line(found)} ({found.label})"
    colour = display.BADGES[found.status]
    return (
        f"> **{found.status}** · {found.text} {because}\n",
        f'<div class="lr-claim lr-edge-{colour}" id="claim-{escape(found.id)}">{display.badge(found.status)}'
        f'<p>{escape(found.text)}<br/><span class="lr-ci">{labelled(because)}</span></p></div>',
    )


def reading(found):
    """'1.42 [1.31, 1.55], n = 12' of a Claim."""
    if math.isnan(found.value):
        return "no value"
    text = display.estimate(found.value, found.low, found.high, found.unit)
    return f"{text}, n = {found.n:,}" if found.n else text


def line(found):
    """'line: above 1' of a Claim, in its shown unit."""
    sides = [
        (word, edge) for word, edge in (("above", found.above), ("below", found.below)) if edge is not None
    ]
    return "line: " + " and ".join(f"{word} {display.exact(edge, found.unit)}" for word, edge in sides)


def labelled(text):
    """Text as HTML in which '(measured)' and the other labels are small tags."""
    return tagged(escape(text, quote=False))


def tagged(html):
    """HTML in which '(measured)' and the other labels are small tags."""
    return re.sub(rf"\(({'|'.join(LABELS)})\)", r'<span class="lr-label lr-from-\1">\1</span>', html)


def footer(rows):
    """(Markdown, HTML) of {what: text}."""
    lines = "\n".join(f"| {what} | {_piped(text)} |" for what, text in rows.items())
    cells = "\n".join(f"<dt>{escape(what)}</dt><dd>{escape(text)}</dd>" for what, text in rows.items())
    return f"| Behind these numbers | |\n| --- | --- |\n{lines}\n", f'<dl class="lr-footer">\n{cells}\n</dl>'


def _piped(text):
    return text.replace("|", "\\|").replace("\n", " ")
