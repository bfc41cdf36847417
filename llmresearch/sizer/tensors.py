"""Every tensor of a model from its architecture: for the count identity, and for what one GPU holds of it."""

from typing import NamedTuple

from .formats import SizerError


class Tensor(NamedTuple):
    """`copies` equal matrices of `rows` x `cols`. `kind`: linear (quantised), expert, table (embedding,
    head), plain (norms, routers, biases), vision, or runtime (built by the engine, not in the checkpoint)."""

    name: str
    rows: int
    cols: int
    copies: int = 1
    kind: str = "linear"


class Layout(NamedTuple):
    """What an architecture has beside its matrices; `bias` says which of them have one."""

    mlp: str = "gated"
    bias: frozenset = frozenset()
    norms: int = 2
    norm_bias: bool = False
    qk_norm: str = ""
    positions: int = -1
    rotary: float = 1.0
    sinks: bool = False
    shared_gate: bool = False
    rope_caches: int = 1


def _layout(bias="", **values):
    return Layout(bias=frozenset(bias.split()), **values)


_PLAIN = "qkv o mlp"
# Read from each architecture's modelling code in transformers; the count identity of the registry proves
# every row.
LAYOUTS = {
    "llama": _layout(),
    "qwen": _layout("qkv"),
    "qwen2": _layout("qkv"),
    "qwen2_moe": _layout("qkv", shared_gate=True),
    "qwen3": _layout(qk_norm="head"),
    "qwen3_moe": _layout(qk_norm="head"),
    "qwen3_next": _layout(qk_norm="head", shared_gate=True, rotary=0.25),
    "gemma": _layout(),
    "gemma2": _layout(norms=4),
    "gemma3": _layout(norms=4, qk_norm="head", rope_caches=2),
    "phi": _layout("qkv o mlp head", mlp="plain", norms=1, norm_bias=True, rotary=0.4),
    "phi3": _layout(),
    "phimoe": _layout("qkv o head", norm_bias=True),
    "cohere": _layout(norms=1),
    "cohere_qk": _layout(norms=1, qk_norm="all heads"),
    "falcon": _layout(mlp="plain", norms=1, norm_bias=True),
    "falcon_new": _layout(mlp="plain", norms=2, norm_bias=True),
    "granite": _layout(),
    "olmo2": _layout(qk_norm="all"),
    "olmoe": _layout(qk_norm="all"),
    "deepseek_v2": _layout(),
    "deepseek_v3": _layout("router"),
    "glm4_moe": _layout("qkv router", qk_norm="head", rotary=0.5),
    "glm4_moe_air": _layout("qkv router", rotary=0.5),
    "gpt_oss": _layout("qkv o router expert", sinks=True),
    "minimax_m2": _layout("router", qk_norm="all", rotary=0.5),
    "llama4": _layout(),
    "gpt2": _layout(_PLAIN, mlp="plain", norm_bias=True, positions=0, rotary=0.0),
    "opt": _layout(_PLAIN, mlp="plain", norm_bias=True, positions=2, rotary=0.0),
    "gpt_neox": _layout(_PLAIN, mlp="plain", norm_bias=True, rotary=0.25),
    "starcoder2": _layout(_PLAIN, mlp="plain", norm_bias=True),
    "dbrx": _layout(norms=2),
    "mllama": _layout(),
}


class Stage(NamedTuple):
    """One pipeline stage: its layers, and whether it holds the embedding and the head."""

    start: int
    stop: int
    first: bool
    last: bool


