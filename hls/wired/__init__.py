"""Engines with their weights wired in: every repeated piece of work is done once."""
