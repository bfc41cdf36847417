"""The door to the statistics: every public name, from the modules that hold them.

Estimates of one engine: `estimates`, `summaries`, `resampling`, `dependence`. Two engines: `comparisons` (the front
door), `classical`, `effects`, `corrections`. How many sessions: `planning`.
"""

from .classical import (
    Test, anova, anova_blocked, anova_from_summary, anova_two_way, games_howell, mann_whitney, mixed_model, paired,
    permutation, tost, ttest_from_summary, welch,
)  # fmt: skip
from .comparisons import compare
from .corrections import adjust, benjamini_hochberg, holm
from .dependence import independence
from .effects import cliffs_delta, cohens_d, common_language, hedges_g
from .estimates import Ratio, median, median_ratio, quantile, rate
from ..intervals import Estimate, level_at_look, median_interval, quantile_interval
from .planning import Components, Design, design, n_needed, power, variance_components
from .resampling import block_bootstrap, hierarchical_bootstrap
from .summaries import summary

__all__ = [
    "Components", "Design", "Estimate", "Ratio", "Test", "adjust", "anova", "anova_blocked", "anova_from_summary",
    "anova_two_way", "benjamini_hochberg", "block_bootstrap", "cliffs_delta", "cohens_d", "common_language", "compare",
    "design", "games_howell", "hedges_g", "hierarchical_bootstrap", "holm", "independence", "level_at_look",
    "mann_whitney", "median", "median_interval", "median_ratio", "mixed_model", "n_needed", "paired", "permutation",
    "power", "quantile", "quantile_interval", "rate", "summary", "tost", "ttest_from_summary", "variance_components",
    "welch",
]  # fmt: skip
