"""Settings of the review's server."""

from __future__ import annotations

import os
from typing import Annotated

from pydantic import Field

from rsvqa.rsvqa_builder.config import StageSettings


class ServerSettings(StageSettings):
    """How a review is served."""

    host: str = "127.0.0.1"
    """Address to listen on; beyond this machine only with a password."""
    port: Annotated[int, Field(ge=0, le=65_535)] | None = None
    """Port to listen on (default: 8417, or the next that is free)."""
    password: str | None = Field(default_factory=lambda: os.environ.get("RSVQA_REVIEW_PASSWORD"), repr=False)
    """Asked for besides the token in the address; RSVQA_REVIEW_PASSWORD holds it too."""
    cache_mb: Annotated[int, Field(ge=1)] = 1_000
    """Image tiles kept in memory, 10⁶ bytes."""
