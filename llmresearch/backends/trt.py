"""TensorRT, and TensorRT-RTX: an engine per model and precision, a cache in two buffers, a recorded graph per step.

The phases are those of hf.py. The engine is built (trt_build.py) for the shapes of all cells that the process will
measure, with the cache form of the export whose shapes never change during a generation. TensorRT-RTX builds on a
machine without a GPU. 8.6 has run on one H200, alone and in batches of four; the tests run it on a stand-in that
computes with ONNX Runtime.

Options of a cell: cuda_graph (true), profile ({batch, tokens, slots}: the most that the engine is built for; the
plan's own without it), compute_capability (of TensorRT-RTX: build for another GPU than the one here).
"""

import time
from importlib.util import find_spec

import numpy as np

from ..export import Variant, artifact, facts
from . import trt_build, trt_profiles, trt_run, trt_versions
from .prompts import batch_of, within
from .trt_build import EngineError
from .trt_device import Device

DTYPES = ("fp32", "fp16", "int8")


class Trt:
    """One TensorRT engine; the phases of hf.py's words."""

    name = "trt"
    options = ("cuda_graph", "profile")  # keys of a cell's options that this backend understands
    clock = staticmethod(time.perf_counter_ns)

    def __init__(self):
        self.marks, self._made, self._asked = [], [], []
        self.padded_tokens = self.engine = self.buffers = self.device = None
        self._armed = False

    def refuses(self, cell):
        """A sentence that says why this machine cannot do what the cell asks, or None."""
        reason = self._refuses_request(cell) or self._refuses_machine()
        return reason and f"{self.name}: {reason}"

    def _refuses_request(self, cell):
        unknown = sorted(set(cell.options) - set(self.options))
        if unknown:
            return f"unknown option {unknown[0]!r}. Known options: {', '.join(self.options)}."
        if cell.device != "cuda":
            return "runs on NVIDIA GPUs only. Write device: cuda, or use ort."
        if cell.dtype not in DTYPES:
            return f"measures {', '.join(DTYPES)}, not {cell.dtype}. Use an engine with such kernels."
        if cell.concurrency != 1:
            return f"serves one request at a time, not {cell.concurrency}. Use an engine with a server."
        return trt_profiles.refusal(cell)

    def _refuses_machine(self):
        if not trt_versions.installed(self.name):
            package = trt_versions.PACKAGES[self.name]
            return f"needs {trt_versions.MODULES[self.name]}, not installed here: {package}."
        lack = trt_versions.driver_lack()
        if lack:
            return f"needs a CUDA device to run an engine; {lack}. Measure on a machine with an NVIDIA GPU."
        if find_spec("pycuda") is None:
            return "needs pycuda, not installed here: pip install pycuda."
        return None

    def expects(self, requests):
        """Untimed, before `load`: the (cell, ids) that this process will measure; the engine is built for all of them."""
        self._asked = [
            trt_profiles.needs(cell, ids) for cell, ids in requests if not trt_profiles.refusal(cell, ids)
        ]

    @classmethod
    def artifact(cls, cell, folder, requests=(), gpu=None):
        """(Path of the engine, its facts) that `load` will use; built if it is not kept yet. Needs no GPU with RTX.

        `requests`: [(batch, tokens at once, slots)], the cell's own without them. `gpu`: {"name", "capability"}.
        """
        api = trt_versions.Api(cls.name)
        method = api.method(cell.dtype)
        onnx = artifact(folder, variant(cell, method))
        profiles = trt_profiles.profiles(list(requests) or [trt_profiles.needs(cell)],
                                         _longest(facts(onnx)), cell.options.get("profile"))  # fmt: skip
        gpu = {"name": None, "capability": trt_versions.TARGET} | (gpu or {})
        gpu["capability"] = cell.options.get("compute_capability") or gpu["capability"]
        calibrator = _calibrator(api, onnx, folder, cell, profiles) if method == "calibrator" else None
        path, found = trt_build.engine(api, onnx, cell.dtype, profiles, gpu, calibrator)
        return path, found | {"onnx": str(onnx), "method": method}

    def load(self, cell, folder):
        """Untimed: the engine, built or kept; the one before it is let go of first."""
        self.close()
        self.device = Device()
        self.path, self.built = self.artifact(cell, folder, self._asked, self.device.gpu)
        self.facts, self.api = facts(self.built["onnx"]), trt_versions.Api(self.name)
        self.engine, self._runtime = trt_run.opened(self.api, self.path)
        self.cell, self.graphs_wanted = cell, bool(cell.options.get("cuda_graph", True))
        self.ran, self._after_prompt = None, None

    def start(self, cell, ids):
        """Untimed: take the prompt, ids[batch][token]; memory and graphs for the calls that follow."""
        self.batch, self.prompt_tokens = batch_of(self.name, ids, self.facts["vocab"])
        self.prompt, self.new_tokens = np.array(ids, np.int32), cell.new_tokens
        self._room(self.prompt, self.new_tokens)
        self._after_prompt = None

    def _room(self, ids, more=0):
        """Memory for `ids` [batch, token] and as many tokens after them, or a refusal of what the model cannot take."""
        whole, longest = ids.shape[1] + more, _longest(self.facts)
        batch_of(self.name, ids.tolist(), self.facts["vocab"])
        within(self.name, whole, longest)
        self._reserve(max(whole, self.prompt_tokens + self.new_tokens, min(trt_profiles.ROOM, longest or trt_profiles.ROOM)))

    def _reserve(self, slots):
        """Buffers for a batch of `slots`; those that are there stay where they are of this size."""
        held = self.buffers and (self.buffers.batch, self.buffers.slots)
        if held == (self.batch, slots):
            return
        lack = trt_profiles.Profiles(**self.built["identity"]["profiles"]).lacks(self.batch, 1, slots)
        if lack:
            raise EngineError(f"{self.name}: {lack}")
        if self.buffers:
            self.buffers.close()  # its contexts hold the profiles, which some versions lend once only
        self.buffers = trt_run.Buffers(
            self.engine, self.device, self.facts, self.batch, slots, self.graphs_wanted, self.api.lends
        )
        self._inspect()
        self._after_prompt = None

    def _inspect(self):
        """What the engine says of its layers' types, once; EngineError where none is what the cell's label promises."""
        self.ran = self.ran or trt_run.inspected(self.api, self.engine, self.buffers.one[0])
        if self.cell.dtype == "int8" and not self.ran.get("int8"):
            raise EngineError(
                f"{self.path.parent.name}: no int8 layers in the engine, only {sorted(self.ran)}. Do not trust its label."
            )

    def prepare(self, phase):
        """Untimed: before `decode`, side 1 of the cache holds the prompt; what stands after it is out of sight."""
        if phase in ("prefill", "e2e"):
            self.buffers.record(self.prompt_tokens)
        if phase == "decode" and self._after_prompt is None:
            self._after_prompt = self._first()

    def _first(self):
        return self.buffers.whole(self.prompt).copy()

    def prefill(self):
        """Timed: one forward over the prompt; gives tokens handled."""
        self._begin()
        self._made = [self._first()]
        self._end()
        return self.batch * self.prompt_tokens

    def decode(self):
        """Timed: new_tokens cached steps after the prompt; gives tokens made."""
        self._begin()
        self._made = []
        self.buffers.restart(self._after_prompt, self.prompt_tokens, side=1)
        self._steps(self.new_tokens)
        self._end()
        return self.batch * self.new_tokens

    def e2e(self):
        """Timed: from the prompt to new_tokens ids, cached; gives tokens made."""
        self._begin()
        self._made = [self._first()]
        self.marks.append(self.clock())
        self._steps(self.new_tokens - 1)
        self._end()
        return self.batch * self.new_tokens

    def generate(self):
        """Timed: new_tokens ids without a cache, the whole prefix again for each; gives tokens made."""
        self._begin()
        ids, self._made = self.prompt, []
        for _ in range(self.new_tokens):
            answer = self.buffers.whole(ids, rows=ids.shape[1])
            self._made.append(answer[:, -1:].copy())
            ids = np.concatenate([ids, self._made[-1]], axis=1)
            self.marks.append(self.clock())
        self._end()
        self._after_prompt = None
        return self.batch * self.new_tokens

    def _steps(self, count):
        step, answer, made, marks, clock = self.buffers.step, self.buffers.answer, self._made, self.marks, self.clock
        for _ in range(count):
            step()
            made.append(answer.copy())
            marks.append(clock())

    def settle(self):
        """Waits until the device is idle."""
        self.device.wait()

    def output(self):
        """The ids of the last call, ids[batch][token]."""
        return np.concatenate(self._made, axis=1).tolist() if self._made else []

    def forced(self, ids, prompt):
        """{"top1", "nll"} along given ids, as in hf.py: the first `prompt` by prefill, the others one cached step each."""
        rows = np.array([ids] * self.batch, np.int32)
        self._room(rows)
        top1, nll = [self._agreed(self.buffers.whole(rows[:, :prompt]))], []
        scores = self.buffers.whole_logits()[-1]
        for place in range(prompt, len(ids)):
            nll.append(_surprise(scores[None], ids[place : place + 1]))
            self.buffers.restart(rows[:, place : place + 1], place)
            self.buffers.step()
            top1.append(self._agreed(self.buffers.answer))
            scores = self.buffers.logits()
        self._after_prompt = None
        return {"top1": top1, "nll": nll}

    def _agreed(self, answer):
        """The id that every row of the batch, given the same ids, was answered by; EngineError where they differ."""
        if (answer != answer[0]).any():
            raise EngineError(f"{self.name}: invalid output: one prompt in {self.batch} rows was answered by "
                              f"{answer.ravel().tolist()}. Use a smaller batch, or another engine.")  # fmt: skip
        return int(answer[0, 0])

    def score(self, ids, first=1):
        """(sum of -log p in nats, tokens) over ids[first:], given all that stands before each in the window."""
        if not 1 <= first < len(ids):
            raise ValueError(f"first: {first} is outside 1 … {len(ids) - 1}, the tokens of the window that have a past.")
        rows = np.array([ids] * self.batch, np.int32)
        self._room(rows)
        total, at_once = 0.0, min(trt_profiles.AT_ONCE, self.built["identity"]["profiles"]["tokens"][2])
        for start in range(0, len(ids) - 1, at_once):
            part = rows[:, start : min(start + at_once, len(ids) - 1)]
            self.buffers.whole(part, part.shape[1], start)
            skip = max(first - 1 - start, 0)
            wanted = ids[start + 1 + skip : start + 1 + part.shape[1]]
            total += _surprise(self.buffers.whole_logits()[skip:], wanted) if wanted else 0.0
        self._after_prompt = None
        return total, len(ids) - first

    def evidence(self):
        """What really ran, read back from the engine, and what building it took."""
        keep = ("build_seconds", "bytes", "from_cache", "rebuilt_because", "network_types", "timing_cache", "method")
        return {
            "engine": trt_versions.MODULES[self.name], "version": self.api.version, "device": "cuda",
            "device_name": self.device.gpu["name"], "compute_capability": self.device.gpu["capability"],
            "dtype": proven(self.cell.dtype, self.ran, self.built["network_types"] if self.api.strong else None),
            "layers": self.ran, "layers_from": "the engine's inspector", "profiles": self.built["identity"]["profiles"],
            "engine_sha256": self.built["sha256"], "onnx_sha256": self.facts["sha256"], "parameters": self.facts["params"],
            "onnx_bytes": self.facts["bytes"], "export_seconds": self.facts.get("export_seconds"),
            "calibration": self.facts["calibration"], "cache": "two buffers in turns, every slot copied in each call",
            "cache_bytes": self.buffers and self.buffers.cache_bytes, "cuda_graph": self.graphs_wanted,
        } | {name: self.built.get(name) for name in keep}  # fmt: skip

    def close(self):
        """Lets go of the engine and of all memory."""
        if self.buffers:
            self.buffers.close()
        self.buffers = self.engine = self._runtime = None
        if self.device:
            self.device.close()
        self.device = None

    def device_start(self):
        """Arms the pair of events for the next call."""
        self._armed = True

    def device_seconds(self):
        """Seconds between the call's first and last work on the GPU's own clock; None where it was not armed."""
        if not self._armed:
            return None
        self._armed = False
        return self.device.between()

    def _begin(self):
        if self._armed:
            self.device.mark(0)

    def _end(self):
        if self._armed:
            self.device.mark(1)


