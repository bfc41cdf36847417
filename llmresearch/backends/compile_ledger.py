"""What torch.compile really did: graphs, breaks, recompiles and their reasons, limits reached, CUDA graphs, time."""

import logging


class CompileLedger:
    """Counts since the process began (`graphs`, `frames_tried`) and since `begin`, for one cell (everything else).

    A cell that comes after another of the same shape finds its graphs made: `graphs` above 0 and
    `graphs_in_cell` 0.
    """

    def __init__(self, torch):
        from torch._dynamo import utils

        self.torch, self.utils = torch, utils
        self.limits = _LimitLog()
        logging.getLogger("torch._dynamo.convert_frame").addHandler(self.limits)
        self.origin = self._counts()
        self.begin()

    def begin(self):
        """Counts for the next cell start here."""
        self.before = self._counts()
        self.seen = {id(m) for m in self.utils.get_compilation_metrics()}

    def read(self, device):
        """dict of plain values, for the record."""
        now = self._counts()
        since = {key: now[key] - self.before.get(key, 0) for key in now}
        compiled = [m for m in self.utils.get_compilation_metrics() if id(m) not in self.seen]
        reasons = [m.recompile_reason for m in compiled if m.recompile_reason]
        return {
            "graphs": now["graphs"] - self.origin["graphs"],
            "graphs_in_cell": since["graphs"],
            "frames_tried": now["frames"] - self.origin["frames"],
            "graph_breaks": since["breaks"],
            "graph_break_reasons": [_short(r) for r in self.utils.counters["graph_break"]][:8],
            "recompiles": len(reasons),
            "recompile_reasons": [_short(r) for r in reasons][:8],
            "recompile_limit_reached": bool(self.limits.heard),
            "fell_back_to_eager": bool(self.limits.heard),
            "limit": [_short(text) for text in self.limits.heard][:8],
            "compile_seconds": sum(m.entire_frame_compile_time_s or 0.0 for m in compiled),
            "kernel_cache_hits": since["cache_hits"],
            "kernel_cache_misses": since["cache_misses"],
            "cudagraph_skips": since["cudagraph_skips"] if device.type == "cuda" else None,
            "cudagraph_skip_reasons": [_short(r) for m in compiled if (r := m.cudagraph_skip_reason)][:8],
            "cudagraphs_recorded": _cudagraphs(device),
        }

    def _counts(self):
        counters = self.utils.counters
        return {
            "graphs": counters["stats"]["unique_graphs"],
            "frames": counters["frames"]["total"],
            "breaks": sum(counters["graph_break"].values()),
            "cache_hits": counters["inductor"]["fxgraph_cache_hit"],
            "cache_misses": counters["inductor"]["fxgraph_cache_miss"],
            "cudagraph_skips": counters["inductor"]["cudagraph_skips"],
        }

    def close(self):
        """Stops listening."""
        logging.getLogger("torch._dynamo.convert_frame").removeHandler(self.limits)


class _LimitLog(logging.Handler):
    """Keeps the warnings in which torch says that a recompile limit was hit: from then on new shapes run eagerly."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.heard = []

    def emit(self, record):
        if "_limit" in str(record.msg) + str(record.args):
            self.heard.append(record.getMessage())


def _cudagraphs(device):
    """How many CUDA graphs this thread recorded; None off CUDA, 0 where none was made."""
    if device.type != "cuda":
        return None
    from torch._inductor import cudagraph_trees

    manager = cudagraph_trees.get_manager(device.index or 0, create_if_none_exists=False)
    return 0 if manager is None else sum(1 for _ in _nodes(manager))


def _nodes(manager):
    """Yield every recorded graph of the manager's trees."""
    left = [root for roots in manager.roots.values() for root in roots]
    while left:
        node = left.pop()
        yield node
        left += [child for children in node.children.values() for child in children]


def _short(text):
    return " ".join(str(text).split())[:300]
