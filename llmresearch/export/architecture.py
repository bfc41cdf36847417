"""Which decoder a folder's config.json describes; what the graph builder does not know is refused, not approximated."""

import math
from dataclasses import dataclass

from ..models.artifacts import read_config
from ..records import LlmResearchError

FAMILIES = ("gpt2", "llama", "mistral", "qwen2", "qwen3", "gemma3_text")


class ExportError(LlmResearchError):
    """A model that cannot be exported, or an export that is not what it should be."""


@dataclass(frozen=True)
class Architecture:
    """What the graph depends on, in the words of one family for all."""

    family: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_width: int
    inner: int  # width inside the feed-forward block
    vocab: int
    positions: int  # the longest context: a table's rows for GPT-2, the trained length otherwise
    epsilon: float
    activation: str  # gelu_tanh | silu
    scale: float  # of the attention scores
    tied: bool  # the output layer is the embedding table
    kinds: tuple  # per layer: full | sliding
    window: int | None = None  # tokens a sliding layer looks back, its own included
    frequencies: dict | None = None  # per kind: the rotary embedding's inverse frequencies
    head_norms: bool = False  # queries and keys are normalised per head (Qwen3, Gemma-3)


def read_architecture(folder):
    """Architecture of the model in `folder`; ExportError names what is not supported."""
    config = read_config(folder)
    family = config.get("model_type")
    if family not in FAMILIES:
        raise ExportError(f"{folder}: model type {family!r} is not exported. Known: {', '.join(FAMILIES)}.")
    for key in ("attn_logit_softcapping", "final_logit_softcapping", "scale_attn_by_inverse_layer_idx",
                "use_bidirectional_attention", "quantization_config"):  # fmt: skip
        if config.get(key):
            raise ExportError(
                f"{folder}: {key} is set, and the exported graph does not have it. Use the hf backend."
            )
    try:
        found = _gpt2(config) if family == "gpt2" else _rotary(folder, family, config)
    except KeyError as error:
        raise ExportError(f"{folder}: config.json has no {error}. Fetch the model's configuration again.") from error
    except (TypeError, ArithmeticError) as error:
        raise ExportError(f"{folder}: config.json is damaged ({error}). Fetch the model's configuration again.") from error
    return _sound(folder, found)


def _sound(folder, found):
    """The Architecture, or an ExportError where a size is none."""
    for name in ("layers", "hidden", "heads", "kv_heads", "head_width", "inner", "vocab", "positions"):
        value = getattr(found, name)
        if not isinstance(value, int) or value < 1:
            raise ExportError(f"{folder}: config.json is damaged: {name} is {value!r}. Fetch the model's configuration again.")
    if found.heads % found.kv_heads or len(found.kinds) != found.layers:
        raise ExportError(f"{folder}: config.json is damaged: {found.heads} heads share {found.kv_heads} key heads, and "
                          f"{len(found.kinds)} of {found.layers} layers have a kind. Fetch the model's configuration again.")  # fmt: skip
    return found


def _gpt2(config):
    heads, hidden = config["n_head"], config["n_embd"]
    width = hidden // heads
    return Architecture(
        family="gpt2", layers=config["n_layer"], hidden=hidden, heads=heads, kv_heads=heads, head_width=width,
        inner=config.get("n_inner") or 4 * hidden, vocab=config["vocab_size"], positions=config["n_positions"],
        epsilon=config.get("layer_norm_epsilon", 1e-5), tied=config.get("tie_word_embeddings", True),
        activation=_activation(config.get("activation_function", "gelu_new")), kinds=("full",) * config["n_layer"],
        scale=width**-0.5 if config.get("scale_attn_weights", True) else 1.0,
    )  # fmt: skip


def _rotary(folder, family, config):
    heads, hidden, layers = config["num_attention_heads"], config["hidden_size"], config["num_hidden_layers"]
    width = config.get("head_dim") or hidden // heads
    kinds = _kinds(family, config, layers)
    gemma = family == "gemma3_text"
    return Architecture(
        family=family, layers=layers, hidden=hidden, heads=heads, kv_heads=config.get("num_key_value_heads") or heads,
        head_width=width, inner=config["intermediate_size"], vocab=config["vocab_size"],
        positions=config["max_position_embeddings"], epsilon=config.get("rms_norm_eps", 1e-6),
        activation=_activation(config.get("hidden_activation") or config.get("hidden_act", "silu")),
        scale=config["query_pre_attn_scalar"] ** -0.5 if gemma else width**-0.5,
        tied=config.get("tie_word_embeddings", gemma), kinds=kinds, window=config.get("sliding_window"),
        frequencies={kind: _frequencies(folder, config, kind, width) for kind in sorted(set(kinds))},
        head_norms=family in ("qwen3", "gemma3_text"),
    )  # fmt: skip


def _activation(name):
    known = {"gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "silu": "silu", "swish": "silu"}
    if name not in known:
        raise ExportError(f"activation {name!r} is not exported. Known: {', '.join(known)}.")
    return known[name]


def _kinds(family, config, layers):
    """Per layer `full` or `sliding`: with a window Mistral slides everywhere, Qwen from a layer on if told, Llama never."""
    told = config.get("layer_types")
    if told:
        return tuple("sliding" if kind == "sliding_attention" else "full" for kind in told)
    if family == "gemma3_text":
        every = config.get("sliding_window_pattern", 6)
        return tuple("full" if (layer + 1) % every == 0 else "sliding" for layer in range(layers))
    first = 0 if family == "mistral" else layers
    if family in ("qwen2", "qwen3") and config.get("use_sliding_window"):
        first = config.get("max_window_layers", 28)  # the families' own default
    first = first if config.get("sliding_window") else layers
    return tuple("sliding" if layer >= first else "full" for layer in range(layers))


def _frequencies(folder, config, kind, width):
    """The inverse frequencies θ^(-2i/width) of one kind of layer, scaled as the configuration says, list of float."""
    told = config.get("rope_parameters") or {}
    told = told.get(f"{kind}_attention", told)
    base = told.get("rope_theta") or config.get("rope_theta", 10000.0)
    scaling = told if config.get("rope_parameters") else config.get("rope_scaling") or {}
    if kind == "sliding" and "rope_local_base_freq" in config:
        base, scaling = config["rope_local_base_freq"], {}
    plain = [base ** (-2 * i / width) for i in range(width // 2)]
    how = scaling.get("rope_type", scaling.get("type", "default"))
    if how == "default":
        return plain
    if how == "linear":
        return [f / scaling["factor"] for f in plain]
    if how == "llama3":
        return [_llama3(f, scaling) for f in plain]
    raise ExportError(f"{folder}: rotary scaling {how!r} is not exported. Known: default, linear, llama3.")


def _llama3(frequency, scaling):
    """One frequency of Llama 3.1's scaling: long waves are stretched, short ones stay, those between are blended."""
    wave, length = 2 * math.pi / frequency, scaling["original_max_position_embeddings"]
    low, high, factor = scaling["low_freq_factor"], scaling["high_freq_factor"], scaling["factor"]
    if wave < length / high:
        return frequency
    if wave > length / low:
        return frequency / factor
    smooth = (length / wave - low) / (high - low)
    return (1 - smooth) * frequency / factor + smooth * frequency
