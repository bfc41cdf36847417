"""Models and GPUs as rows with a source, and the names people call them by."""

import difflib
import functools
import re
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from .formats import SizerError

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """The architecture of a model: everything that its memory depends on. Counts are numbers of weights."""

    name: str
    arch: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    tied: bool = False
    max_positions: int = 0
    extended_positions: int = 0
    rope_rows: int = 0
    params: int = 0
    active: int = 0
    family: str = ""
    hf_id: str = ""
    experts: int = 0
    experts_per_token: int = 0
    moe_intermediate: int = 0
    shared_experts: int = 0
    shared_intermediate: int = 0
    first_dense: int = 0
    moe_every: int = 1
    sliding_window: int = 0
    full_attention_layers: int = -1
    kv_lora: int = 0
    q_lora: int = 0
    rope_dim: int = 0
    nope_dim: int = 0
    v_dim: int = 0
    linear_layers: int = 0
    linear_key_heads: int = 0
    linear_value_heads: int = 0
    linear_head_dim: int = 0
    conv_kernel: int = 0
    vision_params: int = 0
    vision_peak_gib: float = 0.0
    quantised_as: str = ""
    file_gpu_bytes: float = 0.0
    file_cpu_bytes: float = 0.0
    trust_remote_code: bool = False
    leaves_out: str = ""
    aliases: tuple = ()
    source: str = ""
    assumed: tuple = ()

    @property
    def full_layers(self):
        """How many layers attend to the whole context."""
        attending = self.layers - self.linear_layers
        return attending if self.full_attention_layers < 0 else self.full_attention_layers

    @property
    def sliding_layers(self):
        """How many layers attend to a window only."""
        return self.layers - self.linear_layers - self.full_layers

    @property
    def longest_context(self):
        """The longest context the model is published for, with its rope extension where it has one."""
        return max(self.max_positions, self.extended_positions)

    @property
    def multimodal(self):
        return self.vision_params > 0

    def moe_layers(self, start=0, stop=None):
        """How many of the layers `start`..`stop` hold experts."""
        stop = self.layers if stop is None else stop
        if not self.experts:
            return 0
        return sum(i >= self.first_dense and (i + 1) % self.moe_every == 0 for i in range(start, stop))


@dataclass(frozen=True, slots=True)
class GpuSpec:
    """A GPU as its driver reports it: GiB, bytes a second, operations a second by type, dollars an hour."""

    name: str
    memory_gib: float
    bandwidth: float = float("nan")
    flops: tuple = ()
    link: str = "pcie"
    link_bandwidth: float = float("nan")
    vendor: str = "nvidia"
    usd_per_hour: float = float("nan")
    price_source: str = ""
    aliases: tuple = ()
    source: str = ""
    nominal: bool = False

    def flops_of(self, kind):
        """Operations a second for numbers of `kind`; nan where the GPU has no such unit."""
        return dict(self.flops).get(kind, float("nan"))


def load_yaml(path):
    """What a YAML file holds, as `yaml.safe_load`, by the C loader where PyYAML has it: ten times faster."""
    with open(path, encoding="utf-8") as stream:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(stream)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()


@functools.cache
def models():
    """Every model of the registry by its name."""
    rows = load_yaml(HERE / "models.yaml")
    return {name: _model(name, row) for name, row in rows.items()}


def _model(name, row):
    row = dict(row)
    row["aliases"] = tuple(row.get("aliases", ()))
    row.setdefault("family", row["arch"])
    return ModelSpec(name=name, **row)


@functools.cache
def gpus():
    """Every GPU of the registry by its name."""
    rows = load_yaml(HERE / "gpus.yaml")
    return {name: _gpu(name, row) for name, row in rows.items()}


def _gpu(name, row):
    row = dict(row)
    row["flops"] = tuple((kind, value * 1e12) for kind, value in row.pop("tflops", {}).items())
    for key in ("bandwidth", "link_bandwidth"):
        row[key] = row.pop(f"{key}_gb_s", float("nan")) * 1e9
    row["aliases"] = tuple(row.get("aliases", ()))
    return GpuSpec(name=name, **row)


def plain(text):
    """A name without what people write differently: case, separators, organisation."""
    return (
        re.sub(r"[^a-z0-9.]+", "-", str(text).strip().lower().rsplit("/", 1)[-1]).strip("-").replace(".", "-")
    )


