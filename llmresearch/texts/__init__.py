"""The texts that the package ships: one to score models on, another to calibrate quantised engines with."""

from functools import cache
from importlib.resources import files

from ..records import LlmResearchError

WIKITEXT = "Salesforce/wikitext", "wikitext-2-raw-v1/{part}-00000-of-00001.parquet"  # on the Hugging Face hub


class TextError(LlmResearchError):
    """A text that is not here and cannot be fetched."""


@cache
def read_text(name):
    """The text called `name`, 'evaluation' or 'calibration': about 600 words of plain English each, our own.

    They share no sentence, so an engine that was calibrated on the one can be judged on the other.
    """
    if name not in ("evaluation", "calibration"):
        raise TextError(f"texts: no text is called {name!r}. There are 'evaluation' and 'calibration'.")
    return files(__package__).joinpath(f"{name}.txt").read_text(encoding="utf-8")


def wikitext2(part="test"):
    """WikiText-2 (raw), from the hub or its cache: judge on 'test', calibrate on 'train' or 'validation'."""
    if part not in ("train", "validation", "test"):
        raise TextError(f"texts: WikiText-2 has no part {part!r}. There are 'train', 'validation', 'test'.")
    from huggingface_hub import errors, hf_hub_download
    from pyarrow import parquet

    repository, path = WIKITEXT
    try:
        file = hf_hub_download(repository, path.format(part=part), repo_type="dataset")
    except (OSError, errors.HfHubHTTPError, errors.LocalEntryNotFoundError) as error:
        raise TextError(
            f"texts: WikiText-2 is not in the cache, and the hub did not give it ({type(error).__name__}). "
            "Use read_text('evaluation'), which ships with the package."
        ) from error
    return "".join(parquet.read_table(file, columns=["text"])["text"].to_pylist())
