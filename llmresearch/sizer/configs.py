"""A model's architecture from its own files: a Hugging Face config, a safetensors header, a GGUF header."""

import functools
import json
from dataclasses import replace
from pathlib import Path

from .formats import SizerError
from .headers import gguf_header, safetensors_tensors
from .specs import ModelSpec
from .tensors import count

# What model_type (or the architecture's name in a GGUF file) is laid out like.
_ARCHS = {
    "mistral": "llama", "mixtral": "llama", "llama": "llama", "yi": "llama", "internlm2": "llama",
    "solar": "llama",
    "granite": "llama", "granitemoe": "llama", "smollm3": "llama", "mistral3": "llama", "ministral": "llama",
    "qwen": "qwen", "qwen2": "qwen2", "qwen2_moe": "qwen2_moe", "qwen2_vl": "qwen2", "qwen2_5_vl": "qwen2",
    "qwen2_vl_text": "qwen2", "qwen2_5_vl_text": "qwen2", "qwen3": "qwen3", "qwen3_moe": "qwen3_moe",
    "qwen3_vl_text": "qwen3", "qwen3_vl_moe_text": "qwen3_moe", "qwen3_next": "qwen3_next", "gemma": "gemma",
    "gemma2": "gemma2", "gemma3": "gemma3", "gemma3_text": "gemma3", "phi": "phi", "phi3": "phi3",
    "phimoe": "phimoe",
    "cohere": "cohere", "cohere2": "cohere", "falcon": "falcon", "olmo2": "olmo2", "olmo3": "olmo2",
    "olmoe": "olmoe",
    "deepseek_v2": "deepseek_v2", "deepseek_v3": "deepseek_v3", "deepseek2": "deepseek_v3",
    "kimi_k2": "deepseek_v3",
    "kimi_vl": "deepseek_v3", "glm4_moe": "glm4_moe", "gpt_oss": "gpt_oss", "minimax_m2": "minimax_m2",
    "llama4": "llama4", "llama4_text": "llama4", "gpt2": "gpt2", "opt": "opt", "gpt_neox": "gpt_neox",
    "starcoder2": "starcoder2", "dbrx": "dbrx", "mllama": "mllama", "mllama_text_model": "mllama",
    "qwen2moe": "qwen2_moe",
    "qwen3moe": "qwen3_moe", "gptoss": "gpt_oss", "gpt-oss": "gpt_oss", "command-r": "cohere",
    "gptneox": "gpt_neox",
}  # fmt: skip
_TIED = {
    "gemma",
    "gemma2",
    "gemma3",
    "cohere",
    "gpt2",
    "opt",
    "falcon",
    "falcon_new",
}  # tied unless the config says otherwise
_NAMES = {
    "layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "hidden": ("hidden_size", "n_embd", "d_model", "dim"),
    "heads": ("num_attention_heads", "n_head", "n_heads"),
    "vocab": ("vocab_size", "padded_vocab_size"),
    "kv_heads": ("num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num"),
    "intermediate": ("intermediate_size", "ffn_hidden_size", "n_inner", "ffn_dim", "ffn_hidden",
    "intermediate_size_mlp"),
    "max_positions": ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length",
    "model_max_length"),
    "experts": ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"),
    "experts_per_token": ("num_experts_per_tok", "num_experts_per_token", "experts_per_token", "moe_top_k"),
    "moe_intermediate": ("moe_intermediate_size", "expert_intermediate_size"),
    "first_dense": ("first_k_dense_replace",),
    "sliding_window": ("sliding_window", "attention_chunk_size"),
}  # fmt: skip


def is_file(model):
    """Whether `model` names a file or a folder rather than a model."""
    if isinstance(model, Path):
        return True
    text = str(model)
    return text.endswith((".json", ".gguf", ".safetensors")) or Path(text).is_dir()


