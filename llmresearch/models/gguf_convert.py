"""A GGUF file into a folder of safetensors, once: reading it through transformers takes most of a minute.

Runs as a process of its own (`python -m llmresearch.models.gguf_convert FILE FOLDER`), so that torch never enters
the caller.
"""

import json
import subprocess
import sys
from pathlib import Path

from .zoo import ModelError

TIMEOUT_S = 1800


def convert(gguf, folder, python=sys.executable):
    """dict of the versions that did it; `folder` then holds configuration, fp32 weights and tokeniser."""
    command = [python, "-m", "llmresearch.models.gguf_convert", str(gguf), str(folder)]
    where = Path(__file__).resolve().parents[2]
    try:
        done = subprocess.run(
            command, cwd=where, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            f"{gguf}: was not converted within {TIMEOUT_S} s. Convert it where there is time."
        ) from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ModelError(
            f"{gguf}: transformers could not convert it ({last}). It needs transformers ≥ 5.23, torch, gguf and "
            "accelerate; or copy a folder that was converted elsewhere into the cache."
        )
    return json.loads(done.stdout.strip().splitlines()[-1])


def _convert(gguf, folder):
    import accelerate
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    source = {
        "pretrained_model_name_or_path": str(gguf.parent),
        "gguf_file": gguf.name,
        "local_files_only": True,
    }
    tokenizer = transformers.AutoTokenizer.from_pretrained(**source)
    model = transformers.AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    _forget_quantisation(model)
    model.config.name_or_path = gguf.stem
    model.save_pretrained(folder, safe_serialization=True, max_shard_size="100GB")
    tokenizer.save_pretrained(folder)
    return {module.__name__: module.__version__ for module in (transformers, torch, accelerate)}


def _forget_quantisation(model):
    """The weights are plain fp32 now; transformers refuses to save what it still believes to be quantised."""
    for holder, name in (
        (model, "hf_quantizer"), (model, "is_quantized"), (model, "quantization_method"),
        (model.config, "quantization_config"), (model.config, "_pre_quantization_dtype"),
    ):  # fmt: skip
        if name in vars(holder):
            delattr(holder, name)


if __name__ == "__main__":
    print(json.dumps(_convert(Path(sys.argv[1]).resolve(), Path(sys.argv[2]))))
