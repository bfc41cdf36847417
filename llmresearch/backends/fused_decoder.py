"""GPT-2 on one device as fused.py runs it: weights, buffers, the launches of a step and of a prompt."""

from ..export.architecture import read_architecture
from ..export.weights import Weights
from ..records import LlmResearchError

FAMILIES = ("gpt2",)
WIDEST = 8192  # of a row of a matrix, which a program holds whole
# Elements of a matrix in a program, and its warps; `benchmarks/engines_gpu.py blocks` tries others.
BLOCKS = {"qkv": (8192, 4), "attend": (8192, 8), "up": (8192, 4), "down": (8192, 4), "head": (16384, 4)}
MATRICES = {"qkv": "attn.c_attn", "project": "attn.c_proj", "up": "mlp.c_fc", "down": "mlp.c_proj"}
SLOTS_AT_ONCE = 256  # of the cache, in one turn of the softmax


class FusedError(LlmResearchError):
    """A model or a request that these kernels do not serve."""


def architecture_of(folder):
    """The Architecture in `folder`; FusedError for one that the kernels do not know."""
    found = read_architecture(folder)
    if found.family not in FAMILIES:
        raise FusedError(
            f"{folder}: unsupported model type {found.family!r}: fused knows {', '.join(FAMILIES)}. "
            "Measure hf-compile or ort."
        )
    if max(found.hidden, found.inner) > WIDEST:
        raise FusedError(
            f"{folder}: unsupported layer: its rows of {max(found.hidden, found.inner)} are wider than the "
            f"{WIDEST} that fused holds. Measure hf-compile or ort."
        )
    return found


class Layer:
    """The weights of one layer: matrices [out, in] and biases in the model's type, norms in fp32."""

    def __init__(self, weights, name, put, wide):
        for short, place in MATRICES.items():
            setattr(self, short, put(weights[f"{name}.{place}.weight"].T))
            setattr(self, f"{short}_bias", put(weights[f"{name}.{place}.bias"]))
        self.norms = [tuple(wide(weights[f"{name}.ln_{i}.{part}"]) for part in ("weight", "bias")) for i in (1, 2)]


