"""Runs lmms-eval's command line in its own environment and notes how long it takes to answer.

    python lmms_eval_driver.py TIMING.json ARGUMENTS OF lmms-eval

Nothing of ours is imported. Two remedies are applied to release 0.7.3: `device_map=""`, which transformers refuses, is
left out; and where decord, which it imports and does not require, is missing, an empty module stands for it.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import sys
import time
import types
from pathlib import Path
from typing import Any


def stand_in(name: str, *attributes: str) -> None:
    """Put an empty module where one is missing."""
    if importlib.util.find_spec(name) is None:
        module = types.ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, loader=None)
        for attribute in attributes:
            setattr(module, attribute, None)
        sys.modules[name] = module


def leave_out_empty_device_map(model_class: Any) -> None:
    """Make `from_pretrained` take an empty device map for none."""
    load = model_class.from_pretrained.__func__

    def from_pretrained(cls: Any, *args: Any, **kwargs: Any) -> Any:
        return load(cls, *args, **{key: value for key, value in kwargs.items() if key != "device_map" or value})

    model_class.from_pretrained = classmethod(from_pretrained)


def main() -> None:
    """Evaluate, with a clock around the answering."""
    timing = Path(sys.argv.pop(1))
    stand_in("decord", "VideoReader", "cpu")
    import transformers

    leave_out_empty_device_map(transformers.LlavaForConditionalGeneration)
    # what the command line takes for llava_hf
    from lmms_eval.models.chat.llava_hf import LlavaHf  # type: ignore[import-not-found]

    answer = LlavaHf.generate_until

    def timed(self: Any, requests: Any) -> Any:
        start = time.perf_counter()
        replies = answer(self, requests)
        timing.write_text(json.dumps({"seconds": time.perf_counter() - start}))
        return replies

    LlavaHf.generate_until = timed
    from lmms_eval.__main__ import cli_evaluate  # type: ignore[import-not-found]

    cli_evaluate()


if __name__ == "__main__":
    main()
