"""lmms-eval's own modules for XLRS-Bench, loaded from an unpacked wheel without installing what it depends on.

`RSVQA_LMMS_EVAL` names the folder: `pip download lmms-eval==0.7.3 --no-deps`, then unzip.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest


class _SilentLogger:
    """Stands in for loguru, of which the modules use a few methods to print."""

    def __getattr__(self, name: str) -> object:
        return lambda *_: None


def folder() -> Path:
    """Return the unpacked wheel; skips the test when there is none."""
    wheel = os.environ.get("RSVQA_LMMS_EVAL")
    if not wheel:
        pytest.skip("RSVQA_LMMS_EVAL does not name an unpacked wheel of lmms-eval 0.7.3")
    return Path(wheel)


def load(path: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return a module of lmms-eval by its path in the wheel; skips the test when there is no wheel."""
    wheel = folder()
    loguru = ModuleType("loguru")
    loguru.logger = _SilentLogger()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "loguru", loguru)
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", None)  # the module sets it for the whole process
    spec = importlib.util.spec_from_file_location("lmms_eval_module", wheel / "lmms_eval" / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