def from_file(path):
    """The ModelSpec of a config.json, a folder with one, a GGUF file, or a safetensors file beside its
    config.

    Raises SizerError where the file is absent or is none of them.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "config.json"
    if not path.is_file():
        raise SizerError(
            f"model: there is no file {path}; give a config.json, a GGUF file, or a registry name."
        )
    return _read(str(path), path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _read(path, _modified):
    if path.endswith(".gguf"):
        return from_gguf(gguf_header(path), name=Path(path).stem)
    if path.endswith(".safetensors"):
        return _with_params(
            from_file(Path(path).with_name("config.json")),
            sum(n for _, n in safetensors_tensors(path).values()),
        )
    try:
        config = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise SizerError(f"model: {path} is not JSON ({error}); give a Hugging Face config.json.") from error
    if not isinstance(config, dict):
        raise SizerError(f"model: {path} holds no mapping; give a Hugging Face config.json.")
    return from_config(config, Path(path).parent.name or "config")


def _with_params(spec, params):
    said = f"the safetensors header holds {params:,} values where the config implies {count(spec):,}"
    packed = abs(params / count(spec) - 1) > 3e-5
    return replace(spec, params=params, assumed=(*spec.assumed, *((said,) if packed else ())))


def from_hub(repo):
    """The ModelSpec of a model on the Hugging Face hub, from its config.json (package huggingface_hub)."""
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise SizerError(f"model: reading {repo} from the hub needs huggingface_hub; install it.") from error
    return from_file(hf_hub_download(repo, "config.json"))


def from_config(config, name=None):
    """The ModelSpec of a mapping with the keys of a Hugging Face config; what it had to assume is in
    `assumed`.

    Raises SizerError where a field is missing without which there is no answer, or where fields contradict.
    """
    text = _text_part(config)
    kind = str(text.get("model_type") or config.get("model_type") or "").lower()
    assumed = []
    arch = _arch(kind, text, assumed)
    text = _with_defaults(text, arch, assumed)
    got = {field: _first(text, names) for field, names in _NAMES.items()}
    for field in ("layers", "hidden", "heads", "vocab"):
        if got[field] is None:
            raise SizerError(
                f"model: the config has no {_NAMES[field][0]}; without it there is no answer. Add it."
            )
    _positive(got)
    values = _shape(text, got, arch, assumed)
    values |= _mixture(text, got, arch, values, assumed) | _latent(text) | _windows(text, got, arch, values)
    values |= _delta(text)
    spec = ModelSpec(
        name=str(name or config.get("_name_or_path") or kind or "config"), arch=arch, family=kind or "config",
        quantised_as=_quantised(config.get("quantization_config") or text.get("quantization_config")),
        source="the config given", assumed=tuple(assumed), **values,
    )  # fmt: skip
    return _with_vision(spec, config)


# What published configs leave to transformers' own defaults (its configuration classes).
_DEFAULTS = {
    "gemma": {"head_dim": 256},
    "gemma2": {"head_dim": 256},
    "gemma3": {
        "head_dim": 256,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "vocab_size": 262208,
        "max_position_embeddings": 131072,
    },
    "qwen3": {"head_dim": 128},
    "glm4_moe": {"head_dim": 128},
    "glm4_moe_air": {"head_dim": 128},
}


def _with_defaults(text, arch, assumed):
    left = {key: value for key, value in _DEFAULTS.get(arch, {}).items() if text.get(key) is None}
    if left and text.get("hidden_size"):
        said = ", ".join(f"{key} {value}" for key, value in left.items())
        assumed.append(f"left out by the config, as transformers has it: {said}")
    return text | left


def _text_part(config):
    for key in ("text_config", "llm_config", "language_config", "thinker_config"):
        if isinstance(config.get(key), dict):
            outer = {k: v for k, v in config.items() if k in ("tie_word_embeddings", "quantization_config")}
            return _text_part(outer | config[key])
    return config


def _first(config, names):
    return next((config[name] for name in names if config.get(name) is not None), None)


def _positive(got):
    for field, value in got.items():
        if value is None or field in ("first_dense", "sliding_window"):
            continue
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or value < 0
            or (value == 0 and field != "experts")
        ):
            raise SizerError(
                f"model: the config's {_NAMES[field][0]} is {value!r}; it must be a positive number."
            )


def _arch(kind, text, assumed):
    arch = _ARCHS.get(kind)
    if kind == "falcon" and text.get("new_decoder_architecture"):
        arch = "falcon_new"
    if kind == "cohere" and text.get("use_qk_norm"):
        arch = "cohere_qk"
    if kind == "glm4_moe" and not text.get("use_qk_norm", False):
        arch = "glm4_moe_air"
    if arch is None:
        assumed.append(f"model_type {kind!r} is not known here: laid out like Llama, which adds no biases")
        arch = "qwen2" if text.get("attention_bias") else "llama"
    return arch


def _shape(text, got, arch, assumed):
    heads, hidden = int(got["heads"]), int(got["hidden"])
    kv_heads = _kv_heads(text, got, arch, heads, assumed)
    head_dim = text.get("head_dim") or text.get("attention_head_dim") or text.get("kv_channels")
    if head_dim is None:
        if hidden % heads and not text.get("kv_lora_rank"):
            raise SizerError(
                f"model: hidden_size {hidden} is not a multiple of num_attention_heads {heads} and the config"
                " has no head_dim; add head_dim or correct one of them."
            )
        head_dim = hidden // heads
    if heads % kv_heads:
        raise SizerError(
            f"model: num_attention_heads {heads} is not a multiple of num_key_value_heads {kv_heads};"
            " correct one of them."
        )
    positions = got["max_positions"]
    if positions is None:
        assumed.append("no max_position_embeddings: any context is answered")
    tied = text.get("tie_word_embeddings")
    return {
        "layers": int(got["layers"]), "hidden": hidden, "heads": heads, "kv_heads": kv_heads,
        "head_dim": int(head_dim),
        "intermediate": _intermediate(got, arch, hidden, assumed), "vocab": int(got["vocab"]),
        "tied": bool(tied) if tied is not None else arch in _TIED, "max_positions": int(positions or 0),
        "extended_positions": _extended(text, positions), "rope_rows": _rope_rows(text, arch,
        int(positions or 0)),
    }  # fmt: skip


def _kv_heads(text, got, arch, heads, assumed):
    if arch == "falcon" and text.get("multi_query", True):
        return 1
    if got["kv_heads"] is not None:
        return int(got["kv_heads"])
    if arch not in ("gpt2", "opt", "gpt_neox", "phi", "qwen"):
        assumed.append(
            f"no num_key_value_heads: every one of the {heads} heads has its own, as transformers reads it"
        )
    return heads


def _intermediate(got, arch, hidden, assumed):
    width = got["intermediate"]
    if arch == "qwen" and width:
        return int(width) // 2
    if width is None and arch in ("gpt2", "opt", "falcon", "falcon_new"):
        return 4 * hidden
    if width is None and not (got["experts"] and got["moe_intermediate"]):
        assumed.append(f"no intermediate_size: {4 * hidden}, four times the hidden size")
        return 4 * hidden
    return int(width or 0)


def _extended(text, positions):
    scaling = text.get("rope_scaling") or {}
    factor = scaling.get("factor") if isinstance(scaling, dict) else None
    original = scaling.get("original_max_position_embeddings") if isinstance(scaling, dict) else None
    return int(original * factor) if factor and original and original * factor > (positions or 0) else 0


def _rope_rows(text, arch, positions):
    """Rows of the tables of cosines where an extension or multimodal positions make them longer; else 0."""
    scaling = text.get("rope_scaling") or text.get("rope_parameters") or {}
    scaling = scaling.get("full_attention", scaling)
    kind = scaling.get("rope_type") or scaling.get("type")
    if scaling.get("mrope_section"):
        return 4 * positions
    if kind == "linear" and scaling.get("factor"):
        return int(positions * (scaling["factor"] + (1 if arch == "gemma3" else 0)))
    return 0


def _mixture(text, got, arch, values, assumed):
    if not got["experts"] or int(got["experts"]) <= 1:
        return {}
    experts, per_token = int(got["experts"]), got["experts_per_token"]
    if per_token is None:
        assumed.append("no num_experts_per_tok: 2 experts a token")
        per_token = 2
    if per_token > experts:
        raise SizerError(
            f"model: num_experts_per_tok {per_token} is more than the {experts} experts; correct one of them."
        )
    inner = int(got["moe_intermediate"] or values["intermediate"])
    shared = int(
        text.get("n_shared_experts") or text.get("num_shared_experts") or (1 if arch == "llama4" else 0)
    )
    width = int(text.get("shared_expert_intermediate_size") or shared * inner)
    every = int(text.get("interleave_moe_layer_step") or text.get("decoder_sparse_step") or 1)
    dense = int(text.get("intermediate_size_mlp") or values["intermediate"])
    all_moe = not got["first_dense"] and every == 1
    return {
        "experts": experts, "experts_per_token": int(per_token), "moe_intermediate": inner,
        "shared_experts": shared,
        "shared_intermediate": width, "first_dense": int(got["first_dense"] or 0), "moe_every": every,
        "intermediate": 0 if all_moe else dense,
    }  # fmt: skip


def _latent(text):
    if not text.get("kv_lora_rank"):
        return {}
    rope, nope = int(text.get("qk_rope_head_dim") or 64), int(text.get("qk_nope_head_dim") or 128)
    return {
        "kv_lora": int(text["kv_lora_rank"]), "q_lora": int(text.get("q_lora_rank") or 0), "rope_dim": rope,
        "nope_dim": nope, "v_dim": int(text.get("v_head_dim") or 128), "head_dim": rope + nope,
        "trust_remote_code": True,
    }  # fmt: skip


def _windows(text, got, arch, values):
    """The sliding window and how many layers see everything: by layer_types, a pattern, the architecture."""
    window, layers = got["sliding_window"], values["layers"]
    kinds = text.get("layer_types")
    if kinds is not None and len(kinds) != layers:
        raise SizerError(
            f"model: layer_types has {len(kinds)} entries for {layers} layers; correct one of them."
        )
    if not window or text.get("use_sliding_window") is False:
        return {}
    if kinds is not None:
        full = sum(kind == "full_attention" for kind in kinds)
    elif text.get("no_rope_layers"):
        full = sum(not rope for rope in text["no_rope_layers"])
    else:
        every = text.get("sliding_window_pattern") or {
            "gemma2": 2,
            "gemma3": 6,
            "gpt_oss": 2,
            "llama4": 4,
        }.get(arch)
        every = every or (4 if text.get("model_type") == "cohere2" else 0)
        full = layers // int(every) if every else 0
    return {} if full == layers else {"sliding_window": int(window), "full_attention_layers": full}


def _delta(text):
    kinds = text.get("layer_types") or []
    linear = sum("linear" in str(kind) for kind in kinds)
    if text.get("linear_num_value_heads") and not kinds:
        linear = int(text["num_hidden_layers"]) * 3 // 4
    if not linear:
        return {}
    return {
        "linear_layers": linear, "full_attention_layers": int(text["num_hidden_layers"]) - linear,
        "linear_key_heads": int(text.get("linear_num_key_heads") or 16),
        "linear_value_heads": int(text.get("linear_num_value_heads") or 32),
        "linear_head_dim": int(text.get("linear_value_head_dim") or 128),
        "conv_kernel": int(text.get("linear_conv_kernel_dim") or 4),
    }  # fmt: skip


_METHODS = {
    "fp8": "fp8", "awq": "awq", "gptq": "gptq", "bitsandbytes": "bnb-nf4", "mxfp4": "mxfp4",
    "modelopt": "nvfp4",
    "auto-round": "w4a16",
}  # fmt: skip


def _quantised(found):
    """The weight format that a config's quantization_config means, or ""."""
    if not isinstance(found, dict):
        return ""
    method = str(found.get("quant_method", "")).lower()
    if method == "fp8" and found.get("weight_block_size"):
        return "fp8-block"
    if method == "gptq" and found.get("bits") == 8:
        return "gptq-int8"
    if method == "bitsandbytes" and found.get("load_in_8bit"):
        return "bnb-int8"
    if method == "compressed-tensors":
        text = json.dumps(found.get("config_groups", found))
        return "w4a16" if '"num_bits": 4' in text else "fp8" if '"float"' in text else "int8"
    return _METHODS.get(method, "")


