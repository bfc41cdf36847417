"""The decoder itself, family by family: embedding, blocks, output layer, and the graph's inputs and outputs.

Inputs: input_ids and position_ids [batch, token] int32, cache_positions [batch, slot] int32 (forms.py),
logits_at [row] int32 (the places in the sequence whose scores are wanted), past_key_values.N.key and .value.
Outputs: logits [batch, row, vocab] fp32, next_ids [batch, row] int32 (their argmax), next_positions [batch,
1] int32, present.N.key and .value. next_positions is ready after next_ids, so an engine may be given the
memory of position_ids for it, and that of input_ids for next_ids: a decode step then feeds the next one
without the host.
"""

import numpy as np

from .architecture import ExportError

INPUTS = ("input_ids", "position_ids", "cache_positions", "logits_at")


class Decoder:
    """One graph under construction; `build()` writes all of it into the graph."""

    def __init__(self, architecture, weights, graph, form, layers, dtype):
        self.a, self.w, self.g, self.form, self.layers = architecture, weights, graph, form, layers
        self.dtype = dtype
        gemma = architecture.family == "gemma3_text"
        self.stream = np.dtype(np.float32) if gemma else dtype  # Gemma's sums grow beyond fp16

    def build(self):
        g = self.g
        ids, positions = (g.input(name, np.int32, ["batch", "token"]) for name in INPUTS[:2])
        slots = g.input("cache_positions", np.int32, ["batch", "slot"])
        at = g.input("logits_at", np.int32, ["row"])
        pasts = [self._past(layer) for layer in range(self.a.layers)]
        self.form.prepare(positions, slots)
        self.waves = self._waves(positions)
        x, table = self._embedded(ids, positions)
        for layer, past in enumerate(pasts):
            g.scope = f"layer_{layer}/"
            x = self._block(x, layer, past)
        g.scope = ""
        self._answer(self._norm(g("Gather", x, at, axis=1), self._last_norm), table, positions)

    @property
    def _last_norm(self):
        return "ln_f" if self.a.family == "gpt2" else "norm"

    def _past(self, layer):
        shape = [
            "batch",
            self.a.kv_heads,
            "past" if self.form.name == "growing" else "slot",
            self.a.head_width,
        ]
        return [
            self.g.input(f"past_key_values.{layer}.{part}", self.dtype, shape) for part in ("key", "value")
        ]

    def _waves(self, positions):
        """Per kind of layer the (cos, sin) of its rotary embedding, computed in fp32 from the positions."""
        g = self.g
        if not self.a.frequencies:
            return {}
        column = g("Unsqueeze", g("Cast", positions, to=1), g.constant([2], np.int64))
        found = {}
        for kind, frequencies in self.a.frequencies.items():
            row = g.weight(f"frequencies.{kind}", np.array(frequencies, np.float32)[None, None])
            found[kind] = [self._narrow(wave, np.float32) for wave in self.form.waves(g("Mul", column, row))]
        return found

    def _embedded(self, ids, positions):
        """(residual stream [batch, token, hidden], embedding table)."""
        g, a = self.g, self.a
        name = "wte.weight" if a.family == "gpt2" else "embed_tokens.weight"
        table = self.layers.table(name, self._sized(name, self.w[name], (a.vocab, a.hidden)))
        x = self.layers.rows(table, ids)
        if a.family == "gpt2":
            places = self._sized("wpe.weight", self.w["wpe.weight"], (a.positions, a.hidden))
            x = g("Add", x, g("Gather", self.layers.array("wpe.weight", places), positions, axis=0))
        if a.family == "gemma3_text":
            x = g("Mul", x, g.constant(np.float32(a.hidden**0.5), self.dtype))
        return self._widen(x), table

    def _block(self, x, layer, past):
        gpt2, gemma = self.a.family == "gpt2", self.a.family == "gemma3_text"
        h = f"h.{layer}" if gpt2 else f"layers.{layer}"
        before = ("ln_1", "ln_2") if gpt2 else ("input_layernorm", "post_attention_layernorm")
        if gemma:
            before = ("input_layernorm", "pre_feedforward_layernorm")
        y = self._attention(self._norm(x, f"{h}.{before[0]}"), h, layer, past)
        x = self._sum(x, y, f"{h}.post_attention_layernorm" if gemma else None)
        y = self._feed_forward(self._norm(x, f"{h}.{before[1]}"), h)
        return self._sum(x, y, f"{h}.post_feedforward_layernorm" if gemma else None)

    def _sum(self, x, y, norm):
        y = self._widen(y)
        return self.g("Add", x, self._normed(y, norm) if norm else y)

    def _norm(self, x, name):
        """The normalised residual stream, in the type of the matrices."""
        return self._narrow(self._normed(x, name), self.stream)

    def _normed(self, x, name, dtype=None):
        dtype = dtype or self.stream
        weight = self.w[f"{name}.weight"]
        if self.a.family == "gpt2":
            bias = self.layers.array(f"{name}.bias", self.w[f"{name}.bias"], dtype)
            return self.form.layer_norm(x, self.layers.array(f"{name}.weight", weight, dtype), bias)
        weight = weight + 1 if self.a.family == "gemma3_text" else weight
        return self.form.rms_norm(x, self.layers.array(f"{name}.weight", weight, dtype), dtype)

    def _attention(self, x, h, layer, past):
        g, a = self.g, self.a
        kind = a.kinds[layer]
        x = self._linear(
            x, h, "attn.c_attn" if a.family == "gpt2" else "self_attn", ("q_proj", "k_proj", "v_proj")
        )
        together = g.constant([0, 0, a.heads + 2 * a.kv_heads, a.head_width], np.int64)
        x = g("Transpose", g("Reshape", x, together), perm=[0, 2, 1, 3])
        q, k, v = g("Split", x, g.constant([a.heads, a.kv_heads, a.kv_heads], np.int64), outputs=3, axis=1)
        if a.head_norms:
            q = self._normed(q, f"{h}.self_attn.q_norm", self.dtype)
            k = self._normed(k, f"{h}.self_attn.k_norm", self.dtype)
        if kind in self.waves:
            q, k = (self.form.rotate(part, self.waves[kind]) for part in (q, k))
        k, v = self._kept(layer, past, k, v)
        x = g("Transpose", self.form.attend(q, k, v, kind), perm=[0, 2, 1, 3])
        x = g("Reshape", x, g.constant([0, 0, a.heads * a.head_width], np.int64))
        return self._linear(x, h, "attn.c_proj" if a.family == "gpt2" else "self_attn", ("o_proj",))

    def _kept(self, layer, past, k, v):
        """(keys, values) of the whole context, which are also the graph's outputs."""
        slots = "present" if self.form.name == "growing" else "slot"
        shape = ["batch", self.a.kv_heads, slots, self.a.head_width]
        return [
            self.g.output(self.form.cached(old, new), f"present.{layer}.{part}", self.dtype, shape)
            for part, old, new in zip(("key", "value"), past, (k, v))
        ]

    def _feed_forward(self, x, h):
        g, a = self.g, self.a
        if a.family == "gpt2":
            return self._linear(self.form.gelu(self._linear(x, h, "mlp.c_fc")), h, "mlp.c_proj")
        both = self._linear(x, h, "mlp", ("gate_proj", "up_proj"))
        gate, up = g("Split", both, g.constant([a.inner, a.inner], np.int64), outputs=2, axis=-1)
        gate = g("Mul", gate, g("Sigmoid", gate)) if a.activation == "silu" else self.form.gelu(gate)
        return self._linear(g("Mul", gate, up), h, "mlp", ("down_proj",))

    def _linear(self, x, h, place, parts=()):
        """One matrix product; layers side by side become one. GPT-2 keeps its matrices [in, out], the others [out, in]."""
        if self.a.family == "gpt2":
            name = f"{h}.{place}"
            matrix, bias = self.w[f"{name}.weight"], self.w[f"{name}.bias"]
        else:
            name = f"{h}.{place}.{'+'.join(parts)}"
            matrix, bias = self.w.linear(*(f"{h}.{place}.{part}" for part in parts))
        return self.layers.linear(x, name, self._sized(name, matrix, self._shape(parts[0] if parts else place)), bias)

    def _shape(self, place):
        """(in, out) of a block's matrix, as the configuration has it."""
        a = self.a
        into, out_of = (a.hidden, (a.heads + 2 * a.kv_heads) * a.head_width), (a.heads * a.head_width, a.hidden)
        known = {
            "attn.c_attn": into, "q_proj": into, "attn.c_proj": out_of, "o_proj": out_of,
            "mlp.c_fc": (a.hidden, a.inner), "gate_proj": (a.hidden, 2 * a.inner),
            "mlp.c_proj": (a.inner, a.hidden), "down_proj": (a.inner, a.hidden),
        }  # fmt: skip
        return known[place]

    def _sized(self, name, matrix, shape):
        """The matrix; ExportError where the configuration has another shape for it."""
        if matrix.shape == shape:
            return matrix
        raise ExportError(f"{self.w.folder}: {name} is {matrix.shape}, and by config.json it would be {shape}. Its "
                          "config.json belongs to another model.")  # fmt: skip

    def _answer(self, x, table, positions):
        g, rows = self.g, ["batch", "row"]
        if not self.a.tied:
            head = self._sized("lm_head.weight", self.w["lm_head.weight"], (self.a.vocab, self.a.hidden))
            table = self.layers.table("lm_head.weight", head)
        logits = self._cast(self.layers.head(x, table, "head"), self.dtype, np.dtype(np.float32))
        best = g("Cast", g("ArgMax", logits, axis=-1, keepdims=0), to=6)
        self._next_positions(best, positions)
        g.output(logits, "logits", np.float32, [*rows, self.a.vocab])
        g.output(best, "next_ids", np.int32, rows)

    def _next_positions(self, best, positions):
        """The last position plus one, made to wait for the answer: best ≥ 0 is always true."""
        g = self.g
        last = g("Gather", positions, g.constant([-1], np.int64), axis=1)
        one = g(
            "Cast",
            g("Greater", g("Gather", best, g.constant([-1], np.int64), axis=1), g.constant(-1, np.int32)),
            to=6,
        )
        g.output(g("Add", last, one), "next_positions", np.int32, ["batch", 1])

    def _narrow(self, x, held):
        return self._cast(x, np.dtype(held), self.dtype)

    def _widen(self, x):
        return self._cast(x, self.dtype, self.stream)

    def _cast(self, x, held, wanted):
        return x if held == wanted else self.g("Cast", x, to=10 if wanted == np.float16 else 1)
