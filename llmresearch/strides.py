"""Strided windows over a text's token ids: the same plan for every engine, each token scored exactly once."""

from typing import NamedTuple


class Window(NamedTuple):
    """Feed `ids[start:end]`; score the tokens at the places `first` … of that window, counted from 0."""

    start: int
    end: int
    first: int

    @property
    def tokens(self):
        """How many tokens the window scores."""
        return self.end - self.start - self.first


def windows(count, window, stride=None):
    """The list of `Window`s that scores `count` tokens once each; not the text's first, which has no past.

    A window is at most `window` tokens long and begins `stride` tokens after the one before it, so that after
    the first window a scored token has at least `window - stride` tokens of past. A stride as long as the
    window would cut the text into pieces that forget each other, and is refused; the default is half of it.
    """
    stride = window // 2 if stride is None else stride
    if count < 2:
        raise ValueError(f"windows: {count} tokens cannot be scored. A text needs at least 2.")
    if not 1 <= stride < window:
        raise ValueError(f"windows: stride {stride} with window {window}. Choose 1 <= stride < window.")
    plan, scored = [], 1
    for start in range(0, count, stride):
        end = min(start + window, count)
        plan.append(Window(start, end, scored - start))
        scored = end
        if end == count:
            return plan
