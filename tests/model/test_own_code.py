"""A checkpoint works by the code that it carries, also with another release of transformers than it was saved by."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra rsvqa[model]")

from tests.model.make_checkpoint import EXPECTED, PROMPT, make_checkpoint
from tests.model.plain_python import run_plain

LOAD_AND_RUN = """
import sys, warnings, torch
from PIL.Image import fromarray as to_pil_image
from safetensors.torch import load_file
from transformers import (
    AutoModel, AutoModelForCausalLM, AutoModelForImageTextToText, AutoModelForMultimodalLM, AutoProcessor, pipeline
)

folder, expected, prompt, out = sys.argv[1:]
expected = load_file(expected)
network = AutoModelForImageTextToText.from_pretrained(folder, trust_remote_code=True).eval()
processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
for part in (network, network.config, processor, processor.image_processor):
    assert type(part).__module__.startswith("transformers_modules"), type(part)
assert "rsvqa" not in sys.modules, sys.path

inputs = processor(text=[prompt], images=[expected["image"].numpy()], return_tensors="pt")
with torch.no_grad():
    outputs = network(**inputs, labels=inputs["input_ids"], use_cache=True)
torch.testing.assert_close(outputs.logits, expected["logits"], atol=1e-5, rtol=0)
torch.testing.assert_close(outputs.loss, expected["loss"][0], atol=1e-5, rtol=0)
for use_cache in (True, False):
    new = network.generate(
        **inputs, max_new_tokens=6, do_sample=False, eos_token_id=None, pad_token_id=0, use_cache=use_cache
    )
    torch.testing.assert_close(new[0, inputs["input_ids"].shape[1]:], expected["new"])

body = AutoModel.from_pretrained(folder, trust_remote_code=True).eval()
assert type(body).__name__ == "GeoLlavaModel"
with torch.no_grad():
    hidden = body(**inputs).last_hidden_state
    torch.testing.assert_close(network.lm_head(hidden), expected["logits"], atol=1e-5, rtol=0)
for auto in (AutoModelForMultimodalLM, AutoModelForCausalLM):
    other = auto.from_pretrained(folder, trust_remote_code=True).eval()
    with torch.no_grad():
        torch.testing.assert_close(other(**inputs).logits, expected["logits"], atol=1e-5, rtol=0)
pipe = pipeline("image-text-to-text", model=folder, trust_remote_code=True)
(reply,) = pipe(text=prompt, images=to_pil_image(expected["image"].numpy()), max_new_tokens=6, return_full_text=False)
assert reply["generated_text"], reply

name = "cache" if "cache" in outputs else "past_key_values"
token = outputs.logits[:, -1:].argmax(-1)
mask = torch.cat([outputs.attention_mask, torch.ones_like(token)], dim=1)
with torch.no_grad():
    second = network(token, attention_mask=mask, **{name: outputs[name]}).logits[0, -1].argmax()
assert [int(token), int(second)] == expected["new"][:2].tolist()
network.save_pretrained(out)
processor.save_pretrained(out)
"""
CODE = {
    "configuration_geollava.py",
    "image_processing_geollava.py",
    "modeling_geollava.py",
    "processing_geollava.py",
    "prompt_expansion.py",
    "token_pruning.py",
    "vision_tower.py",
}


def saved_elsewhere() -> list[Path]:
    """Return checkpoints that `make_checkpoint` saved below the folder that `RSVQA_CHECKPOINTS` names, if any."""
    folder = os.environ.get("RSVQA_CHECKPOINTS")
    return sorted(Path(folder).iterdir()) if folder else []


@pytest.mark.parametrize("saved", [None, *saved_elsewhere()], ids=lambda folder: folder.name if folder else "here")
def test_it_gives_what_it_gave_where_it_was_saved(saved: Path | None, tmp_path: Path) -> None:
    folder = saved or tmp_path / "model"
    if saved is None:
        make_checkpoint(folder)
    done = run_plain(LOAD_AND_RUN, folder, folder / EXPECTED, PROMPT, tmp_path / "again", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if "deprecated" in line] == []
    assert {path.name for path in (tmp_path / "again").glob("*.py")} == CODE
