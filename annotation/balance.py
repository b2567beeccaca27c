"""How even answers are made; apart from `choosing`, so that the command line loads no numpy for the option."""

from __future__ import annotations

from enum import StrEnum


class Balance(StrEnum):
    """How even the answers of a data set must be; what each means stands in docs/tasks.md."""

    STRICT = "strict"
    SOFT = "soft"
    OFF = "off"
