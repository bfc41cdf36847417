"""A MemoryEstimate for people: a table with a bar for every component, as text and as HTML."""

from html import escape

from .formats import GIB

PARTS = ("weights", "activation", "non_torch", "cuda_graphs", "kv_pool")
_COLOURS = {
    "weights": "#4477aa", "activation": "#ee6677", "non_torch": "#bbbbbb", "cuda_graphs": "#ccbb44",
    "kv_pool": "#228833",
}  # fmt: skip
_WORDS = {
    "weights": "weights", "activation": "activation peak", "non_torch": "non-torch",
    "cuda_graphs": "CUDA graphs",
    "kv_pool": "KV cache", "kv_per_token": "KV a token (KiB)", "kv_pool_tokens": "KV cache, tokens",
    "required": "required", "budget": "budget",
}  # fmt: skip
WIDTH = 30


def rows(estimate):
    """[(name, value, low, high, label)] as they are shown: GiB, KiB for a token, whole tokens."""
    shown = []
    for name in (*PARTS, "required", "budget", "kv_per_token", "kv_pool_tokens"):
        part = getattr(estimate, name)
        unit = {"kv_per_token": 2**10, "kv_pool_tokens": 1}.get(name, GIB)
        shown.append((name, part.value / unit, part.low / unit, part.high / unit, part.label))
    return shown


def verdict(estimate):
    """One sentence: fits or not, how sure, and what with."""
    question = estimate.question
    return (
        f"{question.get('model') if isinstance(question.get('model'), str) else 'the model'} on"
        f" {question.get('gpu')}, {question.get('engine')}: {estimate.fits} (P(fit) {estimate.p_fit:.3f});"
        f" requires {estimate.required.gib:.2f} of {estimate.budget.gib:.2f} GiB a GPU."
    )


def text(estimate):
    """The estimate as lines: a bar for each component, then what was assumed and what to change."""
    top = max(estimate.budget.value, estimate.required.value, 1.0)
    lines = [verdict(estimate), ""]
    for name, value, low, high, label in rows(estimate):
        size = getattr(estimate, name).value if name not in ("kv_per_token", "kv_pool_tokens") else 0
        bar = "#" * max(0, min(WIDTH, round(WIDTH * size / top)))
        number = f"{value:>12,.0f}" if name == "kv_pool_tokens" else f"{value:>12.2f}"
        span = f"{low:,.0f} to {high:,.0f}" if name == "kv_pool_tokens" else f"{low:.2f} to {high:.2f}"
        lines.append(f"{_WORDS[name]:<18}{number}  {span:<24} {label:<13}{bar}".rstrip())
    lines += ["", "GiB (2^30 bytes) unless said; 90 % intervals."]
    for title, sentences in (
        ("assumed", estimate.assumed),
        ("wider", estimate.wider),
        ("change", estimate.advice),
    ):
        lines += [f"{title}: {sentence}" for sentence in sentences]
    return "\n".join(lines)


def html(estimate):
    """The estimate as HTML with a stacked bar of the budget, safe to embed."""
    top = max(estimate.budget.value, estimate.required.value, 1.0)
    bars = "".join(
        f'<div title="{_WORDS[name]}" style="background:{_COLOURS[name]};width:{share:.2f}%"></div>'
        for name in PARTS
        if (share := 100 * max(getattr(estimate, name).value, 0.0) / top) > 0
    )
    body = "".join(
        f"<tr><td>{_WORDS[name]}</td><td style='text-align:right'>{value:,.2f}</td>"
        f"<td>{low:,.2f} to {high:,.2f}</td><td>{escape(label)}</td></tr>"
        for name, value, low, high, label in rows(estimate)
    )
    said = "".join(
        f"<li>{escape(line)}</li>" for line in (*estimate.assumed, *estimate.wider, *estimate.advice)
    )
    return (
        f"<div><p>{escape(verdict(estimate))}</p>"
        f'<div style="display:flex;height:18px;width:100%;max-width:640px;border:1px solid #888">{bars}</div>'
        "<table><thead><tr><th>component</th><th>GiB</th><th>90 % interval</th><th>from</th></tr></thead>"
        f"<tbody>{body}</tbody></table><ul>{said}</ul></div>"
    )
