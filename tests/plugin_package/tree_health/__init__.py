"""A package for rsvqa: a task about the health of trees, and what it takes to read their labels.

Importing it imports nothing of rsvqa: each entry point leads to a module of its own.
"""

from importlib import resources

CLASSES = resources.files(__name__).joinpath("classes.toml")
BENCHMARK = resources.files(__name__).joinpath("benchmark.toml")
