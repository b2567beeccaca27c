"""A missing extra is named with the command that brings it."""

from __future__ import annotations

import pytest

from rsvqa.annotation import extras
from rsvqa.annotation.extras import MissingExtraError, require_extra


def test_a_missing_extra_gives_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"torch", "safetensors", "peft"}
    monkeypatch.setattr(extras, "find_spec", lambda name: object() if name in there else None)
    with pytest.raises(
        MissingExtraError, match=r"`rsvqa convert` needs transformers, accelerate: pip install 'rsvqa\[model\]'"
    ):
        require_extra("model", "convert")


def test_what_is_installed_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda _name: object())
    require_extra("llm", "draft")
