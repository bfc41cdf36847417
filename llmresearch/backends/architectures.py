"""A model's config.json from the registry of architectures: enough to start an engine on dummy weights.

The registry (sizer/models.yaml) is read as data; memory depends on a model's shapes, not on its values.
"""

from pathlib import Path

from ..records import LlmResearchError

REGISTRY = Path(__file__).parent.parent / "sizer" / "models.yaml"
# arch of the registry -> (model_type, class) of transformers; only those whose config has no keys beyond these rows
KINDS = {
    "llama": ("llama", "LlamaForCausalLM"),
    "qwen2": ("qwen2", "Qwen2ForCausalLM"),
    "qwen3": ("qwen3", "Qwen3ForCausalLM"),
    "qwen3_moe": ("qwen3_moe", "Qwen3MoeForCausalLM"),
    "olmoe": ("olmoe", "OlmoeForCausalLM"),
    "phi3": ("phi3", "Phi3ForCausalLM"),
    "gpt2": ("gpt2", "GPT2LMHeadModel"),
}
GPT2 = {
    "n_layer": "layers", "n_embd": "hidden", "n_head": "heads", "n_inner": "intermediate",
    "n_positions": "max_positions", "vocab_size": "vocab",
}  # fmt: skip
DECODER = {
    "num_hidden_layers": "layers", "hidden_size": "hidden", "num_attention_heads": "heads",
    "num_key_value_heads": "kv_heads", "head_dim": "head_dim", "intermediate_size": "intermediate",
    "max_position_embeddings": "max_positions", "vocab_size": "vocab",
}  # fmt: skip
SETTLED = {"rms_norm_eps": 1e-6, "hidden_act": "silu", "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


class NoArchitecture(LlmResearchError):
    """A model of which no config can be written."""


def config(source, name):
    """The Hugging Face config (dict) of a model; `source` is its mapping in the parameters, or None.

    `like` names the registry's row (default: the model's own name), `config` has keys that come on top, or the
    whole config where it names its `model_type`.
    """
    given = dict((source or {}).get("config") or {})
    return given if "model_type" in given else _registered((source or {}).get("like", name)) | given


def _registered(name):
    import yaml

    rows = yaml.safe_load(REGISTRY.read_text(encoding="utf-8"))
    row = rows.get(name)
    if row is None or row["arch"] not in KINDS or row.get("vision_params"):
        known = ", ".join(sorted(rows)[:3]) if row is None else ", ".join(KINDS)
        found = "not in the registry of models" if row is None else f"of a kind ({row['arch']}) that needs its own config"
        raise NoArchitecture(
            f"models: {name!r} is {found}. Give `like` with a row of sizer/models.yaml ({known} …), its `config`, "
            "or a `folder` with its weights."
        )
    return _decoder(row) if row["arch"] != "gpt2" else _config(row, GPT2)


def _config(row, names, kind=None):
    model_type, architecture = kind or KINDS[row["arch"]]
    shape = {key: row[column] for key, column in names.items()}
    return {"model_type": model_type, "architectures": [architecture], "torch_dtype": "bfloat16",
            "tie_word_embeddings": bool(row.get("tied"))} | shape  # fmt: skip


def _decoder(row):
    """The config of a decoder with rotary positions; with experts where the row has some."""
    if not row.get("experts"):
        return _config(row, DECODER) | SETTLED
    if row["arch"] == "llama":
        found = _config(row, DECODER, ("mixtral", "MixtralForCausalLM"))
        return found | SETTLED | {
            "intermediate_size": row["moe_intermediate"], "num_local_experts": row["experts"],
            "num_experts_per_tok": row["experts_per_token"], "sliding_window": None,
        }  # fmt: skip
    return _config(row, DECODER) | SETTLED | {
        "intermediate_size": row["intermediate"] or row["moe_intermediate"], "num_experts": row["experts"],
        "num_experts_per_tok": row["experts_per_token"], "moe_intermediate_size": row["moe_intermediate"],
        "norm_topk_prob": True, "decoder_sparse_step": 1, "mlp_only_layers": [],
    }  # fmt: skip
