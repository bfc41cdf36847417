"""How fast the sizer answers: a data frame of configurations, one question, and the import.

    python benchmarks/sizer_speed.py [ROWS]

Bars on one core: 100,000 configurations a second, 5 ms for one answer, 0.3 s for the import, without torch.
"""

import subprocess
import sys
import time

import numpy as np
import pandas as pd

from llmresearch.sizer import estimate, models

IMPORT = (
    "import time; start = time.perf_counter(); from llmresearch.sizer import estimate;"
    " seconds = time.perf_counter() - start; import sys; print(seconds, 'torch' in sys.modules)"
)


def frame(rows, seed=0):
    """So many random but possible questions over the whole registry."""
    rng = np.random.default_rng(seed)
    fits_two = [name for name, spec in models().items() if spec.heads % 2 == 0]
    return pd.DataFrame(
        {
            "model": rng.choice(fits_two, rows),
            "gpu": rng.choice(["h100", "h200", "a100", "rtx 4090", "l40s"], rows),
            "weight_format": rng.choice(["bf16", "fp8", "awq"], rows),
            "kv_dtype": rng.choice(["auto", "fp8"], rows),
            "engine_version": rng.choice(["0.8.5", "0.19.0", "0.25.1"], rows),
            "tp": rng.choice([1, 2], rows),
            "max_model_len": rng.integers(128, 1024, rows),
            "max_num_seqs": rng.integers(1, 1024, rows),
            "gpu_memory_utilization": rng.uniform(0.5, 0.95, rows),
        }
    )


def best(call, times):
    """The least of so many wall times of a call, in seconds."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def main(rows=100_000):
    questions = frame(rows)
    first = best(lambda: estimate(questions), 1)
    again = best(lambda: estimate(questions), 3)
    single = best(lambda: estimate("llama-3.1-8b", gpu="h100", max_model_len=5000), 50)
    done = [
        subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True).stdout
        for _ in range(3)
    ]
    imports = min(float(line.split()[0]) for line in done)
    print(f"{rows:,} configurations: {first:.3f} s, {again:.3f} s again, {rows / again:,.0f} a second")
    print(f"one answer: {1e3 * single:.2f} ms")
    print(f"import: {imports:.3f} s; torch loaded: {'True' in done[0]}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
