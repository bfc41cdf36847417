"""A pasted start-up log, read: vLLM (0.2 to today), SGLang, llama.cpp and Ollama. Sizes come out in bytes."""

import re

from .formats import GIB, SizerError

MIB = 2**20
_UNITS = {
    "gib": GIB,
    "gb": GIB,
    "mib": MIB,
    "mb": MIB,
}  # vLLM's and llama.cpp's "GB" and "MB" are powers of two
_SIZE = r"\s*(-?[\d.]+)\s*(GiB|GB|MiB|MB)"
_ANSI = re.compile(r"\x1b\[[0-9;]*m")

# key -> patterns, the most precise first; the first line that has one counts (rank 0 prints first).
_VLLM = {
    "weights_bytes": (
        r"weights memory:" + _SIZE,
        r"Model loading took" + _SIZE,
        r"Loading model weights took" + _SIZE,
        r"model weights take" + _SIZE,
        r"Actual usage(?: is|:)\s*(-?[\d.]+)\s*(GiB) for weight",
    ),
    "activation_bytes": (
        r"torch peak memory increase:" + _SIZE,
        r"PyTorch activation peak memory(?: takes)?" + _SIZE,
        r"(-?[\d.]+)\s*(GiB) for peak activation",
    ),
    "non_torch_bytes": (
        r"non-torch forward increase memory:" + _SIZE,
        r"non_torch_memory(?: takes|=)?" + _SIZE,
        r"(-?[\d.]+)\s*(GiB) for non-torch memory",
    ),
    "non_kv_bytes": (r"Total non KV cache memory:" + _SIZE,),
    "peak_torch_bytes": (r"peak_torch_memory=" + _SIZE,),
    "kv_pool_bytes": (
        r"Available KV cache memory:" + _SIZE,
        r"the rest of the memory reserved for KV Cache is" + _SIZE,
        r"available_kv_cache_memory" + _SIZE,
        r"kv_cache_size=" + _SIZE,
    ),
    "cuda_graphs_bytes": (
        r"Graph capturing finished in .*?took" + _SIZE,
        r"(-?[\d.]+)\s*(GiB) for (?:CUDAGraph|CUDA graph|NPU graph) memory",
    ),
    "cuda_graphs_estimated_bytes": (r"Estimated CUDA graph memory:" + _SIZE,),
    "total_bytes": (
        r"total_gpu_memory(?: \(|=|\s+)\(?" + _SIZE,
        r"Free memory on device \([\d.]+/([\d.]+)\s*(GiB)\)",
        r"Free memory on device cuda:\d+ \([\d.]+/([\d.]+)\s*(GiB)\)",
    ),
    "budget_bytes": (
        r"gpu_memory_utilization \([\d.]+\) =" + _SIZE,
        r"Requested memory: [\d.]+ \(util\)," + _SIZE,
        r"Desired GPU memory utilization is \([\d.]+," + _SIZE,
        r"the current vLLM instance can use" + _SIZE,
    ),
}
_VLLM_NUMBERS = {
    "kv_pool_tokens": (r"GPU KV cache size:\s*([\d,]+) tokens",),
    "gpu_blocks": (r"# (?:GPU|CUDA|cuda) blocks:\s*([\d,]+)",),
    "max_concurrency": (r"Maximum concurrency for [\d,]+ tokens per request:\s*([\d.]+)x",),
    "max_model_len": (r"max_seq_len=(\d+)", r"Maximum concurrency for ([\d,]+) tokens per request"),
    "tp": (r"tensor_parallel_size=(\d+)",),
    "pp": (r"pipeline_parallel_size=(\d+)",),
    "gpu_memory_utilization": (
        r"gpu_memory_utilization(?:=| \(|\s+)([\d.]+)", r"Requested memory: ([\d.]+) \(util\)",
        r"Desired GPU memory utilization is \(([\d.]+)",
    ),
}  # fmt: skip
_VLLM_WORDS = {
    "model": (r"config: model='([^']+)'", r"model='([^']+)'"),
    "engine_version": (r"LLM engine \(v([^)\s]+)\)", r"vLLM (?:API server )?version:?\s*v?(\d[\w.+-]*)"),
    "quantization": (r"quantization=([\w-]+)",),
    "kv_cache_dtype": (r"kv_cache_dtype=([\w.-]+)",),
}
_SGLANG = re.compile(r"KV Cache is allocated\..*?#tokens:\s*([\d,]+), K size:" + _SIZE + r", V size:" + _SIZE)
_DEVICE = r"((?:CUDA|ROCm|Vulkan|SYCL|HIP|MUSA|Metal|MTL|GPU|HTP|CANN)\d*)(?!_Host)\S*"
_GGML = {
    "weights_bytes": re.compile(
        r"(?:load_tensors|llm_load_tensors):\s+" + _DEVICE + r"(?: model)? buffer size =" + _SIZE
    ),
    "kv_pool_bytes": re.compile(_DEVICE + r" KV buffer size =" + _SIZE),
    "state_bytes": re.compile(_DEVICE + r" RS buffer size =" + _SIZE),
    "activation_bytes": re.compile(_DEVICE + r"\s+compute buffer size =" + _SIZE),
}
_GGML_CPU = re.compile(
    r"(?:load_tensors|llm_load_tensors):\s+(?:CPU\S*|\w+_Host)(?: model)? buffer size =" + _SIZE
)
_GGML_SELF = re.compile(r"KV self size\s*=" + _SIZE)
_GGML_SIZE = re.compile(r"llama_kv_cache\S*: size =" + _SIZE + r"\s*\(\s*(\d+) cells")


