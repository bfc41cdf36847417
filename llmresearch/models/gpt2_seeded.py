"""A GPT-2 of any size, drawn from a seed with numpy: the same bytes on every machine."""

import json
import math
import zlib

import numpy as np

SEED = 20251001  # of every architecture in the zoo; another seed would change the pinned hashes
POSITIONS = 1024  # GPT-2's context, Radford et al. 2019
DEVIATION = 0.02  # of GPT-2's initial weights, ibid.


def write(folder, layers, hidden, heads, vocab, seed=SEED):
    """Nothing; `folder` then holds config.json and model.safetensors (fp32, embeddings tied)."""
    from safetensors.numpy import save_file

    config = _config(layers, hidden, heads, vocab)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    save_file(
        dict(tensors(layers, hidden, vocab, seed)), folder / "model.safetensors", metadata={"format": "pt"}
    )


def tensors(layers, hidden, vocab, seed=SEED):
    """Yields (name, float32 array) for every weight, named as transformers names them.

    Weights are uniform with GPT-2's standard deviation (output projections: divided by √(2·layers)), biases
    0, norms 1. Uniform and not normal, because whole numbers of PCG64 times one constant come out the same on
    every machine and numpy version; a normal draw goes through the platform's exp and log.
    """
    for name, shape in _shapes(layers, hidden, vocab):
        if name.endswith("ln_1.weight") or name.endswith("ln_2.weight") or name.endswith("ln_f.weight"):
            yield name, np.ones(shape, np.float32)
        elif name.endswith(".bias"):
            yield name, np.zeros(shape, np.float32)
        else:
            deviation = DEVIATION / math.sqrt(2 * layers) if name.endswith("c_proj.weight") else DEVIATION
            yield name, _uniform(name, shape, deviation, seed)


def _shapes(layers, hidden, vocab):
    yield "transformer.wte.weight", (vocab, hidden)
    yield "transformer.wpe.weight", (POSITIONS, hidden)
    for layer in range(layers):
        block = f"transformer.h.{layer}"
        for norm in ("ln_1", "ln_2"):
            yield f"{block}.{norm}.weight", (hidden,)
            yield f"{block}.{norm}.bias", (hidden,)
        for name, rows, columns in (
            ("attn.c_attn", hidden, 3 * hidden),
            ("attn.c_proj", hidden, hidden),
            ("mlp.c_fc", hidden, 4 * hidden),
            ("mlp.c_proj", 4 * hidden, hidden),
        ):
            yield f"{block}.{name}.weight", (rows, columns)
            yield f"{block}.{name}.bias", (columns,)
    yield "transformer.ln_f.weight", (hidden,)
    yield "transformer.ln_f.bias", (hidden,)


def _uniform(name, shape, deviation, seed):
    """Odd multiples of 2⁻²⁴ in (-1, 1), times √3·deviation: exact but for one rounding of one product."""
    source = np.random.PCG64(np.random.SeedSequence([seed, zlib.crc32(name.encode())]))
    count = math.prod(shape)
    raw = source.random_raw((count + 1) // 2).astype("<u8").view("<u4")[:count]
    whole = (raw >> np.uint32(8)).astype(np.int32) * 2 - (2**24 - 1)
    return (whole.astype(np.float32) * np.float32(math.sqrt(3) * deviation / 2**24)).reshape(shape)


def _config(layers, hidden, heads, vocab):
    return {
        "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "activation_function": "gelu_new",
        "vocab_size": vocab, "n_positions": POSITIONS, "n_embd": hidden, "n_layer": layers, "n_head": heads,
        "n_inner": None, "layer_norm_epsilon": 1e-05, "attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0,
        "initializer_range": DEVIATION, "scale_attn_weights": True, "use_cache": True, "tie_word_embeddings": True,
        "bos_token_id": vocab - 1, "eos_token_id": vocab - 1, "dtype": "float32",
    }  # fmt: skip
