"""What an engine in process wants of a prompt: rows of one length, of ids that the model has, and room for the answer."""

from ..records import LlmResearchError


class NoBatch(LlmResearchError):
    """A prompt that the model cannot take in one forward, or that leaves no room for its answer."""


def batch_of(name, ids, vocabulary):
    """(rows, tokens of a row) of ids[batch][token]; refuses rows of several lengths, empty ones and ids it has not."""
    lengths = [len(row) for row in ids]
    if len(set(lengths)) != 1 or not lengths[0]:
        raise NoBatch(f"{name}: prompts of {lengths} tokens are no batch. Give rows of one length.")
    strange = next((one for row in ids for one in row if not 0 <= one < vocabulary), None)
    if strange is not None:
        raise NoBatch(f"{name}: id {strange} is outside the vocabulary of {vocabulary}. Use this model's own ids.")
    return len(lengths), lengths[0]


def within(name, tokens, positions):
    """Nothing; refuses a prompt and its answer that are longer together than the model's positions (None: any number)."""
    if positions and tokens > positions:
        raise NoBatch(f"{name}: {tokens} tokens asked, prompt and answer together; the model has {positions} positions. "
                      "Shorten prompt_tokens or new_tokens.")  # fmt: skip
