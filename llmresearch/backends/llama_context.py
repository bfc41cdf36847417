"""A model in llama.cpp, fed with token ids through its C interface: positions, sequences and logits, no text.

Everything that says what ran is read back from the library: its log while loading (tensor types, buffers,
attention), its build flags and commit, the model's own counts.
"""

import ctypes
import os
import re

import numpy as np

KV_TYPES = {
    "f32": "GGML_TYPE_F32",
    "f16": "GGML_TYPE_F16",
    "bf16": "GGML_TYPE_BF16",
    "q8_0": "GGML_TYPE_Q8_0",
}
ATTENTION = {"auto": -1, "off": 0, "on": 1}  # llama_flash_attn_type
OUTPUTS = 128  # rows of logits computed together when scoring; bounds memory at large vocabularies
_SAID = []  # what the library logged
_KEEP = []  # ctypes callbacks, which must outlive their registration


def library():
    """The module of llama.cpp's C functions, its log collected from now on."""
    from llama_cpp import llama_cpp as lib

    if not _KEEP:
        _KEEP.append(
            lib.llama_log_callback(lambda level, text, data: _SAID.append(text.decode(errors="replace")))
        )
        lib.llama_log_set(_KEEP[0], ctypes.c_void_p())
    return lib


def logged():
    """The lines that the library logged in this process."""
    return "".join(_SAID).splitlines()


def last_error(what):
    """An exception for a call that failed: the log's last words that sound like a reason."""
    reasons = [
        line for line in logged() if re.search(r"error|fail|unable|not |cannot|invalid", line, re.IGNORECASE)
    ]
    return RuntimeError(f"llama.cpp: failed to {what}: " + (" | ".join(reasons[-3:]) or "it gave no reason"))


def quantise(source, target, kind):
    """Writes `target`: the GGUF file `source` as another llama_ftype, de-quantised where needed."""
    lib = library()
    params = lib.llama_model_quantize_default_params()
    params.ftype, params.allow_requantize, params.nthread = kind, True, _cores()
    if lib.llama_model_quantize(os.fsencode(source), os.fsencode(target), ctypes.byref(params)):
        raise last_error(f"quantise {source.name}")


def _cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


class Model:
    """A loaded GGUF file. Raises RuntimeError with the library's own reason where it cannot be."""

    def __init__(self, path, gpu_layers, threads):
        self.lib = lib = library()
        self.threads = threads or _cores()
        lib.llama_backend_init()
        _SAID.clear()
        params = lib.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        self.handle = lib.llama_model_load_from_file(os.fsencode(path), params)
        if not self.handle:
            raise last_error(f"load model {path.name}")
        self.vocabulary = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(self.handle))
        self.positions = lib.llama_model_n_ctx_train(self.handle)
        self.gpu_layers = gpu_layers

    def facts(self):
        """What the library says about the model and itself."""
        lib, said = self.lib, logged()
        types = (re.search(r"- type +(\w+): +(\d+) tensors", line) for line in said)
        name = ctypes.create_string_buffer(256)
        lib.llama_model_desc(self.handle, name, len(name))
        parameters, size = lib.llama_model_n_params(self.handle), lib.llama_model_size(self.handle)
        return {
            "ggml_commit": commit(),
            "system": lib.llama_print_system_info().decode().strip(" |"),
            "description": name.value.decode(),
            "parameters": parameters,
            "model_bytes": size,
            "bits_per_weight": round(8 * size / parameters, 3),
            "tensor_types": {found[1].upper(): int(found[2]) for found in types if found},
            "buffers": _buffers(said),
            "threads": self.threads,
            "gpu_layers": self.gpu_layers,
        }

    def close(self):
        """Lets go of the weights."""
        if self.handle:
            self.lib.llama_model_free(self.handle)
        self.handle = None


def _buffers(said):
    """{"CPU KV": MiB, …}: what the model and the newest context occupy, as the library logged it."""
    newest = max(
        (place for place, line in enumerate(said) if "constructing llama_context" in line), default=0
    )
    sizes = {}
    for place, line in enumerate(said):
        found = re.search(r":\s+(\S+) +(\w+) buffer size = +([\d.]+) MiB", line)
        if found and (found[2] == "model" or place > newest):
            name = f"{found[1]} {found[2]} MiB"
            sizes[name] = round(sizes.get(name, 0) + float(found[3]), 2)
    return sizes


def commit():
    """ggml's version and commit, as its library was built."""
    from llama_cpp._ggml import libggml

    libggml.ggml_version.restype = libggml.ggml_commit.restype = ctypes.c_char_p
    return f"{libggml.ggml_version().decode()} ({libggml.ggml_commit().decode()})"


