"""The sizer's error beside other people's: accelerate, hf-mem and the two formulas of the plan, on the same
rows.

    python benchmarks/sizer_peers.py [OUT.csv]

Truth: weights + activation peak + non-torch, and the cache of one sequence of 1,024 tokens, of every profile
that the thresholds are about (vLLM, one row a model and format). accelerate's and hf-mem's own code runs, on
models built from local configurations, since there is no hub: accelerate's `calculate_maximum_sizes` on the
empty model, hf-mem's parser and KV formula on the header that the model's checkpoint would have. Both count
weights (hf-mem with the cache); what they leave out is part of their error, because their users compare the
number with a GPU. hf-mem is skipped, and said, where it is not installed: pip install hf-mem.
"""

import sys

import numpy as np
import pandas as pd

from llmresearch.sizer import estimate, find_model, legacy, validation
from llmresearch.sizer.formats import GIB, weight_format

TOKENS = 1024
UNQUANTISED = ("embed", "lm_head", "norm", "router", "gate.")
_TYPES = {
    "llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "gemma": "gemma", "gemma2": "gemma2",
    "gemma3": "gemma3_text",
    "phi": "phi", "phi3": "phi3", "qwen2_moe": "qwen2_moe", "qwen3_moe": "qwen3_moe",
    "deepseek_v2": "deepseek_v2",
    "gpt_oss": "gpt_oss", "opt": "opt",
}  # fmt: skip


def config_of(spec):
    """The transformers configuration of a registry row (its text part), or None for architectures without one
    here.
    """
    from transformers import AutoConfig

    if spec.arch not in _TYPES:
        return None
    kind = "mixtral" if spec.arch == "llama" and spec.experts else _TYPES[spec.arch]
    values = {
        "hidden_size": spec.hidden, "num_hidden_layers": spec.layers, "num_attention_heads": spec.heads,
        "num_key_value_heads": spec.kv_heads, "head_dim": spec.head_dim, "vocab_size": spec.vocab,
        "intermediate_size": spec.intermediate or spec.moe_intermediate, "tie_word_embeddings": spec.tied,
        "max_position_embeddings": spec.max_positions,
    }  # fmt: skip
    if spec.arch == "phi":
        values.pop("head_dim")
    if spec.experts:
        values |= dict.fromkeys(("num_local_experts", "num_experts", "n_routed_experts"), spec.experts)
        values |= {"num_experts_per_tok": spec.experts_per_token, "first_k_dense_replace": spec.first_dense}
        values |= {"moe_intermediate_size": spec.moe_intermediate, "n_shared_experts": spec.shared_experts}
        values |= {"shared_expert_intermediate_size": spec.shared_intermediate}
    if spec.kv_lora:
        values |= {"kv_lora_rank": spec.kv_lora, "q_lora_rank": spec.q_lora or None, "v_head_dim": spec.v_dim}
        values |= {"qk_rope_head_dim": spec.rope_dim, "qk_nope_head_dim": spec.nope_dim}
    return AutoConfig.for_model(kind, **values)


def empty_model(config):
    """The model of a configuration without memory behind its weights."""
    from accelerate import init_empty_weights
    from transformers import AutoModelForCausalLM

    with init_empty_weights(include_buffers=False):
        return AutoModelForCausalLM.from_config(config)


def accelerate_bytes(model, form):
    """What `accelerate estimate-memory` prints for a model and type: its size in fp32 divided as it
    divides.
    """
    from accelerate.utils import calculate_maximum_sizes

    total, _ = calculate_maximum_sizes(model.float())
    divide = {"fp32": 1, "fp16": 2, "bf16": 2}
    return total / divide.get(form, 4 if weight_format(form).bits >= 8 else 8)


def hf_mem_bytes(config, model, form):
    """hf-mem's weights and cache of one sequence, its code run on the header a checkpoint of the model would
    have.
    """
    from hf_mem.safetensors.kv_cache import compute_safetensors_kv_cache_size
    from hf_mem.safetensors.metadata import parse_safetensors_metadata

    bits = weight_format(form).bits
    plain = "F32" if bits == 32 else "BF16"
    stored = plain if bits >= 16 else "F8_E4M3" if bits >= 8 else "U8"
    header = {}
    for name, tensor in model.named_parameters():
        quantised = tensor.dim() > 1 and not any(word in name for word in UNQUANTISED)
        shape = list(tensor.shape)
        if stored == "U8" and quantised:
            shape[-1] //= 2
        header[name] = {"dtype": stored if quantised else plain, "shape": shape}
    metadata = parse_safetensors_metadata({"Transformer": header})
    cache = compute_safetensors_kv_cache_size(
        config=config.to_dict(), cache_dtype="BF16", max_model_len=TOKENS, batch_size=1
    )  # fmt: skip
    return metadata.bytes_count + cache


def _row(row, models):
    spec, form = find_model(row.model), row.weight_format
    cache = TOKENS * estimate(row.model).kv_per_token.value
    truth = row.non_kv_measured * GIB + cache
    config, model = models(spec)
    guesses = {
        "this sizer": row.non_kv_left_out * GIB + cache,
        "legacy-8pct": legacy.legacy_8pct(row.model, weight_format=form) * 1e9,
        "legacy-plan": legacy.legacy_plan(row.model, weight_format=form) * 1e9,
        "accelerate": accelerate_bytes(model, form) if model is not None else np.nan,
        "hf-mem": _hf_mem(config, model, form) if model is not None else np.nan,
    }
    return {"model": row.model, "format": form, "measured_gib": truth / GIB} | {
        name: 100 * (guess / truth - 1) for name, guess in guesses.items()
    }


def _hf_mem(config, model, form):
    try:
        return hf_mem_bytes(config, model, form)
    except ImportError:
        return np.nan


def _models():
    built = {}

    def get(spec):
        if spec.name not in built:
            config = config_of(spec)
            built[spec.name] = config, None if config is None else empty_model(config)
        return built[spec.name]

    return get


def compare():
    """Signed errors in percent, a row a model and format, one GPU, family left out for this sizer."""
    rows = validation.judged(validation.table())
    rows = rows[rows.non_kv_measured.notna() & (rows.tp == 1) & (rows.pp == 1)]
    rows = rows.drop_duplicates(["model", "weight_format"])
    models = _models()
    return pd.DataFrame([_row(row, models) for row in rows.itertuples()])


def summary(errors):
    """Mean, median and largest absolute error of every method, and on how many rows it answered."""
    methods = errors.columns[3:]
    sizes = errors[methods].abs()
    found = {"rows": sizes.count(), "mean": sizes.mean(), "median": sizes.median(), "largest": sizes.max()}
    return pd.DataFrame(found)


def main(out=None):
    errors = compare()
    print(errors.round(1).to_string(index=False))
    print(summary(errors).round(1).to_string())
    if out:
        errors.to_csv(out, index=False)


if __name__ == "__main__":
    main(*sys.argv[1:2])
