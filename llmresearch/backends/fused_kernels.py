"""The kernels of fused.py: a decode step of GPT-2 is four of them a layer, and two for the answer.

Every kernel of a step multiplies a matrix [rows out, width in] by one vector per sequence. A program holds
some rows of the matrix in registers, so weights are read once however many sequences there are; vectors,
sums, the residual stream and the logits are fp32 whatever the weights are. A width is covered by one block
of the next power of two.

`EARLY` (compute capability 9 and up): a kernel lets the next one start at once and reads its own weights,
which nobody writes, before it waits for the results of the one before it.
"""

import triton
import triton.language as tl


@triton.jit
def _begin(EARLY: tl.constexpr):
    """Lets the next kernel start, then waits until all memory written before this one can be read."""
    if EARLY:
        tl.extra.cuda.gdc_launch_dependents()
        tl.extra.cuda.gdc_wait()


@triton.jit
def _begin_alone(EARLY: tl.constexpr):
    """As `_begin`, but the next kernel starts only once everything before this one has ended."""
    if EARLY:
        tl.extra.cuda.gdc_wait()
        tl.extra.cuda.gdc_launch_dependents()


@triton.jit
def _matrix(start, OUT: tl.constexpr, IN: tl.constexpr, rows, columns):
    """The block of a matrix [OUT, IN]: these rows, all columns; zero outside."""
    return tl.load(start + rows[:, None] * IN + columns[None, :],
                   mask=(rows < OUT)[:, None] & (columns < IN)[None, :], other=0.0)  # fmt: skip


@triton.jit
def _layer_norm(x, gain, shift, columns, IN: tl.constexpr, EPSILON: tl.constexpr):
    """LayerNorm of one vector; zero outside its width."""
    inside = columns < IN
    centred = tl.where(inside, x - tl.sum(x, axis=0) / IN, 0.0)
    variance = tl.sum(centred * centred, axis=0) / IN
    return tl.where(inside, centred * tl.rsqrt(variance + EPSILON) * gain + shift, 0.0)


@triton.jit
def _parts(part, row, columns, IN: tl.constexpr, HEADS: tl.constexpr, HEADS_BLOCK: tl.constexpr):
    """The sum over heads of what each gave to the residual stream, for these columns."""
    heads = tl.arange(0, HEADS_BLOCK)
    found = tl.load(part + (row * HEADS + heads[:, None]) * IN + columns[None, :],
                    mask=(heads < HEADS)[:, None] & (columns < IN)[None, :], other=0.0)  # fmt: skip
    return tl.sum(found, axis=0)


@triton.jit
def qkv(state, stream, table, places, gain, shift, weight, bias, query, cache, slots,
        FIRST: tl.constexpr, BATCH: tl.constexpr, HIDDEN: tl.constexpr, EPSILON: tl.constexpr,
        ROWS: tl.constexpr, WIDTH: tl.constexpr, EARLY: tl.constexpr):  # fmt: skip
    """LayerNorm and the three projections: queries to `query` [batch, hidden], keys and values to their slot.

    `state` is [position, id of each sequence]. The FIRST layer embeds the ids, and keeps the residual stream.
    """
    rows, columns = tl.program_id(0) * ROWS + tl.arange(0, ROWS), tl.arange(0, WIDTH)
    inside = columns < HIDDEN
    block = _matrix(weight, 3 * HIDDEN, HIDDEN, rows, columns)
    offset = tl.load(bias + rows, mask=rows < 3 * HIDDEN, other=0.0).to(tl.float32)
    g, s = tl.load(gain + columns, mask=inside, other=0.0), tl.load(shift + columns, mask=inside, other=0.0)
    if FIRST:
        _begin_alone(EARLY)
    else:
        _begin(EARLY)
    position = tl.load(state)
    for row in range(BATCH):
        if FIRST:
            token = tl.load(state + 1 + row).to(tl.int64)
            x = tl.load(table + token * HIDDEN + columns, mask=inside, other=0.0).to(tl.float32)
            x += tl.load(places + position * HIDDEN + columns, mask=inside, other=0.0).to(tl.float32)
            if tl.program_id(0) == 0:
                tl.store(stream + row * HIDDEN + columns, x, mask=inside)
        else:
            x = tl.load(stream + row * HIDDEN + columns, mask=inside, other=0.0)
        y = _layer_norm(x, g, s, columns, HIDDEN, EPSILON)
        out = tl.sum(block.to(tl.float32) * y[None, :], axis=1) + offset
        tl.store(query + row * HIDDEN + rows, out, mask=rows < HIDDEN)
        slot = (row * slots + position) * 2 * HIDDEN
        tl.store(cache + slot + rows - HIDDEN, out, mask=(rows >= HIDDEN) & (rows < 3 * HIDDEN))