# What a published name adds to its model's: how it was tuned, packed or quantised, none of which changes its
# shape.
_TUNED = "instruct chat it hf base pt thinking preview unsloth lora fine-tune finetune dev"
_PACKED = (
    "bf16 fp16 fp8 f16 int8 int4 dynamic awq gptq gguf quantized quantised w8a8 w4a16 w8a16 nvfp4 fp4"
    " mxfp4 nf4 bnb 4bit 8bit 4-bit 8-bit g128 marlin block sq q[0-9]-[0-9a-z]+(-[msl])?"
    " (ud-)?iq[0-9]-[a-z]+ tp[0-9]+"
)
_DATED = "2407 2409 2410 2501 2503 2506 2507 0528 0905"
_SUFFIX = re.compile("-(" + "|".join(f"{_TUNED} {_PACKED} {_DATED}".split()) + ")$")


@functools.cache
def _model_names():
    names = {}
    for spec in models().values():
        for known in (spec.name, spec.hf_id, *spec.aliases):
            if known:
                names.setdefault(plain(known), spec)
    for key, spec in list(names.items()):
        for shorter in _stripped(key):
            names.setdefault(shorter, spec)
    return names


def _run(key):
    return key.replace("-", "")


@functools.cache
def _run_together():
    return {_run(key): spec for key, spec in reversed(_model_names().items())}


def _stripped(key):
    while (shorter := _SUFFIX.sub("", key)) != key:
        key = shorter
        yield key


def find_model(name):
    """The ModelSpec that `name` means: a registry name, a Hugging Face id, or either with what was done to
    it.

    Raises SizerError with the nearest names where nothing means it.
    """
    key = plain(re.sub(r"\s*\(.*?\)|\s+\+\s+lora", "", str(name).strip(), flags=re.IGNORECASE))
    names = _model_names()
    for attempt in (key, *_stripped(key)):
        if (
            found := names.get(attempt)
            or names.get(attempt.removeprefix("meta-"))
            or _run_together().get(_run(attempt))
        ):
            return found
    near = difflib.get_close_matches(key, names, n=3, cutoff=0.4) or sorted(names)[:3]
    offered = ", ".join(dict.fromkeys(names[n].name for n in near))
    raise SizerError(
        f"model: {str(name)!r} is not in the registry; the nearest are {offered}."
        " Give one of them, a path to its config.json, or the config as a mapping."
    )


@functools.cache
def _gpu_names():
    return {_gpu_key(known): spec for spec in gpus().values() for known in (spec.name, *spec.aliases)}


def _gpu_key(text):
    words = re.sub(
        r"\(.*?\)|nvidia|geforce|amd|instinct|tesla|radeon|laptop|sxm\d?|hbm\de?|\?", " ", str(text).lower()
    )
    return re.sub(r"[^a-z0-9]+", "", re.sub(r"gib\b", "gb", words))


def find_gpu(name, memory_gib=None):
    """The GpuSpec that `name` means, with `memory_gib` reported where it is given.

    A name outside the registry is answered where a memory size is given or stands in it ("24GB-class"): a
    nominal size, of which drivers report 97 to 99 %. Raises SizerError otherwise.
    """
    memory = float("nan") if memory_gib is None else float(memory_gib)
    if memory <= 0:
        raise SizerError(
            f"gpu_memory_gib: {memory:g} GiB is not a memory size; give what nvidia-smi reports, in GiB."
        )
    key = _gpu_key(name)
    names = _gpu_names()
    found = names.get(key) or names.get(re.sub(r"\d+gb(class)?$", "", key))
    if found is None:
        found = _by_size(name, memory)
    return replace(found, memory_gib=memory) if memory == memory else found


# Reported over nominal GB: H100 79.19/80, RTX 4090 23.53/24, RTX 5090 31.37/32, T4 14.56/16 with ECC.
_REPORTED_OF_NOMINAL = 0.98


def _by_size(name, memory):
    size = re.search(r"(\d+(?:\.\d+)?)\s*(gib|gb)", str(name).lower())
    if memory == memory:
        return GpuSpec(name=str(name), memory_gib=memory, nominal=True, link="unknown", vendor="unknown")
    if size:
        gib = float(size[1]) * (1 if size[2] == "gib" else _REPORTED_OF_NOMINAL)
        return GpuSpec(name=str(name), memory_gib=gib, nominal=True, link="unknown", vendor="unknown")
    near = difflib.get_close_matches(_gpu_key(name), _gpu_names(), n=3, cutoff=0.3) or [
        "h100",
        "h200",
        "rtx4090",
    ]
    offered = ", ".join(dict.fromkeys(_gpu_names()[n].name for n in near))
    raise SizerError(
        f"gpu: {str(name)!r} is not known; the nearest are {offered}. Give one, or gpu_memory_gib."
    )
