"""A KV cache of fixed size and fixed addresses, which compiled graphs and CUDA graphs can write into."""

import torch
from transformers.cache_utils import Cache, StaticLayer


class Slots:
    """How full a cache is, shared by its layers: `length` lives on the device, so that no graph depends on its value.

    `empty` is Python's own: a prefill is traced with it, and then attends over its own keys only, not over
    the whole cache.
    """

    def __init__(self, device):
        self.length = torch.zeros((), dtype=torch.long, device=device)
        self.empty = True
        torch._dynamo.mark_static_address(self.length)


class SlotLayer(StaticLayer):
    """One layer's keys and values [batch, heads, capacity, width], full attention; a window is the mask's affair.

    Own positions instead of the parent's counters: a padded prompt can be cut back, the cache can be set back
    to the prompt, and a sliding window past its size needs no other path.
    """

    def __init__(self, capacity, slots):
        super().__init__(max_cache_len=capacity)
        self.slots = slots

    def update(self, key_states, value_states, *args, **kwargs):
        """(keys, values) to attend over, with the new ones written from position `length` on."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        new = key_states.shape[-2]
        if self.slots.empty:
            self.keys[:, :, :new].copy_(key_states)
            self.values[:, :, :new].copy_(value_states)
            return key_states, value_states
        places = torch.arange(new, device=self.keys.device) + self.slots.length
        self.keys.index_copy_(2, places, key_states)
        self.values.index_copy_(2, places, value_states)
        return self.keys, self.values

    def get_mask_sizes(self, query_length):
        """(keys to mask, where they begin)."""
        return (query_length if self.slots.empty else self.max_cache_len), 0

    def get_seq_length(self):
        """Positions that are filled: a number where the cache is empty, else a tensor on the device."""
        return 0 if self.slots.empty else self.slots.length


class SlotCache(Cache):
    """Layers of fixed size for `layers` layers, up to `capacity` tokens."""

    def __init__(self, layers, capacity, device):
        self.slots = Slots(device)
        self.capacity = capacity
        super().__init__(layers=[SlotLayer(capacity, self.slots) for _ in range(layers)])
