"""Compare LLM inference engines, and say what the data can carry.

The names below load their modules when they are first used: `import llmresearch` itself loads nothing heavy.
"""

from importlib import import_module
from pathlib import Path

__version__ = "0.1.0"

_HOME = {
    "matrix": ["plan", "Cell", "Scenario"],
    "runner": ["measure"],
    "frames": ["read", "samples", "steady", "first_calls", "coverage", "check_counts"],
    "intervals": ["Estimate"],
    "reporting.claims": ["Claim", "weakest"],
    "strides": ["windows"],
    "records": ["LlmResearchError"],
    "failures": ["classify_failure", "Failure"],
    "stats": ["median", "quantile", "median_ratio", "rate", "summary", "compare", "anova_from_summary",
              "ttest_from_summary", "hierarchical_bootstrap", "block_bootstrap", "independence", "power", "n_needed"],
    "fits.power_laws": ["power_law", "PowerLaw"],
    "fits.crossovers": ["crossover", "Crossover"],
    "fits.payback": ["break_even", "BreakEven"],
    "perplexities": ["perplexity", "gate"],
    "cost": ["cost_per_million_tokens", "mixed_rate", "tokens_per_dollar", "kwh", "gco2e", "energy_usd", "Rent", "Own", "Mix"],
    "spending": ["tco", "pays_after", "against_api", "ApiPrice"],
    "reporting.report": ["Report"],
    "reporting.notebook": ["begin", "measure_or_read"],
    "first_look": ["quick", "FirstLook"],
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}
_ROOMS = ("audit", "charging", "compiling", "embedding", "figures", "importers", "models", "peers", "plausibility", "prices", "quality", "queueing", "records",
          "regimes", "reporting", "scaling", "sizer", "starts", "stats", "tails", "widgets")

__all__ = ["root", *_MODULE, *_ROOMS]


def root():
    """The project's folder: the one that holds `notebooks/` and `params/`."""
    for folder in (Path.cwd(), *Path.cwd().parents, Path(__file__).resolve().parent.parent):
        if (folder / "notebooks").is_dir() and (folder / "params").is_dir():
            return folder
    return Path.cwd()


def __getattr__(name):
    if name in _MODULE:
        return getattr(import_module(f".{_MODULE[name]}", __name__), name)
    if name in _ROOMS:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module 'llmresearch' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