class TrtRtx(Trt):
    """One TensorRT-RTX engine: the same work; it builds without a GPU, for a compute capability that is named."""

    name = "trt-rtx"
    options = (*Trt.options, "compute_capability")


def variant(cell, method):
    """The export that a cell means; a calibrator quantises the fp32 graph itself."""
    if cell.dtype != "int8" or method == "calibrator":
        return Variant(dtype="fp32" if cell.dtype == "int8" else cell.dtype, form="slots")
    return Variant(dtype="int8", form="slots", method=method, seed=cell.seed)


def _longest(known):
    """Positions that a model's table has; None for a model that computes them."""
    return known["positions"] if known["learned_positions"] else None


def _calibrator(api, onnx, folder, cell, profiles):
    from .trt_calibrator import calibrator  # here: only old versions have calibrators

    return lambda: calibrator(api, onnx, folder, cell.seed, profiles)


def proven(label, ran, kept):
    """The precision of most layers as the inspector counts them, or None where it cannot be told.

    `kept`: {type: layers} as parsed, of a version that keeps those types; None of one that chooses. Such a version fuses
    most of a decoder into one layer whose inside nobody tells: inputs wider than the label prove nothing of it.
    """
    if label == "int8":
        return label  # where no layer is, the cell has failed before
    found = _most(ran) or _most(kept or {})
    return None if kept is None and found == "fp32" != label else found


def _most(counted):
    found = {name: counted[name] for name in ("fp32", "fp16") if counted.get(name)}
    return max(found, key=found.get) if found else None


def _surprise(logits, wanted):
    """Σ -log softmax(logits)[wanted] in nats, in double precision."""
    rows = logits.astype(np.float64)
    top = rows.max(-1, keepdims=True)
    whole = top[:, 0] + np.log(np.exp(rows - top).sum(-1))
    return float((whole - rows[np.arange(len(rows)), wanted]).sum())
