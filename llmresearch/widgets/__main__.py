"""`python -m llmresearch.widgets`: the calculator and the dashboard in a browser."""

from .serving import serve

serve()
