"""What can go wrong in a benchmark run, by what a caller would do about it."""

from __future__ import annotations

from rsvqa.annotation.errors import RsvqaError


class BenchmarkDataError(RsvqaError):
    """A benchmark's files are missing or are not what they should be; the message says what to download or name."""


class ModelError(RsvqaError):
    """A model cannot be loaded or has stopped answering; the message says which file, class or knob."""


class RunError(RsvqaError):
    """A run's folder cannot be used: another run's, not a run, or locked."""
