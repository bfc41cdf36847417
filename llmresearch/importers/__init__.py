"""Result files of other harnesses: their samples kept, their statistics computed again, their known defects
named.

    found = importers.load("llama-bench.json")
    found.table()               what the file reports beside what its own samples give
    found.defects               what is known to be wrong in such files, where this one has it
    lr.read(found.write(raw))   the samples as our own records, for every statistic and figure

A file without samples gives none: nothing is made up from means. The formats of llama.cpp (tree 0c1e570),
optimum-benchmark 0.6.0, GuideLLM 0.8.1 and AIPerf 0.13.0 were read in their sources; those of vLLM, pyperf
and Ollama are as documented.
"""

import json
from pathlib import Path

from . import aiperf, guidellm, llama_bench, ollama_answers, optimum, pyperf_runs, vllm_bench
from .imported import DEFECTS, Defect, Figure, Imported, ImportProblem, Series

__all__ = ["DEFECTS", "Defect", "Figure", "ImportProblem", "Imported", "Series", "load"]

READERS = (llama_bench, optimum, vllm_bench, guidellm, pyperf_runs, aiperf, ollama_answers)


def load(path):
    """Imported: what a result file of another harness holds; the tool is known by the file's own keys.

    Takes JSON, or one JSON object a line. Raises ImportProblem for anything else.
    """
    path = Path(path)
    data = _parsed(path)
    for shape in (data, [data]):  # one object a line, and a single line of it, is a list of one
        for reader in READERS:
            if reader.matches(shape):
                return _read(reader, shape, path)
    known = ", ".join(reader.TOOL for reader in READERS)
    raise ImportProblem(
        f"{path}: no known tool wrote this. Known: {known}. Export its JSON with all samples."
    )


def _read(reader, data, path):
    try:
        return reader.read(data, path.name)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError) as error:
        raise ImportProblem(
            f"{path}: looks like a file of {reader.TOOL}, but a part is missing or of another kind "
            f"({type(error).__name__}: {error}). Export it again, or name the version that wrote it."
        ) from error


def _parsed(path):
    """The JSON of a file; a list of its lines where it holds one object a line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ImportProblem(f"{path}: cannot be read ({error}). Name a JSON file.") from error
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError) as error:
        raise ImportProblem(
            f"{path}: is not JSON, nor one JSON object a line ({error}). Export it again."
        ) from error
