"""What can go wrong in a benchmark run, by what a caller would do about it."""

from __future__ import annotations

from rsvqa.annotation.errors import NothingUsableError, RsvqaError


class BenchmarkDataError(NothingUsableError):
    """A benchmark's files are missing, are not what they should be, or hold nothing to ask; the message says more."""


class ModelError(RsvqaError):
    """A model cannot be loaded or has stopped answering; the message says which file, class or knob."""


class RunError(RsvqaError):
    """A run's folder cannot be used: another run's, not a run, or locked."""


class NothingToScoreError(RunError, NothingUsableError):
    """A folder holds no run, a run no reply, or two runs none in common: a mean over nothing is no figure."""