def parse_log(text):
    """What a start-up log says, as a dict: sizes as <component>_bytes, `engine`, and what else it names.

    Of several ranks the first counts; of several devices of llama.cpp the fullest, as `estimate` answers per
    GPU. GiB and MiB are powers of two, and so are the "GB" and "MB" of vLLM's old logs. Raises SizerError
    where nothing is found.
    """
    text = _ANSI.sub("", text)
    found = _vllm(text)
    engine = "vllm"
    if not any(key.endswith("_bytes") for key in found):
        found, engine = _ggml(text), "llama.cpp"
    if sglang := _SGLANG.search(text):
        sizes = [_bytes(sglang[2], sglang[3]), _bytes(sglang[4], sglang[5])]
        found |= {"kv_pool_tokens": int(sglang[1].replace(",", "")), "kv_pool_bytes": sum(sizes)}
        engine = "sglang"
    if not found:
        raise SizerError(
            "log: no line of vLLM, SGLang or llama.cpp that states memory was found;"
            " paste the lines from start-up, with VLLM_LOGGING_LEVEL=DEBUG for every component."
        )
    return {"engine": engine} | found


def _bytes(number, unit):
    return round(float(number) * _UNITS[unit.lower()])


def _vllm(text):
    found = {}
    for key, patterns in _VLLM.items():
        if match := _first(patterns, text):
            found[key] = _bytes(match[1], match[2])
    for key, patterns in _VLLM_NUMBERS.items():
        if match := _first(patterns, text):
            number = float(match[1].replace(",", "").rstrip("."))
            found[key] = number if key in ("max_concurrency", "gpu_memory_utilization") else int(number)
    for key, patterns in _VLLM_WORDS.items():
        if match := _first(patterns, text):
            found[key] = match[1]
    return _completed(found) if any(key.endswith("_bytes") for key in found) or "gpu_blocks" in found else {}


def _first(patterns, text):
    return next((match for pattern in patterns if (match := re.search(pattern, text))), None)


def _completed(found):
    """The same with what follows: tokens from blocks of 16, activation from the peak, bytes a token."""
    if "kv_pool_tokens" not in found and "gpu_blocks" in found:
        found["kv_pool_tokens"] = found["gpu_blocks"] * 16
    if "activation_bytes" not in found and {"peak_torch_bytes", "weights_bytes"} <= set(found):
        found["activation_bytes"] = found["peak_torch_bytes"] - found["weights_bytes"]
    if found.get("kv_pool_tokens") and found.get("kv_pool_bytes"):
        found["kv_per_token_bytes"] = found["kv_pool_bytes"] / found["kv_pool_tokens"]
    return found


def _ggml(text):
    found = {}
    devices = set()
    for key, pattern in _GGML.items():
        sizes = {}
        for device, number, unit in pattern.findall(text):
            sizes[device] = sizes.get(device, 0) + _bytes(number, unit)
        if sizes:
            found[key] = max(sizes.values())
            devices |= set(sizes)
    on_cpu = [_bytes(number, unit) for number, unit in _GGML_CPU.findall(text)]
    if on_cpu:
        found["weights_on_cpu_bytes"] = sum(on_cpu)
    return _ggml_cache(text, found) | ({"gpus": len(devices)} if devices else {})


def _ggml_cache(text, found):
    sizes = [_bytes(number, unit) for number, unit, _ in _GGML_SIZE.findall(text)]
    whole = _GGML_SELF.search(text)
    if sizes or whole:
        found["kv_cache_bytes"] = sum(sizes) or _bytes(whole[1], whole[2])
        found.setdefault("kv_pool_bytes", found["kv_cache_bytes"])
    cells = _GGML_SIZE.search(text)
    context = re.search(r"\bn_ctx\s*=\s*(\d+)", text)
    tokens = int(cells[3]) if cells else int(context[1]) if context else 0
    if tokens and found.get("kv_cache_bytes"):
        found["kv_pool_tokens"] = max([tokens] + [int(n) for *_, n in _GGML_SIZE.findall(text)])
        found["kv_per_token_bytes"] = found["kv_cache_bytes"] / found["kv_pool_tokens"]
    return found


COMPARED = ("weights", "activation", "non_torch", "cuda_graphs", "kv_per_token", "kv_pool", "kv_pool_tokens")


def question(found, model=None, **given):
    """(model, arguments of `estimate`) that a parsed log asks: what it names, and what is given here before it.

    Raises SizerError where neither names the model.
    """
    asked = {
        key: found[key]
        for key in ("engine", "engine_version", "tp", "pp", "gpu_memory_utilization")
        if key in found
    }
    if "total_bytes" in found:
        asked["gpu_memory_gib"] = found["total_bytes"] / GIB
    elif {"budget_bytes", "gpu_memory_utilization"} <= set(found):
        asked["gpu_memory_gib"] = found["budget_bytes"] / found["gpu_memory_utilization"] / GIB
    asked["max_model_len"] = found.get("max_model_len", 4096)
    if found.get("quantization", "None") != "None":
        asked["weight_format"] = found["quantization"]
    name = model or found.get("model")
    if name is None:
        raise SizerError("log: it does not name the model; give model=.")
    return name, asked | given


def compare_log(text, model=None, **given):
    """Rows of (component, measured, low, predicted, high, error in percent) for a pasted log, sizes in bytes.

    What the log names (model, version, split, share, length) is taken from it; arguments given here come
    before. The arguments are those of `estimate`.
    """
    from .estimating import estimate

    found = parse_log(text)
    name, asked = question(found, model, **given)
    answer = estimate(name, **asked)
    rows = []
    for part in COMPARED:
        measured = found.get(f"{part}_bytes", found.get(part))
        guess = getattr(answer, part)
        if measured is not None:
            error = 100 * (guess.value / measured - 1) if measured else float("nan")
            rows.append((part, float(measured), guess.low, guess.value, guess.high, error))
    return rows
