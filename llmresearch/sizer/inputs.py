"""What was asked, as columns: names resolved, defaults filled in, a sentence for what cannot be answered."""

import functools
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import configs, engines, kv, tensors, weights
from .formats import GIB, SizerError, kv_type, weight_format
from .memory import LINKS, Facts, Settings
from .specs import GpuSpec, ModelSpec, find_gpu, find_model

DEFAULTS = {
    "model": None, "engine": "vllm", "engine_version": None, "gpu": "h200", "gpu_memory_gib": None, "tp": 1,
    "pp": 1,
    "weight_format": "bf16", "kv_dtype": "auto", "max_model_len": 4096, "max_num_seqs": None,
    "max_num_batched_tokens": None, "gpu_memory_utilization": 0.9, "enforce_eager": False, "batch": 1,
    "context": None,
    "usage": "offline", "ep": None,
}  # fmt: skip
NAMES = ("model", "engine", "engine_version", "gpu", "weight_format", "kv_dtype", "usage")
COUNTS = ("tp", "pp", "max_model_len", "max_num_seqs", "max_num_batched_tokens", "batch", "context", "ep")
USAGES = ("offline", "server")
MOST = {"tp": 2**16, "pp": 2**16, "ep": 2**16, "gpu_memory_gib": 2**16}
"""Beyond any machine: 65,536 GPUs, 64 TiB on one of them."""
MOST_COUNTED = 2**40
"""Of tokens and sequences."""
_NO_LIMIT = float(2**40)
_ANOTHER_GPU = 0.1  # a given memory that far from the named GPU's is another GPU's
_UNKNOWN = (float("nan"),) * len(Facts._fields)


class Asked(NamedTuple):
    """The question as arrays: `facts` and `settings` for memory.py, `reasons` of rows without an answer."""

    facts: Facts
    settings: Settings
    reasons: np.ndarray  # objects: a sentence or None
    specs: list  # ModelSpec of each row's model, by `model_code`
    model_code: np.ndarray
    forms: list
    form_code: np.ndarray
    version_given: np.ndarray
    seqs_given: np.ndarray
    gpus: list
    gpu_code: np.ndarray
    clipped: np.ndarray
    gpu_unknown: np.ndarray  # the only reason is the GPU: what does not depend on its memory is answered


def ask(values, length):
    """The Asked of `length` rows; `values` has a scalar or an array for each name of DEFAULTS."""
    reasons = np.full(length, None, dtype=object)
    named = {name: _codes(values[name], length, DEFAULTS[name]) for name in NAMES}
    number = {name: _numbers(values[name], length, name, reasons) for name in COUNTS}
    fraction = _numbers(values["gpu_memory_utilization"], length, "gpu_memory_utilization", reasons)
    fraction = np.where(np.isnan(fraction), DEFAULTS["gpu_memory_utilization"], fraction)
    _mark(
        reasons,
        ~((fraction > 0) & (fraction <= 1)),
        "gpu_memory_utilization",
        fraction,
        "give a share in (0, 1]",
    )
    model_code, specs = _resolve(named["model"], _find_spec, reasons)
    engine_code, found_engines = _resolve(named["engine"], engines.find_engine, reasons)
    form_code, forms = _resolve(named["weight_format"], weight_format, reasons)
    version, version_given = _versions(named["engine_version"], found_engines, engine_code)
    gpu_code, gpus, total, link, large, unknown = _gpus(
        named["gpu"], values["gpu_memory_gib"], length, reasons
    )
    tp = np.where(np.isnan(number["tp"]), 1, number["tp"])
    pp = np.where(np.isnan(number["pp"]), 1, number["pp"])
    ep = np.where(np.isnan(number["ep"]), 0, number["ep"])
    kv_code, kv_names = named["kv_dtype"]
    split = (model_code, form_code, engine_code, kv_code, tp, pp, ep)
    facts = _facts(split, specs, forms, found_engines, kv_names, reasons)
    serving = _serving(named["usage"], reasons)
    length_, context, clipped = _lengths(number, specs, model_code, reasons)
    code = np.array([engines.ENGINE_CODES[e.name] if e else 0 for e in found_engines])[engine_code]
    seqs, tokens = _batching(number, code, version, large, length_, serving)
    eager = _flags(values["enforce_eager"], length, reasons)
    batch = np.where(np.isnan(number["batch"]), 1, number["batch"])
    settings = Settings(
        code, version, seqs, tokens, length_, context, batch, fraction, eager, total, link
    )  # fmt: skip
    given = ~np.isnan(number["max_num_seqs"])
    return Asked(
        facts, settings, reasons, specs, model_code, forms, form_code, version_given, given, gpus, gpu_code,
        clipped, unknown,
    )  # fmt: skip


