"""A tiny checkpoint with what it gave where it was saved: `python -m tests.model.make_checkpoint FOLDER`.

Saved with one set of versions, it must load with every other, by the code that it carries: `test_own_code.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.model.make_models import tiny_model, tiny_processor

PROMPT = "w1 <image> w2 w3"
EXPECTED = "expected.safetensors"


def make_checkpoint(folder: Path) -> None:
    """Write a model and a processor with their code, and `EXPECTED`: an image, and what the model makes of it.

    Its tensors are `image` [H, W, 3] uint8; `logits` [1, L', V] of the prompt; `loss` [1], the prompt being its own
    labels; `new` [6] int64, the tokens that greedy decoding adds.
    """
    network, processor = tiny_model(), tiny_processor(num_cell_tokens=5)
    network.save_pretrained(folder)
    processor.save_pretrained(folder)
    image = torch.randint(0, 256, (50, 90, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    inputs = processor(text=[PROMPT], images=[image.numpy()], return_tensors="pt")
    with torch.no_grad():
        outputs = network(**inputs, labels=inputs["input_ids"])
    generated = network.generate(**inputs, max_new_tokens=6, do_sample=False, eos_token_id=None, pad_token_id=0)
    new = generated[0, inputs["input_ids"].shape[1] :].contiguous()
    save_file({"image": image, "logits": outputs.logits, "loss": outputs.loss[None], "new": new}, folder / EXPECTED)


if __name__ == "__main__":
    make_checkpoint(Path(sys.argv[1]))
