"""`rsvqa audit`: find out what files hold, and audit it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rsvqa.rsvqa_builder.auditing.audit import AuditSource, run_audit
from rsvqa.rsvqa_builder.auditing.settings import AuditSettings
from rsvqa.rsvqa_builder.auditing.shard_items import read_shard_items
from rsvqa.rsvqa_builder.progress import Reporter


def audit_data(data: Path, settings: AuditSettings, *, reporter: Reporter | None = None) -> dict[str, Any]:
    """Return what an audit of a data set finds: the content of `audit.json`."""
    return run_audit(
        AuditSource(data.resolve().name, "rsvqa build", read_shard_items(data)), settings, reporter=reporter
    )
