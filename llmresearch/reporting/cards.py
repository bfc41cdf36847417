"""What a result shows of itself in a notebook or at a prompt: a title with its verdict, then name and value by line."""

from html import escape

from . import display

# Fixed pairs of ink and paper: they are read on a light page and on a dark one.
BADGE = {
    "good": "#0f5f46;background:#d9f2e6", "bad": "#8f2a07;background:#fde3d6",
    "open": "#6b4a00;background:#fdf0c8", "none": "#3d444d;background:#e6e9ed",
}  # fmt: skip
CELL = "text-align:left;padding:1px 14px 1px 0;vertical-align:top;background:transparent"


def text(title, verdict, rows, note=""):
    """The card as lines of text: 'title: verdict', a line for each (name, value) of `rows`, then the note."""
    width = max((len(name) for name, _ in rows), default=0)
    head = f"{title}: {verdict}" if verdict else title
    lines = [head, *(f"  {name:{width}}  {value}" for name, value in rows)]
    return "\n".join([*lines, f"  {note}"] if note else lines)


def html(title, verdict, rows, note=""):
    """The same card as HTML that needs no style from elsewhere."""
    body = "".join(f'<tr><td style="{CELL}">{escape(n)}</td><td style="{CELL}">{escape(v)}</td></tr>' for n, v in rows)
    return (
        f'<div><b>{escape(title)}</b> {badge(verdict)}<table style="border-collapse:collapse;margin:4px 0">'
        f"<tbody>{body}</tbody></table>" + (f"<small>{escape(note)}</small>" if note else "") + "</div>"
    )


def badge(word):
    """A word of a closed vocabulary in the colour of its meaning, as HTML; '' for none."""
    colours = BADGE[display.BADGES.get(word, "none")]
    style = f"color:{colours};border-radius:9px;padding:1px 8px;font-size:90%;white-space:nowrap"
    return f'<span style="{style}">{escape(word)}</span>' if word else ""


def table(frame, verdicts="verdict", note=""):
    """A frame as an HTML table in which the column `verdicts` has badges; numbers as `display.Shown` rounds them."""
    shown = display.Shown(frame)
    where = shown.heads.index(verdicts) if verdicts in shown.heads else -1
    head = "".join(f'<th style="{CELL};border-bottom:1px solid">{escape(name)}</th>' for name in shown.heads)
    rows = "".join(
        "<tr>" + "".join(f'<td style="{CELL}">{badge(c) if i == where else escape(c)}</td>' for i, c in enumerate(row)) + "</tr>"
        for row in shown.rows
    )  # fmt: skip
    more = f"{shown.hidden} more rows. " if shown.hidden else ""
    return (
        f'<div style="overflow-x:auto"><table style="border-collapse:collapse"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table><small>{escape(more + note)}</small></div>"
    )