def _is_missing(value):
    return value is None or (isinstance(value, float) and value != value)


def _codes(values, length, default):
    """(code of each row, distinct values); what is missing becomes the default."""
    if isinstance(values, (str, dict, Path)) or _is_missing(values) or not hasattr(values, "__len__"):
        return np.zeros(length, np.int64), [default if _is_missing(values) else values]
    import pandas as pd

    values = pd.Series(values, dtype=object) if not isinstance(values, pd.Series) else values
    if values.map(type).eq(dict).any() if values.dtype == object else False:
        return _codes_of_mappings(values, default)
    codes, distinct = pd.factorize(values)
    return np.where(codes < 0, len(distinct), codes), [*distinct, default]


def _codes_of_mappings(values, default):
    keys, distinct, codes = {}, [], []
    for value in values:
        value = default if _is_missing(value) else value
        key = json.dumps(value, sort_keys=True, default=str) if isinstance(value, dict) else value
        if key not in keys:
            keys[key] = len(distinct)
            distinct.append(value)
        codes.append(keys[key])
    return np.array(codes), distinct


def _resolve(coded, find, reasons):
    """(codes, what `find` makes of each distinct name); where it raises, None, and a reason for the rows."""
    codes, names = coded
    found = []
    used = set(np.unique(codes).tolist())
    for code, name in enumerate(names):
        try:
            found.append(find(name) if code in used else None)
        except SizerError as error:
            found.append(None)
            _because(reasons, codes == code, str(error))
    return codes, found


def _because(reasons, rows, sentence):
    reasons[rows & np.equal(reasons, None)] = sentence


def _find_spec(model):
    """The ModelSpec that was meant: one already, a mapping, a file, or a name."""
    if isinstance(model, ModelSpec):
        return model
    if model is None:
        raise SizerError("model: none was given; give a registry name, a config.json or a mapping of one.")
    if isinstance(model, dict):
        return configs.from_config(model)
    if configs.is_file(model):
        return configs.from_file(model)
    return find_model(model)


def _numbers(values, length, name, reasons):
    """Floats, nan where missing; what is not a number, or not a count of at least 1, gets a reason."""
    if not hasattr(values, "__len__") or isinstance(values, str):
        try:
            values = np.full(length, np.nan if _is_missing(values) else float(values))
        except (TypeError, ValueError):
            _because(reasons, np.ones(length, bool), f"{name}: {values!r} is not a number; give one.")
            return np.full(length, np.nan)
    else:
        values = _float_column(values, name, reasons)
    if name in COUNTS:
        bad = (values < 1) | (values != np.floor(values)) & ~np.isnan(values)
        _mark(reasons, bad, name, values, "give a whole number of at least 1")
    most = MOST.get(name, MOST_COUNTED)
    _mark(reasons, values > most, name, values, f"give no more than {most:,}")
    return np.where(np.isinf(values) | (values > most), np.nan, values)


def _float_column(values, name, reasons):
    import pandas as pd

    floats = pd.to_numeric(pd.Series(values), errors="coerce").to_numpy(float, na_value=np.nan)
    if str(getattr(values, "dtype", None)) == "object" or isinstance(values, list):
        text = np.array([not _is_missing(v) and v is not pd.NA for v in values])
        _because(reasons, text & np.isnan(floats), f"{name}: not a number; give one.")
    return floats


def _mark(reasons, rows, name, values, remedy):
    for value in np.unique(values[rows]) if rows.any() else ():
        _because(reasons, rows & (values == value), f"{name}: {value:g} is impossible; {remedy}.")


def _flags(values, length, reasons):
    if not hasattr(values, "__len__") or isinstance(values, str):
        values = [values]
    words = {
        "true": True,
        "1": True,
        "1.0": True,
        "yes": True,
        "false": False,
        "0": False,
        "0.0": False,
        "no": False,
    }
    words |= {"nan": False, "none": False, "<na>": False, "": False}
    values = np.asarray(values)
    if values.dtype == bool:
        return np.broadcast_to(values, length)
    flags = [words.get(str(value).strip().lower()) for value in values]
    unclear = np.broadcast_to(np.array([flag is None for flag in flags]), length)
    _because(reasons, unclear, "enforce_eager: neither true nor false; give one of them.")
    return np.broadcast_to(np.array([bool(flag) for flag in flags]), length)


def _versions(coded, found, engine_code):
    codes, names = coded
    numbers = np.array([np.nan if _is_missing(name) else version(name) for name in names])[codes]
    vllm = np.array([e is not None and e.name == "vllm" for e in found])[engine_code]
    given = ~np.isnan(numbers)
    return np.where(given, numbers, np.where(vllm, engines.LATEST_VLLM, 0.0)), given


