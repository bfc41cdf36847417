"""Our own decoder for GPT-2 on one GPU: a few Triton kernels a layer, and one CUDA graph for a whole step.

The phases are those of hf.py. A step takes the id and the position that the one before it left on the
device, and ends by writing the next id into memory that the host reads: so it costs the host one launch and
one wait. No step begins before the host has the id of the one before it. Prompts run through torch's own
matrix products, in a CUDA graph for each length. Weights and cache have the cell's type; sums, residual
stream and logits are fp32.

Options of a cell, for ablations: cuda_graph (true), dependent_launch (true from compute capability 9 on: a
kernel reads its weights while the one before it still runs), capacity (tokens that the cache holds: the
request, or more).
"""

import os
from importlib.util import find_spec

from .fused_decoder import Decoder, FusedError
from .hf import DTYPES, Hf

MOST_ROWS = 8  # sequences: each costs a kernel a turn more, beyond that matrix products win
ROOM = 64  # slots at least, so that a short cell's forced tokens fit as well
POLLS = 20_000  # readings of the answer between two questions whether the device is still at work


class Fused(Hf):
    """One decoder and its CUDA graphs."""

    name = "fused"
    mode_without_gradients = "no_grad"  # buffers outlive the calls that write them
    options = ("cuda_graph", "dependent_launch", "capacity")

    def refuses(self, cell):
        """A sentence that says why this machine cannot do what the cell asks, or None."""
        return self._refuses_request(cell) or self._refuses_machine(cell)

    def _refuses_request(self, cell):
        unknown = sorted(set(cell.options) - set(self.options))
        if unknown:
            return f"{self.name}: unknown option {unknown[0]!r}. Known options: {', '.join(self.options)}."
        if cell.dtype not in DTYPES:
            return f"{self.name}: measures {', '.join(DTYPES)}, not {cell.dtype}. Use an engine with such kernels."
        if cell.batch > MOST_ROWS:
            return f"{self.name}: takes {MOST_ROWS} sequences at most, not {cell.batch}. Use hf-compile for more."
        if cell.concurrency != 1:
            return f"{self.name}: serves one request at a time, not {cell.concurrency}. Use an engine with a server."
        capacity = cell.options.get("capacity", 1)
        if isinstance(capacity, bool) or not isinstance(capacity, int) or capacity < 1:
            return f"{self.name}: capacity: {capacity!r} is not a whole number from 1 up."
        return None

    def _refuses_machine(self, cell):
        if find_spec("torch") is None:
            return f"{self.name}: needs torch, not installed here: pip install llmresearch."
        if cell.device == "cpu" and not interpreted():
            return (
                f"{self.name}: its kernels need a CUDA device. "
                "On a processor TRITON_INTERPRET=1 runs them, for tests only."
            )
        if find_spec("triton") is None:
            return f"{self.name}: needs triton, not installed here: pip install triton."
        return self._refuses_device(cell)

    def load(self, cell, folder):
        """Untimed: the weights on the device; kernels are compiled when a cell starts."""
        import torch

        self.torch, self.no_gradients = torch, torch.no_grad
        self.device = torch.device(cell.device)
        on_gpu = cell.device == "cuda"
        early = on_gpu and torch.cuda.get_device_capability() >= (9, 0)
        self.model = Decoder(
            folder, torch, getattr(torch, DTYPES[cell.dtype]), self.device,
            early and bool(cell.options.get("dependent_launch", True)),
        )  # fmt: skip
        self.positions, self.vocab, self.asked = self.model.a.positions, self.model.a.vocab, cell.options
        self.graphs_wanted = on_gpu and bool(cell.options.get("cuda_graph", True))
        self._shape, self._pool = None, None
        if on_gpu:
            self._events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
            self.device_start = self._arm

    def start(self, cell, ids):
        """Untimed: take the prompt; buffers, kernels and CUDA graphs for this shape are made."""
        super().start(cell, ids)
        tokens = max(self.prompt_tokens + self.new_tokens, ROOM, self.asked.get("capacity", 0))
        with self.no_gradients():
            self._reserve(tokens)
            self._prompt_run(self.prompt_tokens)

    def _reserve(self, tokens):
        """Buffers for `tokens`, and the step over them; those that are there are kept if large enough."""
        if self._shape and self._shape[0] == self.batch and self._shape[1] >= tokens:
            return
        self._shape, self._prompts = (self.batch, tokens), {}
        self.model.reserve(self.batch, tokens)
        self._answer = memoryview(self.model.answer.numpy())
        self.model.restart(0, 0)
        self._run_step = self._recorded(self.model.step)

    def _prompt_run(self, tokens):
        """(ids [batch, token] that both sides see, a function that runs them), made once for each length."""
        if tokens not in self._prompts:
            pinned = self.device.type == "cuda"
            ids = self.torch.zeros(self.batch, tokens, dtype=self.torch.long, pin_memory=pinned)
            self._prompts[tokens] = ids, self._recorded(lambda: self.model.prompt(ids))
        return self._prompts[tokens]

    def _recorded(self, work):
        """A function that does `work`: by replaying a CUDA graph of it where graphs are wanted."""
        work()  # compiles the kernels, and lets libraries choose theirs
        self.settle()
        if not self.graphs_wanted:
            return work
        graph = self.torch.cuda.CUDAGraph()
        with self.torch.cuda.graph(graph, pool=self._pool):
            work()
        self._pool = self._pool or graph.pool()
        return graph.replay

    def decode(self):
        """Timed: new_tokens cached steps from the cache of `prepare`; gives tokens made."""
        self._made = []
        self._device_begin()
        self.model.restart(self.prompt_tokens, self._first[:, 0])
        self._steps(None, self.new_tokens)
        self._device_end()
        return self.batch * self.new_tokens

    def _steps(self, token, count):
        run, answered, made, marks, clock = self._run_step, self._answered, self._made, self.marks, self.clock
        for _ in range(count):
            made.append(answered(run))
            marks.append(clock())

    def _answered(self, run):
        """The ids, [batch][1], that `run` leaves in the host's memory: read until none is missing."""
        answer = self._answer
        for row in range(self.batch):
            answer[row] = -1
        run()
        if self.batch == 1:
            for _ in range(POLLS):
                if (token := answer[0]) >= 0:
                    return [[token]]
        while min(answer) < 0:
            self._still_at_work()
        return [[token] for token in answer]

    def _still_at_work(self):
        """Nothing while the device works, or after it answered; an error of the device is raised here."""
        if self._events and not self.torch.cuda.current_stream().query():
            return
        if min(self._answer) < 0:
            raise FusedError(f"{self.name}: the step ended without an answer: invalid output. Measure hf instead.")

    def _prefill(self, prompt):
        """(next id [batch, 1] on the host, its logits [batch, vocab]); the cache then holds the prompt."""
        ids, run = self._prompt_run(prompt.shape[1])
        ids.copy_(prompt)
        return self.torch.tensor(self._answered(run)), self.model.logits

    def _step(self, ids):
        """(next id [batch, 1] on the host, its logits [batch, vocab]) of one step from these ids."""
        self.model.restart(self._place, ids[:, 0])
        self._place += 1
        return self.torch.tensor(self._answered(self._run_step)), self.model.logits

    def _logits(self, ids):
        return self.model.scores(ids)

    def _to_prompt(self):
        """The first id, on the host; later slots are overwritten in order, and none is read before."""
        if self._after_prompt is None:
            self._after_prompt = self._prefill(self.prompt)[0]
        return self._after_prompt

    def forced(self, ids, prompt):
        """As for `hf`, through the very kernels that are timed."""
        self._check_length(len(ids))
        with self.no_gradients():
            self._reserve(len(ids))
        self._place = prompt
        return super().forced(ids, prompt)

    def evidence(self):
        """What really ran, read back from the weights and the buffers."""
        torch, model = self.torch, self.model
        import triton

        weights = {}
        for tensor in model.tensors():
            key = f"{str(tensor.dtype).removeprefix('torch.')} on {tensor.device.type}"
            weights[key] = weights.get(key, 0) + tensor.numel()
        dtype, device = max(weights, key=weights.get).split(" on ")
        return {
            "engine": "fused", "torch": torch.__version__, "triton": triton.__version__,
            "dtype": {v: k for k, v in DTYPES.items()}.get(dtype, dtype), "device": device,
            "device_name": torch.cuda.get_device_name(self.device) if self._events else None,
            "weights": weights, "parameters": sum(weights.values()),
            "sums": str(model.stream.dtype).removeprefix("torch."),
            "cache": "one buffer, written in place", "cache_bytes": model.cache.numel() * model.cache.element_size(),
            "capacity": model.slots, "kernels_per_step": model.kernels_per_step, "cuda_graph": self.graphs_wanted,
            "dependent_launch": model.early, "interpreted": interpreted(),
        }  # fmt: skip

    def close(self):
        """Lets go of the model, its graphs and its buffers."""
        self._run_step, self._prompts, self._shape, self._pool = None, {}, None, None
        super().close()


def interpreted():
    """Does Triton run kernels as Python on the processor here? Slow, and for tests."""
    return os.environ.get("TRITON_INTERPRET") == "1"
