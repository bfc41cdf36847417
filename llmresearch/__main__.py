"""`python -m llmresearch` is the console script, where no script was installed."""

from .cli import main

main()