def version(name):
    """The number of an engine's version that grows with it (b4000 of llama.cpp is 4000); nan where none is in it."""
    build = str(name).strip().lower()
    return float(build[1:]) if build.startswith("b") and build[1:].isdigit() else engines.version_number(name)


def _serving(coded, reasons):
    codes, names = coded
    for code, name in enumerate(names):
        if name not in USAGES:
            _because(reasons, codes == code, f"usage: {name!r} is not known. Known: {', '.join(USAGES)}.")
    return np.array([name == "server" for name in names])[codes]


def _gpus(coded, memory, length, reasons):
    """(codes, GpuSpecs, bytes, link, whether vLLM takes it for a large GPU) of each row's GPU."""
    codes, names = coded
    gib = _numbers(memory, length, "gpu_memory_gib", reasons)
    _mark(reasons, gib <= 0, "gpu_memory_gib", gib, "give what nvidia-smi reports, in GiB")
    found, unknown = [], np.zeros(length, bool)
    for code, name in enumerate(names):
        rows = codes == code
        try:
            found.append(find_gpu(name) if rows.any() else GpuSpec(str(name), 1.0))
        except SizerError as error:
            unknown |= rows & np.isnan(gib) & np.equal(reasons, None)
            _because(reasons, rows & np.isnan(gib), str(error))
            found.append(GpuSpec(str(name), float("nan"), link="unknown", vendor="unknown", nominal=True))
    own = np.array([gpu.memory_gib for gpu in found])[codes]
    total = np.where(np.isnan(gib), own, gib)
    link = np.array([LINKS.index(gpu.link) for gpu in found])[codes]
    guessed = np.where(total >= 70, LINKS.index("nvlink"), LINKS.index("pcie"))
    ampere = np.array(["a100" in gpu.name.lower() for gpu in found])[codes]
    other = (link == LINKS.index("unknown")) | (np.abs(total / own - 1) > _ANOTHER_GPU)
    return codes, found, total * GIB, np.where(other, guessed, link), (total >= 70) & ~ampere, unknown


def _lengths(number, specs, model_code, reasons):
    """(max_model_len, context, whether the default was shortened to the model's own limit)."""
    limits = [spec.longest_context or _NO_LIMIT if spec else _NO_LIMIT for spec in specs]
    limit = np.array(limits, float)[model_code]
    length = np.where(np.isnan(number["max_model_len"]), DEFAULTS["max_model_len"], number["max_model_len"])
    clipped = (length == DEFAULTS["max_model_len"]) & (length > limit)
    length = np.where(clipped, limit, length)
    context = np.where(np.isnan(number["context"]), length, number["context"])
    for name, values in (("max_model_len", length), ("context", context)):
        for code in np.unique(model_code[values > limit]) if (values > limit).any() else ():
            sentence = (
                f"{name}: above the {limits[code]:g} tokens that {specs[code].name} is made for;"
                " shorten it or choose a model with a longer context."
            )
            _because(reasons, (model_code == code) & (values > limit), sentence)
    return np.maximum(length, context), context, clipped


def _batching(number, code, version, large, length, serving):
    """(max_num_seqs, tokens of one prefill chunk) of each row, the engine's own where none were given."""
    given_seqs, given_tokens = number["max_num_seqs"], number["max_num_batched_tokens"]
    seqs, tokens = engines.vllm_defaults(given_seqs, given_tokens, version, large, length, serving)
    ggml = np.isin(code, [engines.ENGINE_CODES["llama.cpp"], engines.ENGINE_CODES["ollama"]])
    other = (code != 0) & ~ggml
    batch = np.where(np.isnan(number["batch"]), 1, number["batch"])
    seqs = np.where(ggml & np.isnan(given_seqs), batch, np.where(other & np.isnan(given_seqs), 256.0, seqs))
    tokens = np.where(
        ggml & np.isnan(given_tokens), 512.0, np.where(other & np.isnan(given_tokens), 8192.0, tokens)
    )
    return seqs, tokens


def _facts(split, specs, forms, found_engines, kv_names, reasons):
    """Facts of every row: computed once for each distinct combination."""
    model, form, engine, cache, tp, pp, ep = (np.asarray(part).astype(np.int64) for part in split)
    key = np.zeros(len(model), np.int64)
    for part in (model, form, engine, cache, tp, pp, ep):
        key = key * (int(part.max(initial=0)) + 1) + np.maximum(part, 0)
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    rows = []
    for index in first:
        parts = specs[model[index]], forms[form[index]], found_engines[engine[index]], kv_names[cache[index]]
        try:
            known = all(part is not None for part in parts)
            split = max(1, tp[index]), max(1, pp[index]), max(0, ep[index])
            rows.append(facts_of(*parts, *map(int, split)) if known else _UNKNOWN)
        except SizerError as error:
            rows.append(_UNKNOWN)
            _because(reasons, key == key[index], str(error))
    return Facts(*np.array(rows, float).reshape(-1, len(Facts._fields)).T[:, inverse])


