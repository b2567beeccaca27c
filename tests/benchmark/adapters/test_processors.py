"""Processors without their video part treat images as the whole ones do."""

from __future__ import annotations

import pytest

from rsvqa.benchmark.adapters.processors import load_processor
from tests.benchmark.conftest import CheckpointMaker


@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (2, 3)])
def test_smolvlm_writes_images_as_its_own_processor(rows: int, columns: int, checkpoint: CheckpointMaker) -> None:
    from transformers.models.smolvlm.processing_smolvlm import get_image_prompt_string

    processor = load_processor(str(checkpoint("smolvlm")), "smolvlm", trust_remote_code=False)
    assert type(processor.image_processor).__name__.startswith("SmolVLMImageProcessor")
    own = get_image_prompt_string(
        rows,
        columns,
        processor.image_seq_len,
        fake_token_around_image="<fake_token_around_image>",
        image_token="<image>",
        global_image_token="<global-img>",
    )
    assert processor.replace_image_token({"rows": [[rows]], "cols": [[columns]]}, 0) == own