@triton.jit
def _seen(cache, at, mask, IN: tl.constexpr):
    """(keys, values) of a block of slots."""
    return tl.load(cache + at, mask=mask, other=0.0), tl.load(cache + at + IN, mask=mask, other=0.0)


@triton.jit
def _attended(q, keys, values, filled, most, total, mixed):
    """(highest score, sum of weights, weighted sum of values) after one more block of slots."""
    score = tl.where(filled, tl.sum(keys.to(tl.float32) * q[None, :], axis=1), -float("inf"))
    higher = tl.maximum(most, tl.max(score, axis=0))
    share, kept = tl.exp(score - higher), tl.exp(most - higher)
    mixed = mixed * kept + tl.sum(share[:, None] * values.to(tl.float32), axis=0)
    return higher, total * kept + tl.sum(share, axis=0), mixed


@triton.jit
def attend(state, query, cache, weight, part, slots, SCALE: tl.constexpr,
           HIDDEN: tl.constexpr, HEADS: tl.constexpr, HEAD: tl.constexpr, HEAD_BLOCK: tl.constexpr,
           ROWS: tl.constexpr, SLOTS: tl.constexpr, EARLY: tl.constexpr):  # fmt: skip
    """One head over the filled slots, and its share of the output projection, to `part` [batch, heads,
    hidden].

    Programs that make other rows of the same head attend again: that costs less than a kernel more. The
    softmax runs along blocks of SLOTS slots with a maximum that is corrected as it goes, from the newest
    slot on. The others were written by earlier steps, and the first kernel of a step lets nothing start
    before those have ended: so the first block is read early, like the weights.
    """
    head, row = tl.program_id(0), tl.program_id(2)
    rows, inner = tl.program_id(1) * ROWS + tl.arange(0, ROWS), tl.arange(0, HEAD_BLOCK)
    inside, slot = inner < HEAD, tl.arange(0, SLOTS)
    mask = (rows < HIDDEN)[:, None] & inside[None, :]
    block = tl.load(weight + rows[:, None] * HIDDEN + head * HEAD + inner[None, :], mask=mask, other=0.0)
    position = tl.load(state)
    start = row * slots * 2 * HIDDEN + head * HEAD
    at = start + slot[:, None] * 2 * HIDDEN + inner[None, :]
    keys, values = _seen(cache, at, (slot < position)[:, None] & inside[None, :], HIDDEN)
    _begin(EARLY)
    q = tl.load(query + row * HIDDEN + head * HEAD + inner, mask=inside, other=0.0) * SCALE
    key, value = _seen(cache, start + position * 2 * HIDDEN + inner, inside, HIDDEN)
    most, total, mixed = tl.sum(key.to(tl.float32) * q, axis=0), 1.0, value.to(tl.float32)
    most, total, mixed = _attended(q, keys, values, slot < position, most, total, mixed)
    done = SLOTS
    while done < position:
        filled = done + slot < position
        keys, values = _seen(cache, at + done * 2 * HIDDEN, filled[:, None] & inside[None, :], HIDDEN)
        most, total, mixed = _attended(q, keys, values, filled, most, total, mixed)
        done += SLOTS
    out = tl.sum(block.to(tl.float32) * (mixed / total)[None, :], axis=1)
    tl.store(part + (row * HEADS + head) * HIDDEN + rows, out, mask=rows < HIDDEN)