class Decoder:
    """The model's weights on a device, and its buffers for one batch and so many slots."""

    def __init__(self, folder, torch, dtype, device, early):
        from . import fused_kernels  # triton is loaded only where this engine is

        self.torch, self.kernels, self.dtype, self.device, self.early = torch, fused_kernels, dtype, device, early
        self.a = architecture_of(folder)
        weights = Weights(folder)
        self.layers = [Layer(weights, f"h.{i}", self._put, self._wide) for i in range(self.a.layers)]
        self.table, self.places = self._put(weights["wte.weight"]), self._put(weights["wpe.weight"])
        self.last_norm = self._wide(weights["ln_f.weight"]), self._wide(weights["ln_f.bias"])
        self.output = self.table if self.a.tied else self._put(weights["lm_head.weight"])
        self.launches = 0

    def _put(self, array):
        return self.torch.from_numpy(array).to(self.device, self.dtype).contiguous()

    def _wide(self, array):
        return self.torch.from_numpy(array).to(self.device)

    def tensors(self):
        """Every weight, each once."""
        found = [self.table, self.places, *self.last_norm]
        if self.output is not self.table:
            found.append(self.output)
        for layer in self.layers:
            found += [value for value in vars(layer).values() if not isinstance(value, list)]
            found += [half for norm in layer.norms for half in norm]
        return found

    def reserve(self, batch, slots):
        """Buffers for `batch` sequences of up to `slots` tokens; host and device both see the answer."""
        torch, a, fp32 = self.torch, self.a, {"dtype": self.torch.float32, "device": self.device}
        self.batch, self.slots = batch, slots
        self.state = torch.zeros(1 + batch, dtype=torch.int32, device=self.device)
        self.cache = torch.zeros(a.layers, batch, slots, 2 * a.hidden, dtype=self.dtype, device=self.device)
        self.stream, self.query = (torch.zeros(batch, a.hidden, **fp32) for _ in range(2))
        self.part = torch.zeros(batch, a.heads, a.hidden, **fp32)
        self.active, self.logits = torch.zeros(batch, a.inner, **fp32), torch.zeros(batch, a.vocab, **fp32)
        blocks = -(-a.vocab // self._rows("head", a.hidden)[0])
        self.best = torch.zeros(batch, blocks, **fp32)
        self.place = torch.zeros(batch, blocks, dtype=torch.int32, device=self.device)
        pinned = self.device.type == "cuda"
        self.answer = torch.zeros(batch, dtype=torch.int32, pin_memory=pinned)
        self.next_state = torch.zeros(1 + batch, dtype=torch.int32, pin_memory=pinned)

    def _rows(self, name, width):
        """(rows of a matrix that a program holds, warps, width of a block)."""
        elements, warps = BLOCKS[name]
        covered = power_of_two(width)
        return max(1, elements // covered), warps, covered

    def _launch(self, name, width, out, grid, *arguments, **constants):
        rows, warps, covered = self._rows(name, width)
        self.launches += 1
        extra = {"launch_pdl": True} if self.early else {}
        block = {"WIDTH": covered} if name != "attend" else {"HEAD_BLOCK": covered}
        getattr(self.kernels, name)[grid(-(-out // rows))](
            *arguments, **constants, **block, ROWS=rows, EARLY=self.early, num_warps=warps, **extra)  # fmt: skip

    def step(self):
        """One token a sequence: from the ids and the position in `state` to the next ones."""
        self.launches = 0
        for number in range(self.a.layers):
            self.layer(number)
        self.head()
        self.kernels_per_step = self.launches

    def layer(self, number):
        """The four kernels of one layer."""
        a, layer, cache = self.a, self.layers[number], self.cache[number]
        size = {"BATCH": self.batch, "HIDDEN": a.hidden}
        whole = size | {"HEADS": a.heads, "HEADS_BLOCK": power_of_two(a.heads), "INNER": a.inner}
        self._launch("qkv", a.hidden, 3 * a.hidden, _line, self.state, self.stream, self.table, self.places,
                     *layer.norms[0], layer.qkv, layer.qkv_bias, self.query, cache, self.slots,
                     FIRST=number == 0, EPSILON=a.epsilon, **size)  # fmt: skip
        self._launch("attend", a.head_width, a.hidden, lambda blocks: (a.heads, blocks, self.batch), self.state,
                     self.query, cache, layer.project, self.part, self.slots, SCALE=a.scale, HIDDEN=a.hidden,
                     HEADS=a.heads, HEAD=a.head_width, SLOTS=SLOTS_AT_ONCE)  # fmt: skip
        self._launch("up", a.hidden, a.inner, _line, self.stream, self.part, layer.project_bias, *layer.norms[1],
                     layer.up, layer.up_bias, self.active, EPSILON=a.epsilon, **whole)  # fmt: skip
        self._launch("down", a.inner, a.hidden, _line, self.stream, self.part, layer.project_bias, self.active,
                     layer.down, layer.down_bias, **whole)  # fmt: skip

    def head(self, start=-1):
        """Logits, argmax and the next state; `start` is the new position, or -1: one more."""
        a, blocks = self.a, self.best.shape[1]
        self._launch("head", a.hidden, a.vocab, _line, self.stream, *self.last_norm, self.output,
                     self.logits, self.best, self.place, BATCH=self.batch, HIDDEN=a.hidden, VOCAB=a.vocab,
                     EPSILON=a.epsilon)  # fmt: skip
        extra = {"launch_pdl": True} if self.early else {}
        self.launches += 1
        self.kernels.choose[(1,)](
            self.state, self.best, self.place, self.answer, start, BATCH=self.batch, BLOCKS=blocks,
            BLOCKS_BLOCK=power_of_two(blocks), EARLY=self.early, num_warps=8, **extra)  # fmt: skip

    def restart(self, position, ids):
        """Queues the state from which the next step begins: its position, and an id for each sequence."""
        self.next_state[0] = position
        self.next_state[1:] = ids
        self.state.copy_(self.next_state, non_blocking=True)

    def prompt(self, ids):
        """The whole of ids [batch, token] from an empty cache, up to the next ids and the new position."""
        tokens = ids.shape[1]
        stream, more = self._through(ids, self.cache)
        last, added = (part.view(self.batch, tokens, -1)[:, -1] for part in (stream, more))
        self.torch.add(last, added, out=self.stream)
        self.head(start=tokens)

    def scores(self, ids):
        """fp32 logits [batch, token, vocab] of ids [batch, token], without a cache."""
        stream, more = self._through(ids)
        out = self._add_norm(stream, more, *self.last_norm)
        return self.torch.nn.functional.linear(out, self.output).float().view(*ids.shape, -1)

    def _through(self, ids, cache=None):
        """(the residual stream, what the last layer adds to it), both [sequence · token, hidden]."""
        torch, a = self.torch, self.a
        linear, tokens = torch.nn.functional.linear, ids.shape[1]
        stream = torch.empty(ids.numel(), a.hidden, dtype=torch.float32, device=self.device)
        self.kernels.embed[(ids.numel(),)](
            ids, self.table, self.places, stream, tokens, HIDDEN=a.hidden, WIDTH=power_of_two(a.hidden))  # fmt: skip
        more = None
        for number, layer in enumerate(self.layers):
            mixed = linear(self._add_norm(stream, more, *layer.norms[0]), layer.qkv, layer.qkv_bias)
            mixed = mixed.view(*ids.shape, 3 * a.hidden)
            if cache is not None:
                cache[number, :, :tokens].copy_(mixed[..., a.hidden :])
            q, k, v = mixed.view(*ids.shape, 3, a.heads, a.head_width).permute(2, 0, 3, 1, 4)
            out = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=a.scale)
            more = linear(out.transpose(1, 2).reshape(ids.numel(), a.hidden), layer.project, layer.project_bias)
            active = linear(self._add_norm(stream, more, *layer.norms[1]), layer.up, layer.up_bias)
            more = linear(torch.nn.functional.gelu(active, approximate="tanh"), layer.down, layer.down_bias)
        return stream, more

    def _add_norm(self, stream, more, gain, shift):
        """The LayerNorm of the residual stream after `more` was added to it, in the model's type."""
        out = self.torch.empty(stream.shape, dtype=self.dtype, device=self.device)
        self.kernels.add_norm[(stream.shape[0],)](
            stream, stream if more is None else more, gain, shift, out, ADD=more is not None, HIDDEN=self.a.hidden,
            EPSILON=self.a.epsilon, WIDTH=power_of_two(self.a.hidden))  # fmt: skip
        return out


def _line(blocks):
    """The grid of a kernel whose programs differ in their rows only."""
    return (blocks,)


def power_of_two(size):
    """The least power of two that is no less than `size`."""
    return 1 << (size - 1).bit_length()
