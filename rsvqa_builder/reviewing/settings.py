"""Settings of the review's server."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class ServerSettings(BaseModel):
    """How a review is served."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)

    host: str = "127.0.0.1"
    """Address to listen on; beyond this machine only with a password."""
    port: Annotated[int, Field(ge=0, le=65_535)] | None = None
    """To listen on (default: 8417, or the next that is free)."""
    password: str | None = Field(default=None, repr=False)
    """Asked for besides the token in the address; or in RSVQA_REVIEW_PASSWORD."""
    cache_mb: Annotated[int, Field(ge=1)] = 1_000
    """Of image tiles kept in memory, 10⁶ bytes."""