@triton.jit
def up(stream, part, projected, gain, shift, weight, bias, active,
       BATCH: tl.constexpr, HIDDEN: tl.constexpr, INNER: tl.constexpr, HEADS: tl.constexpr,
       HEADS_BLOCK: tl.constexpr, EPSILON: tl.constexpr,
       ROWS: tl.constexpr, WIDTH: tl.constexpr, EARLY: tl.constexpr):  # fmt: skip
    """What attention gave, LayerNorm, the projection up and GELU (the tanh form), to `active` [batch, inner]."""
    rows, columns = tl.program_id(0) * ROWS + tl.arange(0, ROWS), tl.arange(0, WIDTH)
    inside = columns < HIDDEN
    block = _matrix(weight, INNER, HIDDEN, rows, columns)
    offset = tl.load(bias + rows, mask=rows < INNER, other=0.0).to(tl.float32)
    g, s = tl.load(gain + columns, mask=inside, other=0.0), tl.load(shift + columns, mask=inside, other=0.0)
    b = tl.load(projected + columns, mask=inside, other=0.0).to(tl.float32)
    _begin(EARLY)
    for row in range(BATCH):
        x = tl.load(stream + row * HIDDEN + columns, mask=inside, other=0.0) + b
        x += _parts(part, row, columns, HIDDEN, HEADS, HEADS_BLOCK)
        y = _layer_norm(x, g, s, columns, HIDDEN, EPSILON)
        z = tl.sum(block.to(tl.float32) * y[None, :], axis=1) + offset
        # (1 + tanh u) / 2 = sigmoid 2u, u = √(2/π)·(z + 0.044715·z³)
        z = z * tl.sigmoid(1.5957691216057308 * (z + 0.044715 * z * z * z))
        tl.store(active + row * INNER + rows, z, mask=rows < INNER)


@triton.jit
def down(stream, part, projected, active, weight, bias,
         BATCH: tl.constexpr, HIDDEN: tl.constexpr, INNER: tl.constexpr, HEADS: tl.constexpr,
         HEADS_BLOCK: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr, EARLY: tl.constexpr):  # fmt: skip
    """The projection down; it and what attention gave are added to the residual stream, in place."""
    rows, columns = tl.program_id(0) * ROWS + tl.arange(0, ROWS), tl.arange(0, WIDTH)
    block = _matrix(weight, HIDDEN, INNER, rows, columns)
    offset = tl.load(bias + rows, mask=rows < HIDDEN, other=0.0).to(tl.float32)
    offset += tl.load(projected + rows, mask=rows < HIDDEN, other=0.0).to(tl.float32)
    _begin(EARLY)
    for row in range(BATCH):
        x = tl.load(stream + row * HIDDEN + rows, mask=rows < HIDDEN, other=0.0) + offset
        x += _parts(part, row, rows, HIDDEN, HEADS, HEADS_BLOCK)
        a = tl.load(active + row * INNER + columns, mask=columns < INNER, other=0.0)
        x += tl.sum(block.to(tl.float32) * a[None, :], axis=1)
        tl.store(stream + row * HIDDEN + rows, x, mask=rows < HIDDEN)


