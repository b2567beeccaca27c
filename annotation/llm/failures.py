"""When a run ends because nothing comes of its requests."""

from __future__ import annotations

from rsvqa.annotation.errors import RsvqaError
from rsvqa.annotation.llm.requests import ChatFailure, ChatReply, StoredFailure


class EndpointDownError(RsvqaError):
    """The endpoint cannot be used now; all replies so far are kept, and the job goes on when it is started again.

    `status` is its HTTP status, None when it did not answer.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class FailuresInARow:
    """Tells when a run should end: after so many failures in a row, of whatever kind."""

    def __init__(self, most: int, host: str) -> None:
        self._most = most
        self._host = host
        self._num = 0

    def judge(self, outcome: ChatReply | ChatFailure) -> EndpointDownError | None:
        """Count one outcome; what came from the store says nothing of the endpoint."""
        if isinstance(outcome, StoredFailure):
            return None
        if isinstance(outcome, ChatReply):
            self._num = self._num if outcome.is_stored else 0
            return None
        if outcome.kind == "too_large":
            return None  # it is there, and would take a smaller picture
        self._num += 1  # refusals and unusable replies are paid for: a model that gives nothing else is no use
        if self._num < self._most:
            return None
        return EndpointDownError(
            f"{self._host}: {self._num} requests in a row failed, the last with: {outcome.message}; "
            "all replies so far are kept: start again to go on"
        )
