"""A study's report: what it shows, what it claims, how it is rendered, and how it is derived again."""
