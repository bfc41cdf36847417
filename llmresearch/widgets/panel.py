"""The calculator's answer as HTML: verdict, stacked bar, what follows, why. Every number is the sizer's."""

from html import escape

from ..reporting.display import estimate as shown
from ..sizer.formats import GIB
from ..sizer.shown import PARTS

WORDS = {
    "weights": "Weights", "activation": "Activation peak", "non_torch": "Outside PyTorch",
    "cuda_graphs": "CUDA graphs", "kv_pool": "KV cache", "required": "Required", "budget": "Budget",
    "kv_per_token": "KV cache a token", "kv_pool_tokens": "KV cache, tokens",
}  # fmt: skip
MARKS = {"fits": ("good", "✓"), "tight": ("close", "!"), "does not fit": ("bad", "✗")}
WIDE, HIGH = 1000, 46


def answer(found):
    """The HTML of an Overview, safe to embed: what people wrote is escaped."""
    return "".join((_verdict(found.estimate), bar(found.estimate), _cards(found), _table(found), _notes(found)))


def _verdict(estimate):
    kind, sign = MARKS[estimate.fits]
    return (
        f'<p class="lr-verdict lr-{kind}"><span class="lr-badge"><span aria-hidden="true">{sign}</span> '
        f'<b data-lr="fits">{estimate.fits}</b></span> <span>P(fit) <b data-lr="p-fit">{estimate.p_fit:.3f}</b></span> '
        f'<span>requires <b data-lr="required">{estimate.required.gib:.2f}</b> of '
        f'<b data-lr="budget">{estimate.budget.gib:.2f}</b> GiB a GPU</span></p>'
    )


def bar(estimate):
    """The stacked bar as SVG: a segment a component with its interval, lines at the budget and the requirement."""
    sizes = {name: max(getattr(estimate, name).value, 0.0) for name in PARTS}
    top = 1.03 * max(sum(sizes.values()), estimate.budget.value, estimate.required.value, 1.0)
    drawn, start = [], 0.0
    for name, size in sizes.items():
        drawn.append(_segment(name, getattr(estimate, name), start, size, WIDE / top))
        start += size
    lines = [_line(estimate, name, WIDE / top) for name in ("budget", "required")]
    said = "; ".join(f"{WORDS[name]} {_size(getattr(estimate, name))}" for name in (*PARTS, "required", "budget"))
    return (
        f'<svg class="lr-bar" viewBox="0 0 {WIDE} {HIGH}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(said)}">{"".join(drawn)}{"".join(lines)}</svg>'
        f'<p class="lr-key" aria-hidden="true">{_key()}</p>'
    )


def _segment(name, part, start, size, scale):
    """A rectangle, and below it its 90 % interval around its end."""
    if size <= 0:
        return ""
    low, high = (start + max(0.0, edge) for edge in (part.low, part.high))
    title = escape(f"{WORDS[name]}: {_size(part)}, {part.label}")
    return (
        f'<g class="lr-{name}"><title>{title}</title>'
        f'<rect x="{start * scale:.2f}" y="6" width="{size * scale:.2f}" height="26"/>'
        f'<line x1="{low * scale:.2f}" x2="{min(WIDE, high * scale):.2f}" y1="39" y2="39"/></g>'
    )


def _line(estimate, name, scale):
    at = getattr(estimate, name).value * scale
    return f'<line class="lr-{name}" x1="{at:.2f}" x2="{at:.2f}" y1="0" y2="{HIGH}"/>'


def _key():
    parts = "".join(f'<span><i class="lr-swatch lr-{name}"></i>{WORDS[name]}</span>' for name in PARTS)
    lines = "".join(f'<span><i class="lr-rule lr-{name}"></i>{WORDS[name]}</span>' for name in ("required", "budget"))
    return f"{parts}{lines}<span>thin lines: 90 % intervals</span>"


def _size(part):
    return shown(part.value, part.low, part.high, "B")