def stages(layers, pp=1):
    """The pipeline's stages; what does not divide evenly goes to the middle ones, as vLLM does it."""
    sizes = [layers // pp] * pp
    for i in range(layers % pp):
        sizes[-(i + 2)] += 1
    edges = [sum(sizes[:i]) for i in range(pp + 1)]
    return [Stage(edges[i], edges[i + 1], i == 0, i == pp - 1) for i in range(pp)]


def count(spec):
    """How many weights the architecture has: the number to be compared with the published total."""
    whole = stages(spec.layers)[0]
    return sum(t.rows * t.cols * t.copies for t in inventory(spec, whole) if t.kind != "runtime")


def active(spec):
    """How many weights one token passes through, embedding and head counted."""
    if not spec.experts:
        return count(spec)
    expert = 3 * spec.hidden * spec.moe_intermediate + _expert_bias(spec)
    return (
        count(spec)
        - spec.vision_params
        - expert * spec.moe_layers() * (spec.experts - spec.experts_per_token)
    )


def _expert_bias(spec):
    return 2 * spec.moe_intermediate + spec.hidden if "expert" in LAYOUTS[spec.arch].bias else 0


def check_split(spec, tp):
    """Raises SizerError where `tp` GPUs cannot share the heads of the model."""
    if spec.heads % tp:
        raise SizerError(
            f"tp: {spec.name} has {spec.heads} attention heads, which {tp} GPUs cannot share evenly;"
            f" tp can be {_divisors(spec)}."
        )
    if not spec.kv_lora and spec.kv_heads % tp and tp % spec.kv_heads:
        raise SizerError(
            f"tp: {spec.name} has {spec.kv_heads} KV heads, which {tp} GPUs can neither share nor"
            f" copy evenly; tp can be {_divisors(spec)}."
        )


def _divisors(spec):
    fits = [n for n in (1, 2, 4, 8, 16, 32) if spec.heads % n == 0]
    fits = [n for n in fits if spec.kv_lora or spec.kv_heads % n == 0 or n % spec.kv_heads == 0]
    return ", ".join(map(str, fits))


def inventory(spec, stage, tp=1, ep=None, pad=1):
    """The tensors that one of `tp` GPUs holds of a stage, as a list of Tensor.

    Merged as an engine merges them (qkv in one, gate and up in one). Experts lie on `ep` GPUs (the same `tp`
    unless said); the vocabulary is rounded up to a multiple of `pad`.
    """
    layout = LAYOUTS[spec.arch]
    layers = stage.stop - stage.start
    attending = layers - _linear_in(spec, stage)
    tensors = _tables(spec, stage, layout, tp, pad)
    tensors += _mla(spec, attending, tp) if spec.kv_lora else _attention(spec, layout, attending, tp)
    if spec.linear_layers:
        tensors += _delta_net(spec, layers - attending, tp)
    moe = spec.moe_layers(stage.start, stage.stop)
    if layers > moe:
        tensors += _mlp(spec, layout, layers - moe, spec.intermediate, tp, "mlp")
    if moe:
        tensors += _experts(spec, layout, moe, tp, ep)
    tensors += _norms(spec, layout, layers, stage.last)
    tensors += _rope(spec, layout)
    return [t for t in tensors if t.rows and t.cols and t.copies]


def _linear_in(spec, stage):
    if not spec.linear_layers:
        return 0
    every = spec.layers // spec.full_layers
    return sum((i + 1) % every != 0 for i in range(stage.start, stage.stop))


def _tables(spec, stage, layout, tp, pad):
    vocab = -(-spec.vocab // pad) * pad // tp if pad > 1 else spec.vocab // tp
    tensors = []
    if stage.first or (stage.last and spec.tied):
        tensors.append(Tensor("embed", vocab, spec.hidden, 1, "table"))
    if stage.first and layout.positions >= 0:
        tensors.append(Tensor("positions", spec.max_positions + layout.positions, spec.hidden, 1, "table"))
    if stage.first and spec.vision_params:
        tensors.append(Tensor("vision", spec.vision_params // tp, 1, 1, "vision"))
    if stage.last and not spec.tied:
        tensors.append(Tensor("head", vocab, spec.hidden, 1, "table"))
    if stage.last and "head" in layout.bias:
        tensors.append(Tensor("head bias", vocab, 1, 1, "plain"))
    return tensors


def _kv_heads(spec, tp):
    return max(1, spec.kv_heads // tp)


def _attention(spec, layout, layers, tp):
    heads, kv, width = spec.heads // tp, _kv_heads(spec, tp), spec.head_dim
    gated = 2 if spec.arch == "qwen3_next" else 1
    rows = (heads * gated + 2 * kv) * width
    tensors = [
        Tensor("qkv", rows, spec.hidden, layers),
        Tensor("o", spec.hidden, heads * width, layers),
    ]
    if "qkv" in layout.bias:
        tensors.append(Tensor("qkv bias", rows, 1, layers, "plain"))
    if "o" in layout.bias:
        tensors.append(Tensor("o bias", spec.hidden, 1, layers, "plain"))
    norm = {"": 0, "head": 2 * width, "all": (heads + kv) * width, "all heads": (heads + kv) * width}[
        layout.qk_norm
    ]
    tensors.append(Tensor("qk norm", norm, 1, layers, "plain"))
    if layout.sinks:
        tensors.append(Tensor("sinks", heads, 1, layers, "plain"))
    return tensors


def _mla(spec, layers, tp):
    heads, key = spec.heads // tp, spec.nope_dim + spec.rope_dim
    latent = spec.kv_lora + spec.rope_dim
    if spec.q_lora:
        tensors = [
            Tensor("qkv a", spec.q_lora + latent, spec.hidden, layers),
            Tensor("q b", heads * key, spec.q_lora, layers),
            Tensor("q a norm", spec.q_lora, 1, layers, "plain"),
        ]
    else:
        tensors = [Tensor("q", heads * key, spec.hidden, layers), Tensor("kv a", latent, spec.hidden, layers)]
    return tensors + [
        Tensor("kv b", heads * (spec.nope_dim + spec.v_dim), spec.kv_lora, layers),
        Tensor("kv a norm", spec.kv_lora, 1, layers, "plain"),
        Tensor("o", spec.hidden, heads * spec.v_dim, layers),
        # vLLM keeps W_UK and W_UV once more, in 16 bits and transposed, to attend in the latent space
        Tensor("absorbed", heads * (spec.nope_dim + spec.v_dim), spec.kv_lora, layers, "runtime"),
    ]


def _delta_net(spec, layers, tp):
    """Gated DeltaNet: a projection for q, k, v and gate, one for beta and alpha, a short convolution."""
    keys = spec.linear_key_heads * spec.linear_head_dim // tp
    values = spec.linear_value_heads * spec.linear_head_dim // tp
    heads = spec.linear_value_heads // tp
    return [
        Tensor("delta qkvz", 2 * keys + 2 * values, spec.hidden, layers),
        Tensor("delta ba", 2 * heads, spec.hidden, layers),
        Tensor("delta conv", 2 * keys + values, spec.conv_kernel, layers, "plain"),
        Tensor("delta decay", 2 * heads, 1, layers, "plain"),
        Tensor("delta norm", spec.linear_head_dim, 1, layers, "plain"),
        Tensor("delta o", spec.hidden, values, layers),
    ]


def _mlp(spec, layout, layers, width, tp, name):
    inner = width // tp
    tensors = [
        Tensor(f"{name} up", inner * (2 if layout.mlp == "gated" else 1), spec.hidden, layers),
        Tensor(f"{name} down", spec.hidden, inner, layers),
    ]
    if "mlp" in layout.bias:
        tensors.append(Tensor(f"{name} bias", inner + spec.hidden, 1, layers, "plain"))
    return tensors


def _experts(spec, layout, layers, tp, ep):
    inner, experts = spec.moe_intermediate, spec.experts
    if ep and ep != tp:
        experts = -(-experts // ep)
    else:
        inner //= tp
    tensors = [
        Tensor("experts up", 2 * inner, spec.hidden, layers * experts, "expert"),
        Tensor("experts down", spec.hidden, inner, layers * experts, "expert"),
        Tensor("router", spec.experts, spec.hidden, layers, "plain"),
    ]
    if "router" in layout.bias:
        tensors.append(Tensor("router bias", spec.experts, 1, layers, "plain"))
    if "expert" in layout.bias:
        tensors.append(Tensor("experts bias", 2 * inner + spec.hidden, 1, layers * experts, "plain"))
    if spec.shared_intermediate:
        tensors += _mlp(spec, layout, layers, spec.shared_intermediate, tp, "shared")
    if layout.shared_gate:
        tensors.append(Tensor("shared gate", 1, spec.hidden, layers, "plain"))
    return tensors


def _norms(spec, layout, layers, last):
    per_norm = spec.hidden * (2 if layout.norm_bias else 1)
    return [Tensor("norms", per_norm, 1, layers * layout.norms + (1 if last else 0), "plain")]


def _rope(spec, layout):
    """The table of cosines and sines that an engine computes for every position it could be asked for.

    A linear extension by 8 has eight times the rows (Gemma 3's global layers, beside its local ones);
    multimodal positions four times (Qwen2.5-VL). Llama 4 Scout's ten million positions take 2.5 GiB.
    """
    width = spec.rope_dim if spec.kv_lora else int(spec.head_dim * layout.rotary)
    rows = spec.rope_rows or spec.max_positions * layout.rope_caches
    return [Tensor("rope table", rows, width, 1, "runtime")]
