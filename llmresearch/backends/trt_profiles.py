"""Which shapes an engine is built for: from the requests that a process will make, before anything is built.

An engine has two profiles. `whole` takes 1 … T tokens at once: prompts, uncached generation, texts that are scored.
`step` takes one token, so that the builder chooses its kernels for that alone. The cache has as many slots as
the longest request needs.
"""

from dataclasses import asdict, dataclass

from ..records import LlmResearchError

AT_ONCE = 128  # tokens that one call takes when a text is scored; an engine always covers a forced text as short as this
ROOM = 64  # slots at least, so that a short cell's forced tokens fit as well
LIMITS = ("batch", "tokens", "slots")  # of the option `profile`


class ProfileError(LlmResearchError):
    """Shapes for which an engine is not built."""


@dataclass(frozen=True)
class Profiles:
    """The least, best and most of each size over both profiles: [rows], [tokens at once], [slots of the cache]."""

    batch: tuple
    tokens: tuple
    slots: tuple

    def lacks(self, batch, tokens, slots):
        """A sentence that says what these profiles do not cover, or None."""
        asked = {"batch": batch, "tokens": tokens, "slots": slots}
        for name, wanted in asked.items():
            least, _, most = getattr(self, name)
            if not least <= wanted <= most:
                return (f"no valid profile: {name} {wanted} is outside {least} … {most}. "
                        "Build with options.profile that covers it, or ask for less.")  # fmt: skip
        return None

    def sizes(self, profile):
        """{axis of the graph: (least, best, most)} of one profile, `whole` or `step`."""
        tokens = self.tokens if profile == "whole" else (1, 1, 1)
        rows = (1, 1, tokens[2])
        return {"batch": self.batch, "token": tokens, "slot": self.slots, "row": rows}

    def as_json(self):
        return {name: list(value) for name, value in asdict(self).items()}


def needs(cell, ids=None):
    """(batch, tokens at once, slots) that a cell asks for; `ids` where its prompt is not a number of seeded ones."""
    batch = len(ids) if ids else getattr(cell, "batch", 1)
    prompt = len(ids[0]) if ids else cell.prompt_tokens or 1
    whole = prompt + cell.new_tokens
    uncached = whole - 1 if "generate" in getattr(cell, "phases", ("generate",)) else prompt
    window = (getattr(cell, "score", None) or {}).get("window", 0)
    return batch, max(prompt, uncached), max(whole, window, ROOM)


def profiles(requests, positions=None, limits=None):
    """Profiles that cover the requests, [(batch, tokens, slots)]; `positions`: slots that the model can fill.

    With the option `profile` ({batch, tokens, slots}, each the most) an engine is built for those and no others:
    ProfileError where a request does not fit. A request longer than `positions` is left for its own cell to refuse.
    """
    most = positions or max(slots for _, _, slots in requests) + AT_ONCE
    batches = [batch for batch, _, _ in requests]
    tokens = [min(asked, most) for _, asked, _ in requests]
    slots = [min(asked, most) for _, _, asked in requests]
    found = Profiles(
        (min(batches), max(batches), max(batches)),
        (1, max(tokens), min(max(*tokens, AT_ONCE), most)),
        (min(*slots, ROOM, most), max(slots), min(max(*slots, AT_ONCE), most)),
    )
    return _limited(found, requests, limits) if limits else found


def _limited(found, requests, limits):
    limits = {name: limits.get(name, getattr(found, name)[2]) for name in LIMITS}
    bound = Profiles((1, min(found.batch[1], limits["batch"]), limits["batch"]),
                     (1, min(found.tokens[1], limits["tokens"]), limits["tokens"]),
                     (1, min(found.slots[1], limits["slots"]), limits["slots"]))  # fmt: skip
    for request in requests:
        lack = bound.lacks(*request)
        if lack:
            raise ProfileError(f"profile: {lack}")
    return bound


def refusal(cell, ids=None):
    """What is wrong with a cell's option `profile`, or with the cell under it: the end of a sentence, or None."""
    limits = cell.options.get("profile")
    if limits is None:
        return None
    if not isinstance(limits, dict) or set(limits) - set(LIMITS):
        return f"profile: {limits!r} is no mapping of {', '.join(LIMITS)}."
    for name, value in limits.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            return f"profile: {name}: {value!r} is not a whole number from 1 up."
    try:
        profiles([needs(cell, ids)], limits=limits)
    except ProfileError as error:
        return str(error)
    return None