def _tokens(part):
    return f"{part.value:,.0f} [{part.low:,.0f}, {part.high:,.0f}]"


def _kib(size):
    return f"{size / 2**10:,.4g} KiB"


def _cards(found):
    """What follows from the estimate: a name, a number, what it is."""
    question = found.estimate.question
    spared, speed = found.kv_saving, found.speed
    rows = [
        ("max-context", "Longest context", f"{found.max_context:,} tokens", f"{question['batch']} at once"),
        ("max-concurrency", "Sequences at once", f"{found.max_concurrency:,}", "of the asked length"),
        ("kv-saving", "8-bit KV cache", f"{spared.share:.0%} less" if spared else "none", _spared(found)),
    ]
    for name, title in (("ttft_seconds", "First token"), ("tpot_seconds", "A further token")):
        number, note = ("unknown", found.silent.get("speed", "")) if speed is None else _time(speed, name)
        rows.append((name.split("_")[0], title, number, note))
    cards = (
        f'<li><span>{title}</span><b data-lr="{name}">{escape(number)}</b><small>{escape(note)}</small></li>'
        for name, title, number, note in rows
    )
    return f'<ul class="lr-cards">{"".join(cards)}</ul>'


def _spared(found):
    spared = found.kv_saving
    if spared is None:
        return found.silent["kv_saving"]
    return f"{_kib(spared.per_token)} a token, {shown(spared.load, unit='B')} of this load"


def _time(speed, name):
    low, value, high = getattr(speed, name)
    number, _, span = shown(value, low, high, "s").partition(" [")
    kind = "TTFT" if name == "ttft_seconds" else "TPOT"
    return number, f"{kind} [{span}, {speed.label} by a roofline"


def _table(found):
    """Every component with its interval and label; its formula and provenance open below it."""
    rows = "".join(_why(name, getattr(found.estimate, name), found.why[name]) for name in (*PARTS, *_AFTER))
    return f'<section aria-label="Components and why"><h2>What it is made of, and why</h2>{rows}</section>'


_AFTER = ("required", "budget", "kv_per_token", "kv_pool_tokens")


def _why(name, part, why):
    kinds = {"kv_pool_tokens": _tokens, "kv_per_token": lambda part: _kib(part.value)}
    size = kinds.get(name, _size)(part)
    return (
        f'<details class="lr-why" data-part="{name}"><summary title="{escape(why.formula)}">'
        f'<i class="lr-swatch lr-{name}"></i><span>{WORDS[name]}</span><b>{escape(size)}</b>'
        f"<em>{escape(part.label)}</em></summary>"
        f"<p>{escape(why.formula)}</p><p>{escape(why.numbers)}</p><p>Source: {escape(why.source)}.</p></details>"
    )


def _notes(found):
    estimate = found.estimate
    parts = (("Change", estimate.advice), ("Assumed", estimate.assumed), ("Wider", estimate.wider))
    return "".join(
        f"<h2>{title}</h2><ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"
        for title, lines in parts if lines
    )  # fmt: skip


def advanced(found):
    """The overhead breakdown as HTML."""
    rows = "".join(
        f"<tr><th scope='row'>{escape(name)}</th><td>{size / GIB:.2f} GiB</td></tr>" for name, size in found.overhead.items()
    )
    return (
        f"<table><caption>Overhead: of the prefill and sampler peaks the larger counts</caption><tbody>{rows}</tbody></table>"
    )


def experts(found):
    """A sentence on a mixture of experts as HTML; "" for a dense model."""
    facts = found.mixture
    if not facts:
        return ""
    shared = f" (+ {facts['shared_experts']:,} shared)" if facts["shared_experts"] else ""
    return (
        f"<p>A mixture: {facts['experts']:,} experts, {facts['experts_per_token']:,} a token{shared};"
        f" {facts['active']:,} of {facts['parameters']:,} weights are active.</p>"
    )
