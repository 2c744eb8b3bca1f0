"""Measurements: each module is one, `scripts/bench NAME` runs it and prints a Markdown table."""
