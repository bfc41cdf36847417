"""The engines by name: one file and one line each. A worker loads the class; the parent needs the names only.

A backend is a class with these methods; `fake.py` is the smallest complete one, of a law instead of weights.

    refuses(cell)        a sentence that says why this machine cannot do what the cell asks, or None
    load(cell, folder)   untimed: the engine and the model from its local folder; heavy imports go here
    start(cell, ids)     untimed: take the prompt, ids[batch][token], for the calls that follow
    prepare(phase)       untimed, before every call: bring the KV cache to where the phase begins
    prefill()            timed: prompt ids on the host in, next id on the host out; gives tokens handled
    decode()             timed: `new_tokens` cached steps after the prompt, each feeding back its argmax
    e2e()                timed: prompt to `new_tokens` ids: one prefill and `new_tokens - 1` steps
    generate()           timed: the same ids without a KV cache (kept to explain the earlier studies' failures)
    settle()             wait until the device is idle; called before each reading of the clock
    output()             the ids of the last call, ids[batch][token]
    forced(ids, prompt)  {"top1": […], "nll": […]} through the cached path: the argmax after ids[:prompt] and after each
                         id that follows, and minus the log probability of each of those ids, in nats
    score(ids, first)    (summed minus log probability of ids[first:], how many); left out where an engine tells none
    evidence()           what really ran, read back from the engine
    close()              let go of the model

`name` is its name here, and `options` the keys of a cell's options that it understands: it refuses others by name.
The loaded weights hang on `model` or `session`, so that a test sees them go. What `start` cannot take, a batch of uneven
rows or a prompt that is too long, `prompts.py` refuses in words that all engines share.
`clock` returns integer nanoseconds. `decode` and `e2e` append `clock()` to `marks` once each token is on the host.
`needs_weights = False` says that the engine wants no model folder (a function of the cell: whether this one does),
`remains()` gives evidence of a load that failed, `virtual = True` that its clock is not the machine's.
An engine that is built for shapes may add `expects([(cell, ids), …])`, told before `load` what its process will measure.
A CUDA engine may add `device_start()` and `device_seconds()` (device events around a call), an engine with a server of
its own `processes()` (ids of the processes that do its work).
"""

from importlib import import_module

from ..records import LlmResearchError

BACKENDS = {
    "fake": "fake.Fake",
    "hf": "hf.Hf",
    "hf-compile": "hf_compile.HfCompile",
    "ort": "ort.Ort",
    "llamacpp": "llamacpp.LlamaCpp",
    "ollama": "ollama_http.Ollama",
    "openai": "openai_http.OpenAi",
    "hf-slowed": "hf_slowed.HfSlowed",
    "vllm": "vllm_offline.Vllm",
    "fused": "fused.Fused",
    "trt": "trt.Trt",
    "trt-rtx": "trt.TrtRtx",
}

# The names of the earlier studies: (backend, device, dtype or None).
ALIASES = {
    "transformers-cpu": ("hf", "cpu", None),
    "transformers-gpu": ("hf", "cuda", None),
    "transformers-cpu-compile": ("hf-compile", "cpu", None),
    "transformers-gpu-compile": ("hf-compile", "cuda", None),
    "onnxruntime": ("ort", None, None),
    "onnxruntime-cpu": ("ort", "cpu", None),
    "onnxruntime-gpu": ("ort", "cuda", None),
    "tensorrt": ("trt", "cuda", None),
    "tensorrt-fp32": ("trt", "cuda", "fp32"),
    "tensorrt-fp16": ("trt", "cuda", "fp16"),
    "tensorrt-int8": ("trt", "cuda", "int8"),
}


class UnknownBackend(LlmResearchError):
    """A backend's name that nobody knows."""


def resolve(name):
    """(backend, device or None, dtype or None) for a name of ours or of the earlier studies."""
    known = ALIASES.get(name, (name, None, None))
    if known[0] not in BACKENDS:
        raise UnknownBackend(f"backends: unknown backend {name!r}. Known: {', '.join([*BACKENDS, *ALIASES])}.")
    return known


def backend(name):
    """The backend's class; what stands behind a colon in the name is only the user's label."""
    module, kind = BACKENDS[resolve(name.partition(":")[0])[0]].split(".")
    return getattr(import_module(f".{module}", __name__), kind)
