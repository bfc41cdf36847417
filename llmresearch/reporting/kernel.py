"""The Jupyter kernel of the interpreter that runs this package, whether a kernelspec is installed or not."""

import sys

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

PROGRESS = {"LLMRESEARCH_PROGRESS": "plain"}
"""Says to the measuring side that nobody looks at widgets: progress bars are text on stderr."""


class ThisInterpreter(AsyncKernelManager):
    """Starts `sys.executable`, whatever python3 means elsewhere; nothing is installed in anybody's home."""

    @property
    def kernel_spec(self):
        """How to start the kernel, without its warnings about frozen modules and local connections."""
        start = [sys.executable, "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "--log-level=CRITICAL"]
        return KernelSpec(
            argv=[*start, "-f", "{connection_file}"], display_name="Python", language="python", env=PROGRESS
        )
