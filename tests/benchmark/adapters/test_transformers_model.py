"""What a checkpoint is asked, and what is said when it fails."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from rsvqa.benchmark.adapters.generation import Generator
from rsvqa.benchmark.adapters.transformers_model import TransformersModel, open_transformers_model
from rsvqa.benchmark.errors import ModelError
from rsvqa.benchmark.models import ModelView, PromptGroup, Reply, Unanswered
from rsvqa.benchmark.settings import BenchSettings
from tests.benchmark.conftest import CheckpointMaker
from tests.benchmark.make_checkpoints import make_geollava, set_in
from tests.benchmark.make_prompts import QUESTIONS, make_group, make_image


def open_tiny(folder: Path, *, model: str | None = None, **settings: Any) -> TransformersModel:
    return open_transformers_model(BenchSettings(**{"model": model or str(folder), "device": "cpu", **settings}))


def replies_of(model: TransformersModel, groups: Iterable[PromptGroup]) -> dict[str, Reply]:
    results = list(model.reply(groups))
    assert all(isinstance(result, Reply) for result in results), results
    return {result.key: result for result in results if isinstance(result, Reply)}


def one_reply(model: TransformersModel, group: PromptGroup) -> Reply:
    (reply,) = replies_of(model, [group]).values()
    return reply


def test_batch_size_changes_no_reply(checkpoint: CheckpointMaker) -> None:
    groups = [make_group([make_image(7)], [*QUESTIONS, "Why?", "Is the ship, which is grey, moving?"])]
    alone, together = (
        {key: reply.text for key, reply in replies_of(open_tiny(checkpoint("llava"), batch_size=size), groups).items()}
        for size in (1, 6)
    )
    assert alone == together
    assert len(set(alone.values())) > 3


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_attention_is_the_one_that_is_named(checkpoint: CheckpointMaker, attention: str) -> None:
    groups = [make_group([make_image(7)], QUESTIONS)]
    plain, other = open_tiny(checkpoint("llava")), open_tiny(checkpoint("llava"), attention=attention)
    texts = [[reply.text for reply in replies_of(model, groups).values()] for model in (plain, other)]
    assert texts[0] == texts[1]
    assert other.describe()["attention"] == attention


@pytest.mark.parametrize("kind", ["llava", "geollava", "qwen2_5_vl", "internvl"])
def test_a_model_whose_layers_lie_apart_replies_the_same(
    checkpoint: CheckpointMaker, kind: str, tmp_path: Path
) -> None:
    import accelerate

    groups = [make_group([make_image(7)], QUESTIONS)]
    plain = open_tiny(checkpoint(kind))
    texts = [reply.text for reply in replies_of(plain, groups).values()]
    spread = open_tiny(checkpoint(kind), device="spread").checkpoint
    # without GPUs transformers leaves all of it in one place; here every other part is read from disk when it is needed
    places = ("disk", "cpu")
    parts = {f"model.{name}": places[place % 2] for place, (name, _) in enumerate(spread.model.model.named_children())}
    accelerate.dispatch_model(spread.model, {**parts, "lm_head": "cpu"}, offload_dir=str(tmp_path), force_hooks=True)
    assert spread.model.device.type == "meta"
    apart = TransformersModel(spread, BenchSettings(model=str(checkpoint(kind))))
    assert [reply.text for reply in replies_of(apart, groups).values()] == texts


@pytest.mark.filterwarnings("ignore:MatMul8bitLt:UserWarning")
@pytest.mark.parametrize("bits", ["8", "4"])
def test_weights_are_packed_by_bitsandbytes(tmp_path: Path, bits: str) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    # blocks of 64 are packed
    model = open_tiny(make_geollava(tmp_path / "ckpt", width=128), dtype="float32", weight_bits=bits)
    assert model.describe()["weight_bits"] == bits
    assert model.checkpoint.model.quantization_method == "bitsandbytes"
    assert len(replies_of(model, [make_group([make_image(1)], QUESTIONS)])) == len(QUESTIONS)


def test_tokens_are_counted(checkpoint: CheckpointMaker) -> None:
    # "<|im_start|>" "user" "\n": 6, "<image>": 16 (4 × 4 patches), "\n" "Hi" "<|im_end|>" "\n": 5,
    # "<|im_start|>" "assistant" "\n": 11; one token a character
    reply = one_reply(open_tiny(checkpoint("llava")), make_group([make_image(1)], ["Hi"], max_new_tokens=3))
    assert (reply.num_prompt_tokens, reply.num_visual_tokens, reply.num_new_tokens) == (38, 16, 3)
    assert not reply.ended


def test_tokens_that_the_model_itself_puts_in_are_counted_where_they_are_known(
    checkpoint: CheckpointMaker, tmp_path: Path
) -> None:
    # 56 × 84 px: 2 × 3 cells of 28 px, 5 tokens of each
    group = make_group([make_image(1, width=84, height=56)], ["Hi"])
    for reuse in (True, False):
        known = one_reply(open_tiny(checkpoint("geollava"), reuse=reuse), group)
        assert known.num_visual_tokens == 30
        assert known.num_prompt_tokens == 22 + 38 + 30
    # 5 tokens of each at most, and only the model knows how many
    folder = shutil.copytree(checkpoint("geollava"), tmp_path / "drops")
    set_in(folder / "config.json", fill="drop")
    set_in(folder / "processor_config.json", num_cell_tokens=None)
    reply = one_reply(open_tiny(folder), group)
    assert reply.num_visual_tokens is not None
    assert 6 <= reply.num_visual_tokens <= 30
    # 38 − 16 tokens of text as in the test above, and "<|im_start|>" "system" "\n" "You are a helpful assistant."
    # "<|im_end|>" "\n" before it: 1 + 6 + 1 + 28 + 1 + 1
    assert reply.num_prompt_tokens == 22 + 38 + reply.num_visual_tokens
    assert one_reply(open_tiny(folder, reuse=False), group).num_visual_tokens is None


def test_a_reply_ends_where_the_model_ends_it(checkpoint: CheckpointMaker, tmp_path: Path) -> None:
    group = make_group([make_image(1)], ["Hi"])
    whole = one_reply(open_tiny(checkpoint("llava")), group)
    folder = shutil.copytree(checkpoint("llava"), tmp_path / "ends")
    tokenizer = open_tiny(folder)._checkpoint.processor.tokenizer
    ids = tokenizer(whole.text, add_special_tokens=False)["input_ids"]

    set_in(folder / "generation_config.json", eos_token_id=[3, ids[1]])
    model = open_tiny(folder)
    reply = one_reply(model, group)
    assert (reply.ended, reply.num_new_tokens) == (True, ids.index(ids[1]) + 1)

    set_in(folder / "generation_config.json", eos_token_id=[ids[0]])
    empty = one_reply(open_tiny(folder), group)
    assert (empty.ended, empty.num_new_tokens) == (True, 1)


def test_a_model_that_ends_at_once_has_an_empty_reply(checkpoint: CheckpointMaker, monkeypatch: Any) -> None:
    import torch

    model = open_tiny(checkpoint("llava"))
    head = model._checkpoint.model.lm_head
    monkeypatch.setattr(head, "forward", lambda hidden: torch.eye(len(head.weight))[3].expand(*hidden.shape[:2], -1))
    reply = one_reply(model, make_group([make_image(1)], ["Hi"]))  # 3 ends a reply
    assert (reply.text, reply.ended, reply.num_new_tokens) == ("", True, 1)


def test_a_model_without_an_end_runs_into_the_bound(checkpoint: CheckpointMaker, tmp_path: Path) -> None:
    folder = shutil.copytree(checkpoint("llava"), tmp_path / "endless")
    for name in ("generation_config.json", "config.json"):
        set_in(folder / name, eos_token_id=None)
    config = json.loads((folder / "config.json").read_text())
    set_in(folder / "config.json", text_config=config["text_config"] | {"eos_token_id": None})
    replies = replies_of(open_tiny(folder), [make_group([make_image(1)], max_new_tokens=5)])
    assert {(reply.ended, reply.num_new_tokens) for reply in replies.values()} == {(False, 5)}


def test_each_prompt_has_its_own_bound(checkpoint: CheckpointMaker) -> None:
    images = [make_image(1)]
    short, long = (make_group(images, max_new_tokens=bound, name=str(bound)) for bound in (2, 5))
    group = PromptGroup(tuple(images), (*short.prompts, *long.prompts))
    replies = replies_of(open_tiny(checkpoint("llava_onevision")), [group])
    for key, reply in replies.items():
        assert reply.num_new_tokens == int(key[0]) or (reply.ended and (reply.num_new_tokens or 0) <= int(key[0]))
        assert replies["5" + key[1:]].text.startswith(reply.text)


@pytest.mark.parametrize("place", [0, 1])
def test_a_refused_prompt_leaves_the_others_answered(place: int, checkpoint: CheckpointMaker) -> None:
    texts = ["What is it?", "Why?"]
    texts.insert(place, "Two images? <image>")
    results = list(open_tiny(checkpoint("llava")).reply([make_group([make_image(1)], texts)]))
    (refused,) = (result for result in results if isinstance(result, Unanswered))
    assert refused.key == f"g-{place}"
    assert refused.reason.startswith("the processor refused it: ")
    assert len(results) == 3


def test_a_refused_image_leaves_its_prompts_unanswered(checkpoint: CheckpointMaker) -> None:
    # 1 px high, 400 wide: Qwen's processors refuse sides beyond 200 : 1
    thin = make_group([make_image(1, width=400, height=1)], ["Hi", "Why?"], name="thin")
    results = list(open_tiny(checkpoint("qwen2_vl")).reply([thin, make_group([make_image(2)], ["Hi"])]))
    reasons = {result.key: getattr(result, "reason", None) for result in results}
    assert reasons["g-0"] is None
    assert "aspect ratio" in str(reasons["thin-0"])
    assert "aspect ratio" in str(reasons["thin-1"])


def test_boxes_are_put_into_pixels_of_the_view(checkpoint: CheckpointMaker) -> None:
    # 90 × 60 px above 2,304 of them: β = √(5400 / 2304) = 1.531; sides 60 / β = 39.2 → 32 and 90 / β = 58.8 → 56,
    # multiples of 8; so x · 56 / 90 and y · 32 / 60
    group = make_group([make_image(1)], [QUESTIONS[1], "Why?"])
    replies = replies_of(open_tiny(checkpoint("qwen2_5_vl")), [group])
    reply = replies["g-0"]
    assert reply.views == (ModelView(width=56, height=32, scale_x=56 / 90, scale_y=32 / 60),)
    assert reply.sent == (
        "Image resolution: 56 x 32\nBounding box: [6, 11, 19, 21]\nWhich colour has the object in the box?"
    )
    assert reply.box_convention == "view_pixels"
    assert replies["g-1"].sent is None


def test_boxes_can_be_left_as_they_are(checkpoint: CheckpointMaker) -> None:
    group = make_group([make_image(1)], [QUESTIONS[1]])
    model = open_tiny(checkpoint("qwen2_5_vl"), rewrite_boxes=False)
    assert one_reply(model, group).sent is None
    assert model.describe()["rewrites_boxes"] is False


def test_a_blind_model_is_asked_without_images(checkpoint: CheckpointMaker) -> None:
    import torch

    folder = checkpoint("llava")
    model = open_tiny(folder, model=f"blind:{folder}", batch_size=2)
    groups = [make_group([], [text], name=name) for name, text in zip("abc", QUESTIONS, strict=False)]
    replies = replies_of(model, groups)
    assert model.name == "blind:llava"

    processor, network = model._checkpoint.processor, model._checkpoint.model
    chat = f"<|im_start|>user\n{QUESTIONS[2]}<|im_end|>\n<|im_start|>assistant\n"
    inputs = processor.tokenizer(chat, return_tensors="pt")
    with torch.inference_mode():
        ids = network.generate(**inputs, do_sample=False, max_new_tokens=8)[0, inputs["input_ids"].shape[1] :]
    assert replies["c-0"].text == processor.tokenizer.decode(ids, skip_special_tokens=True)
    assert replies["c-0"].num_visual_tokens == 0


def test_blind_prompts_share_batches(checkpoint: CheckpointMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    reply = Generator.reply_to_whole

    def record(self: Generator, prompts: Any, **settings: Any) -> Any:
        sizes.append(len(prompts))
        return reply(self, prompts, **settings)

    monkeypatch.setattr(Generator, "reply_to_whole", record)
    model = open_tiny(checkpoint("llava"), batch_size=2)
    replies_of(model, [make_group([], ["Why?"], name=name) for name in "abc"])
    assert sizes == [2, 1]


@pytest.mark.parametrize("error", ["class", "cpu"])
def test_out_of_memory_names_the_knobs(
    error: str, checkpoint: CheckpointMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    errors = {"class": torch.OutOfMemoryError("CUDA out of memory"), "cpu": RuntimeError("can't allocate memory: 9")}

    def fail(*args: object, **kwargs: object) -> None:
        raise errors[error]

    model = open_tiny(checkpoint("llava"), batch_size=5, max_pixels=1000)
    monkeypatch.setattr(Generator, "reply_to_tails", fail)
    image = make_image(1)
    with pytest.raises(
        ModelError, match=rf"image {image.sha256[:12]}.*`batch_size` \(now 5\).*`max_pixels` \(now 1000\)"
    ):
        list(model.reply([make_group([image])]))


def test_a_failing_model_is_named_with_its_image(checkpoint: CheckpointMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("shapes do not match\nsecond line")

    model = open_tiny(checkpoint("llava"))
    monkeypatch.setattr(Generator, "fill_prefix", fail)
    with pytest.raises(ModelError, match=r"the model llava failed on image [0-9a-f]{12}: shapes do not match$"):
        list(model.reply([make_group([make_image(1)])]))


def test_images_are_scaled_down_where_the_processor_has_no_knob(checkpoint: CheckpointMaker) -> None:
    # 100 × 50 px → at most 1,250: half of each side
    model = open_tiny(checkpoint("llava"), max_pixels=1250)
    (picture,) = model._as_pictures([make_image(1, width=100, height=50)])
    assert picture.size == (50, 25)
    (small,) = model._as_pictures([make_image(1, width=50, height=25)])
    assert small.size == (50, 25)


def test_the_description_is_json_and_tells_checkpoints_apart(checkpoint: CheckpointMaker, tmp_path: Path) -> None:
    folder = checkpoint("llava")
    described = open_tiny(folder, max_pixels=900).describe()
    assert json.loads(json.dumps(described)) == described
    assert str(described["image_processor"]).startswith("CLIPImageProcessor")
    assert {key: described[key] for key in ("model_type", "family", "dtype", "max_pixels")} == {
        "model_type": "llava",
        "family": "llava",
        "dtype": "float32",
        "max_pixels": 900,
    }
    other = shutil.copytree(folder, tmp_path / "other")
    assert open_tiny(other).describe()["revision"] == described["revision"]
    weights = other / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert open_tiny(other).describe()["revision"] != described["revision"]


def test_weights_are_loaded_in_the_type_asked_for(checkpoint: CheckpointMaker) -> None:
    model = open_tiny(checkpoint("llava"), dtype="bfloat16")
    assert model.describe()["dtype"] == "bfloat16"
    assert one_reply(model, make_group([make_image(1)], ["Hi"])).num_new_tokens


@pytest.mark.parametrize("kind", ["idefics2", "far"])
def test_a_family_that_nobody_tested_gets_pil_images(kind: str, checkpoint: CheckpointMaker) -> None:
    from PIL import Image

    model = open_tiny(checkpoint(kind), trust_remote_code=True)
    assert model.describe()["family"] == "default"
    (picture,) = model._as_pictures([make_image(1)])
    assert isinstance(picture, Image.Image)
    assert one_reply(model, make_group([make_image(1)], ["Hi"])).num_new_tokens


def test_code_that_names_the_class_for_texts_alone_replies_as_its_twin(checkpoint: CheckpointMaker) -> None:
    group = make_group([make_image(1)])
    far = replies_of(open_tiny(checkpoint("far"), trust_remote_code=True), [group])
    near = replies_of(open_tiny(checkpoint("llava")), [group])
    assert {key: reply.text for key, reply in far.items()} == {key: reply.text for key, reply in near.items()}


def test_units_of_boxes_may_be_stated(checkpoint: CheckpointMaker) -> None:
    model = open_tiny(checkpoint("llava"), box_units="0-1000")
    assert (model.box_convention, model.describe()["box_convention"]) == ("0-1000", "0-1000")
    assert one_reply(model, make_group([make_image(1)], ["Hi"])).box_convention == "0-1000"
    with pytest.raises(ModelError, match="what models of type 'llava' see of an image is not known"):
        open_tiny(checkpoint("llava"), box_units="view_pixels")
    assert open_tiny(checkpoint("qwen2_vl"), box_units="view_pixels").box_convention == "view_pixels"


def test_a_system_turn_and_arguments_reach_the_chat_template(checkpoint: CheckpointMaker) -> None:
    group = make_group([make_image(1)], ["Hi"])
    plain = one_reply(open_tiny(checkpoint("llava")), group)
    told = one_reply(open_tiny(checkpoint("llava"), system="Go"), group)
    # "<|im_start|>" "system" "\n" "Go" "<|im_end|>" "\n": 1 + 6 + 1 + 2 + 1 + 1
    assert (told.num_prompt_tokens or 0) - (plain.num_prompt_tokens or 0) == 12
    silent = one_reply(open_tiny(checkpoint("llava"), template_args='{"add_generation_prompt": false}'), group)
    # without "<|im_start|>" "assistant" "\n"
    assert (plain.num_prompt_tokens or 0) - (silent.num_prompt_tokens or 0) == 11