@triton.jit
def head(stream, gain, shift, weight, logits, best, place,
         BATCH: tl.constexpr, HIDDEN: tl.constexpr, VOCAB: tl.constexpr, EPSILON: tl.constexpr,
         ROWS: tl.constexpr, WIDTH: tl.constexpr, EARLY: tl.constexpr):  # fmt: skip
    """The last LayerNorm, logits [batch, vocab], and the best of each block of rows with its place."""
    rows, columns = tl.program_id(0) * ROWS + tl.arange(0, ROWS), tl.arange(0, WIDTH)
    inside = columns < HIDDEN
    block = _matrix(weight, VOCAB, HIDDEN, rows, columns)
    g, s = tl.load(gain + columns, mask=inside, other=0.0), tl.load(shift + columns, mask=inside, other=0.0)
    _begin(EARLY)
    for row in range(BATCH):
        x = tl.load(stream + row * HIDDEN + columns, mask=inside, other=0.0)
        y = _layer_norm(x, g, s, columns, HIDDEN, EPSILON)
        out = tl.sum(block.to(tl.float32) * y[None, :], axis=1)
        tl.store(logits + row * VOCAB + rows, out, mask=rows < VOCAB)
        out = tl.where(rows < VOCAB, out, -float("inf"))
        top = tl.max(out, axis=0)
        at = row * tl.num_programs(0) + tl.program_id(0)
        tl.store(best + at, top)
        tl.store(place + at, tl.min(tl.where(out == top, rows, VOCAB - 1), axis=0))


@triton.jit(do_not_specialize=["start"])
def choose(state, best, place, answer, start,
           BATCH: tl.constexpr, BLOCKS: tl.constexpr, BLOCKS_BLOCK: tl.constexpr, EARLY: tl.constexpr):  # fmt: skip
    """The next ids: to `state`, from which the next step begins, and to `answer`, which the host reads.

    The position becomes `start`, or grows by one where that is negative.
    """
    blocks = tl.arange(0, BLOCKS_BLOCK)
    _begin(EARLY)
    position = tl.load(state)
    tl.store(state, tl.where(start < 0, position + 1, start))
    for row in range(BATCH):
        found = tl.load(best + row * BLOCKS + blocks, mask=blocks < BLOCKS, other=-float("inf"))
        where = tl.load(place + row * BLOCKS + blocks, mask=blocks < BLOCKS, other=2147483647)
        token = tl.min(tl.where(found == tl.max(found, axis=0), where, 2147483647), axis=0)
        token = tl.where(token == 2147483647, 0, token)  # scores that are no numbers have no best
        tl.store(state + 1 + row, token)
        tl.store(answer + row, token, cache_modifier=".wt")


@triton.jit
def embed(ids, table, places, stream, tokens, HIDDEN: tl.constexpr, WIDTH: tl.constexpr):
    """The residual stream [sequence · token, hidden] at its beginning; `ids` may lie in the host's memory."""
    row, columns = tl.program_id(0), tl.arange(0, WIDTH)
    inside = columns < HIDDEN
    token = tl.load(ids + row).to(tl.int64)
    x = tl.load(table + token * HIDDEN + columns, mask=inside, other=0.0).to(tl.float32)
    x += tl.load(places + (row % tokens) * HIDDEN + columns, mask=inside, other=0.0).to(tl.float32)
    tl.store(stream + row * HIDDEN + columns, x, mask=inside)


@triton.jit
def add_norm(stream, more, gain, shift, out, ADD: tl.constexpr, HIDDEN: tl.constexpr, EPSILON: tl.constexpr,
             WIDTH: tl.constexpr):  # fmt: skip
    """Adds `more` to the residual stream, in place, and gives its LayerNorm in the type of `out`."""
    row, columns = tl.program_id(0), tl.arange(0, WIDTH)
    inside = columns < HIDDEN
    x = tl.load(stream + row * HIDDEN + columns, mask=inside, other=0.0)
    if ADD:
        x += tl.load(more + row * HIDDEN + columns, mask=inside, other=0.0).to(tl.float32)
        tl.store(stream + row * HIDDEN + columns, x, mask=inside)
    g, s = tl.load(gain + columns, mask=inside, other=0.0), tl.load(shift + columns, mask=inside, other=0.0)
    y = _layer_norm(x, g, s, columns, HIDDEN, EPSILON)
    tl.store(out + row * HIDDEN + columns, y, mask=inside)