@functools.lru_cache(maxsize=20000)
def facts_of(spec, form, engine, kv_name, tp, pp, ep):
    """One row of Facts. Raises SizerError where engine, format and split do not go together."""
    if spec.quantised_as and form.name == "bf16":
        form = weight_format(spec.quantised_as)
    kv_kind = kv_type(kv_name, form.name)
    engines.check(engine, form, kv_kind)
    if engine.splits_heads:
        tensors.check_split(spec, tp)
    if pp > spec.layers:
        raise SizerError(f"pp: {spec.name} has {spec.layers} layers; {pp} stages leave some empty. Lower pp.")
    first, last, embedding = _held(spec, form, engine, tp, pp, ep)
    split = tp if engine.splits_heads else 1
    stages_ = pp if engine.splits_heads else tp * pp
    cached = kv.cache(spec, kv_kind, split, stages_)
    layout = tensors.LAYOUTS[spec.arch]
    dense = spec.intermediate or spec.shared_intermediate
    layers = max(stage.stop - stage.start for stage in tensors.stages(spec.layers, stages_))
    return Facts(
        weights=first,
        weights_last=last,
        embedding=embedding,
        merged=_merged(spec, form, split, stages_),
        hidden=spec.hidden,
        vocab=spec.vocab,
        mlp=(3 if layout.mlp == "gated" else 2) * dense / split,
        expert=_expert_values(spec, form, tp, ep),
        heads=spec.heads / split,
        qk_norm=layout.qk_norm != "",
        value_bytes=form.rest_bytes,
        layers=layers,
        moe=spec.experts > 0,
        multimodal=spec.multimodal,
        hybrid=spec.linear_layers > 0,
        mla=spec.kv_lora > 0,
        mxfp4=form.name == "mxfp4" and spec.experts > 0,
        quantised_cache=kv_kind[0] == "q",
        vision_peak=spec.vision_peak_gib * GIB,
        **cached._asdict(),
        pp=stages_,
        tp=split,
    )


def _held(spec, form, engine, tp, pp, ep):
    ggml = engine.name in ("llama.cpp", "ollama")
    if ggml or form.group == "gguf":
        name = {"fp32": "F32", "fp16": "F16", "bf16": "BF16", "mxfp4": "MXFP4"}.get(form.name, form.name)
        on_gpu, on_cpu = weights.gguf(spec, name)
        if spec.file_gpu_bytes and form.name == "fp16":
            on_gpu, on_cpu = spec.file_gpu_bytes, spec.file_cpu_bytes
        if not ggml:
            whole = weights.weights(spec, weight_format("bf16"), 1, 1)
            on_gpu += whole.runtime + (0 if spec.tied else on_cpu)
        return on_gpu / (tp * pp), on_gpu / (tp * pp), on_cpu
    if not engine.splits_heads:
        held = weights.weights(spec, form, 1, 1, None, 0, False)
        return held.total / (tp * pp), held.total / (tp * pp), held.embedding
    absorbed = engine.name in ("vllm", "sglang")
    first = weights.weights(spec, form, tp, pp, ep or None, 0, absorbed)
    last = weights.weights(spec, form, tp, pp, ep or None, pp - 1, absorbed)
    return first.total, last.total, first.embedding


def _merged(spec, form, tp, pp):
    """Bytes that products of MLA's projections take over their separate copies, on one GPU.

    W_Q W_UK (queries to the latent), W_QR (their rope part), W_UV W_O (the latent to the output), in the
    weights' own eight bits or else in sixteen.
    """
    if not spec.kv_lora:
        return 0.0
    heads, width = spec.heads // tp, spec.q_lora or spec.hidden
    products = heads * (width * (spec.kv_lora + spec.rope_dim) + spec.kv_lora * spec.hidden)
    separate = heads * (spec.nope_dim + spec.v_dim) * spec.kv_lora * 2
    layers = max(stage.stop - stage.start for stage in tensors.stages(spec.layers, pp))
    return layers * (products * (1 if form.group == "fp8" else 2) - separate)


def _expert_values(spec, form, tp, ep):
    """Values of a token in its experts' two workspaces; MXFP4's fused kernel has none."""
    if not spec.experts or form.name == "mxfp4":
        return 0.0
    inner = spec.moe_intermediate / (1 if ep and ep != tp else tp)
    return spec.experts_per_token * (max(2 * inner, spec.hidden) + inner)
