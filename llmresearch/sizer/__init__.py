"""How much GPU memory a model takes: derived where physics allows, fitted where it must be, honest about the
rest.

The names below load their modules when they are first used.
"""

from importlib import import_module

_HOME = {
    "estimating": ["estimate", "MemoryEstimate", "Component"],
    "solving": [
        "max_context", "max_concurrency", "smallest_tp", "cheapest_gpu", "kv_dtype_that_fits",
        "serve_command", "kv_saving", "KvSaving",
    ],
    "advising": ["advice"],
    "explaining": ["why", "Why"],
    "overview": ["Overview"],
    "sharing": ["as_call", "as_query", "from_query"],
    "logs": ["parse_log", "compare_log"],
    "speed": ["roofline", "Speed"],
    "specs": ["models", "gpus", "find_model", "find_gpu"],
    "configs": ["from_config", "from_file", "from_hub"],
    "legacy": ["legacy_8pct", "legacy_plan", "FORMULAS"],
    "formats": ["SizerError"],
}  # fmt: skip
_MODULE = {name: module for module, names in _HOME.items() for name in names}
_ROOMS = ("browsing", "validation", "fit", "profiles", "profile_runs", "command", "legacy", "drawing", "shown")

__all__ = [*_MODULE, *_ROOMS]


def __getattr__(name):
    if name in _MODULE:
        return getattr(import_module(f".{_MODULE[name]}", __name__), name)
    if name in _ROOMS:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module 'llmresearch.sizer' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
