"""What people touch, for JupyterLab and Voila.

The names below load their modules when they are first used.
"""

from importlib import import_module

_HOME = {"calculator": ["Calculator"], "dashboard": ["Dashboard"]}
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__all__ = [*_MODULE]


def __getattr__(name):
    if name in _MODULE:
        return getattr(import_module(f".{_MODULE[name]}", __name__), name)
    raise AttributeError(f"module 'llmresearch.widgets' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