def _with_vision(spec, config):
    """The spec with the weights of its vision tower: L x (4 H^2 + 2 H I) and the patches."""
    vision = config.get("vision_config")
    if not isinstance(vision, dict):
        return replace(spec, params=count(spec))
    width = int(vision.get("hidden_size") or vision.get("embed_dim") or 1152)
    layers = int(vision.get("num_hidden_layers") or vision.get("depth") or 27)
    inner = int(vision.get("intermediate_size") or 4 * width)
    mats = 3 if vision.get("hidden_act") == "silu" else 2
    tower = (
        layers * (4 * width**2 + mats * width * inner) + 3 * int(vision.get("patch_size") or 14) ** 2 * width
    )
    said = f"the vision part is about {tower / 1e6:.0f} M weights, from its layers alone"
    spec = replace(spec, vision_params=tower, assumed=(*spec.assumed, said))
    return replace(spec, params=count(spec))


def from_gguf(header, name="gguf"):
    """The ModelSpec of a GGUF file's metadata, with the bytes that its tensor table really has."""
    metadata, tensors = header
    kind = str(metadata.get("general.architecture", ""))
    keys = {
        "num_hidden_layers": "block_count",
        "hidden_size": "embedding_length",
        "num_attention_heads": "attention.head_count",
        "num_key_value_heads": "attention.head_count_kv",
        "intermediate_size": "feed_forward_length",
        "max_position_embeddings": "context_length",
        "head_dim": "attention.key_length",
        "sliding_window": "attention.sliding_window",
        "num_experts": "expert_count",
        "num_experts_per_tok": "expert_used_count",
        "moe_intermediate_size": "expert_feed_forward_length",
        "vocab_size": "vocab_size",
        "kv_lora_rank": "attention.kv_lora_rank",
        "q_lora_rank": "attention.q_lora_rank",
    }
    config = {to: metadata[f"{kind}.{key}"] for to, key in keys.items() if f"{kind}.{key}" in metadata}
    config.setdefault("vocab_size", metadata.get("tokenizer.ggml.tokens"))
    config["model_type"] = kind.replace("gemma3", "gemma3_text")
    config["tie_word_embeddings"] = bool(tensors) and "output.weight" not in tensors
    spec = from_config(config, metadata.get("general.name") or name)
    on_cpu = tensors.get("token_embd.weight", 0.0)
    on_gpu = sum(tensors.values()) - on_cpu + (on_cpu if spec.tied else 0.0)
    return replace(spec, file_gpu_bytes=float(on_gpu), file_cpu_bytes=float(on_cpu), quantised_as="F16")
