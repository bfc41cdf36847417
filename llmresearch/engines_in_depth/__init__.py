"""TR118's tables: what one engine gives over another in time, quality and files, when its build has paid, how it fails."""

from .answers import answers, without_wrong_answers
from .artefacts import artefacts, labels
from .crossings import crossings, least_squares_table, rival_shapes, session_ratios, size_ratios
from .decisions import counted, decisions
from .failing import failure_classes, reproducer
from .files import PAGE, export_metadata, on_page, statistical_analysis
from .latencies import cached_and_uncached, latency_summary, throughputs
from .names import compared_with, engines, with_engine
from .payback import payback
from .quality import perplexity_results
from .speed import as_ratios, as_tested, precisions, speedups

__all__ = ["PAGE", "answers", "artefacts", "as_ratios", "as_tested", "cached_and_uncached", "compared_with", "counted", "crossings", "decisions", "engines", "export_metadata",
           "failure_classes", "labels", "latency_summary", "least_squares_table", "on_page", "payback", "perplexity_results",
           "precisions", "reproducer", "rival_shapes", "session_ratios", "size_ratios", "speedups", "statistical_analysis",
           "throughputs", "with_engine", "without_wrong_answers"]  # fmt: skip