class Context:
    """Room for `sequences` of `length` tokens in the KV cache of a model, and the calls on it."""

    def __init__(self, model, sequences, length, kv, attention, ubatch):
        self.model, self.lib = model, model.lib
        self.sequences, self.length = sequences, length
        lib, params = self.lib, self.lib.llama_context_default_params()
        params.n_ctx = sequences * (-(-length // 256) * 256)
        params.n_seq_max = sequences
        params.n_batch, params.n_ubatch = max(sequences * length, ubatch), ubatch
        params.n_outputs_max = max(OUTPUTS, sequences)
        params.n_threads = params.n_threads_batch = model.threads
        params.type_k = params.type_v = getattr(lib, KV_TYPES[kv])
        params.flash_attn_type = ATTENTION[attention]
        params.swa_full = True  # every position stays, so that the cache can go back to the prompt
        self.handle = lib.llama_init_from_model(model.handle, params)
        if not self.handle:
            raise last_error("create context")
        self.memory = lib.llama_get_memory(self.handle)
        self.prompt = _Batch(lib, sequences * length)
        self.step = _Batch(lib, sequences)

    def clear(self):
        """Forgets everything."""
        self.lib.llama_memory_clear(self.memory, False)

    def keep(self, tokens):
        """Forgets what follows the first `tokens` positions of every sequence."""
        for row in range(self.sequences):
            if not self.lib.llama_memory_seq_rm(self.memory, row, tokens, -1):
                raise last_error("go back to the prompt")

    def run(self, batch):
        """One forward over a filled batch; returns when its logits are on the host."""
        code = self.lib.llama_decode(self.handle, batch.struct)
        if code:
            raise last_error(
                "find a KV slot: could not find a KV slot" if code == 1 else f"decode (code {code})"
            )
        self.lib.llama_synchronize(self.handle)

    def argmax(self, rows):
        """list[int]: the most likely next id for each of these rows of the last batch."""
        return [int(self.logits(row).argmax()) for row in rows]

    def logits(self, row):
        """float32[vocabulary] of one row of the last batch; valid until the next `run`."""
        found = self.lib.llama_get_logits_ith(self.handle, row)
        if not found:
            raise last_error(f"give logits of row {row}")
        return np.ctypeslib.as_array(found, (self.model.vocabulary,))

    def facts(self):
        """How the context was made, as the library logged it."""
        said = logged()
        resolved = [
            m[1] for line in said if (m := re.search(r"Flash Attention (enabled|not supported)", line))
        ]
        asked = [m[1] for line in said if (m := re.search(r"flash_attn += (\w+)", line))]
        cache = [m.groups() for line in said if (m := re.search(r"K \((\w+)\).*V \((\w+)\)", line))]
        return {
            "flash_attention": (resolved or asked or ["unknown"])[-1],
            "kv_cache": "/".join(cache[-1]) if cache else "unknown",
            "context_tokens": self.lib.llama_n_ctx_seq(self.handle),
            "ubatch": self.lib.llama_n_ubatch(self.handle),
        }

    def close(self):
        self.prompt.close()
        self.step.close()
        self.lib.llama_free(self.handle)


class _Batch:
    """A llama_batch whose arrays are numpy views."""

    def __init__(self, lib, size):
        self.lib, self.struct = lib, lib.llama_batch_init(size, 0, 1)
        view = np.ctypeslib.as_array
        self.token, self.pos = view(self.struct.token, (size,)), view(self.struct.pos, (size,))
        self.wanted = view(self.struct.logits, (size,))
        view(self.struct.n_seq_id, (size,))[:] = 1

    def fill(self, rows, start, first_output):
        """Takes ids rows[sequence][token] from position `start`; logits from column `first_output` on.

        Gives the places of the last column in the batch, one per sequence.
        """
        ids = np.asarray(rows, np.int32)
        count, length = ids.shape
        n = ids.size
        self.token[:n] = ids.ravel()
        self.pos[:n] = np.tile(np.arange(start, start + length), count)
        self.wanted[:n] = np.tile(np.arange(length) >= first_output, count)
        for place in range(n):
            self.struct.seq_id[place][0] = place // length
        self.struct.n_tokens = n
        return range(length - 1, n, length)

    def put(self, tokens, position):
        """Takes one id per sequence, all at `position`; after a `fill` of the same shape."""
        self.token[:] = tokens
        self.pos[:] = position

    def close(self):
        self.lib.llama_batch_free(self.struct)
