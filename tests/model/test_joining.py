"""Questions that share a pass of their image are read, answered and learnt from as if each were alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from rsvqa.model import training as training_module
from rsvqa.model.checkpoints import StartingPoint, with_adapters
from rsvqa.model.conversations import IGNORED_LABEL, ConversationError
from rsvqa.model.data import Collator, LoadedSample, SampleDataset, TrainingDataError, list_samples, number_images
from rsvqa.model.joining import PADDING, PassCollator, PassDataset, branch_mask, join_chats
from rsvqa.model.ordering import Draw
from rsvqa.model.tiny import make_tiny
from rsvqa.model.trainer import TrainingError, VqaTrainer, last_checkpoint
from rsvqa.model.training import train
from rsvqa.model.training_settings import TinySettings
from rsvqa.rsvqa_builder.config import SettingsError
from rsvqa.rsvqa_builder.progress import QuietReporter
from tests.model.make_dataset import TINY, make_dataset, make_settings

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

X = IGNORED_LABEL
TEXTS = ["Describe. All is red, green", "Which colour? (A) red (B) green", "Where? [0.1, 0.2, 0.3, 0.4]"]


def test_a_row_by_hand() -> None:
    row = join_chats([7, 8], [([10, 11], [X, 11]), ([12], [X]), ([13, 14, 15], [X, 14, 15])])
    assert row.input_ids == [7, 8, 10, 11, 12, 13, 14, 15]
    assert row.labels == [X, X, X, 11, X, X, 14, 15]
    assert row.position_ids == [0, 1, 2, 3, 2, 2, 3, 4]
    assert row.branches == [0, 0, 1, 1, 2, 3, 3, 3]


def test_what_a_token_sees_by_hand() -> None:
    mask = branch_mask(torch.tensor([[0, 0, 1, 1, 2, PADDING]]))
    assert mask.shape == (1, 1, 6, 6)
    assert mask[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 0, 0, 1, 0],  # the image and itself, not the first question
        [1, 1, 0, 0, 0, 1],
    ]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "set", tiles=3)


def start_of(**changes: Any) -> StartingPoint:
    """Return a tiny model of two layers, and its processor; images have 2 x 2 cells of 5 tokens."""
    sizes = TinySettings.model_validate(TINY | {"llm_layers": 2, "cell_size": 16, "max_grid": 2})
    start = StartingPoint(*make_tiny(TEXTS, sizes, seed=0))
    start.model.config.tokens_per_cell = 5
    for name, value in changes.items():
        setattr(start.model.config, name, value)
    start.agree()
    return start


def samples_of(data: Path, start: StartingPoint, draws: Sequence[Draw]) -> SampleDataset:
    return SampleDataset(list_samples([data], split="train"), draws, prepare=Collator(start.processor).prepare)


def loss_of(model: nn.Module, batch: dict[str, Any], num_labels: int | None = None) -> Tensor:
    """Return the loss as the trainer has it."""
    trainer: Any = SimpleNamespace(
        unreadable=[],
        accelerator=SimpleNamespace(num_processes=1),
        _check_unreadable=lambda _: None,
        _num_images=0,
        _num_visual_tokens=0,
    )
    loss: Tensor = VqaTrainer.compute_loss(trainer, model, dict(batch), num_items_in_batch=num_labels)
    return loss


def gradients_of(model: nn.Module) -> dict[str, Tensor]:
    found = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad()
    return found


def as_run(model: Any, kind: str) -> Any:
    if kind == "adapters":
        model = with_adapters(model, rank=2, computes_in_bf16=False)
        for name, weight in model.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(weight, std=0.2)
        model.enable_input_require_grads()
    if kind != "plain":
        (model.get_base_model() if kind == "adapters" else model).activation_checkpointing_enable(
            {"use_reentrant": False}
        )
    return model.train()


@pytest.mark.parametrize("kind", ["plain", "checkpointed", "adapters"])
@pytest.mark.parametrize("sizes", [(3, 3, 3), (2, 1, 3, 1, 2)])
def test_loss_and_gradients_are_those_of_single_samples(data: Path, sizes: tuple[int, ...], kind: str) -> None:
    start = start_of()
    model = as_run(start.model, kind)
    draws = [Draw(number, 0, joins=False) for number in range(9)]
    alone = samples_of(data, start, draws)
    collator = Collator(start.processor)
    singles = [collator([alone[number]]) for number in range(9)]
    num_labels = sum(int((batch["labels"] != X).sum()) for batch in singles)
    losses = [loss_of(model, batch, num_labels) for batch in singles]
    torch.stack(losses).sum().backward()
    expected = gradients_of(model)
    starts = {sum(sizes[:number]) for number in range(len(sizes))}
    joined = [draw._replace(joins=place not in starts) for place, draw in enumerate(draws)]
    passes = PassDataset(samples_of(data, start, joined), joined)
    assert [len(passes[number]) for number in range(len(passes))] == list(sizes)
    batch = PassCollator(start.processor)([passes[number] for number in range(len(passes))])
    assert len(batch["input_ids"]) == len(batch["image_grid_thw"]) == len(sizes)
    assert int((batch["labels"] != X).sum()) == num_labels
    loss = loss_of(model, batch, num_labels)
    loss.backward()
    torch.testing.assert_close(loss, torch.stack(losses).sum(), rtol=1e-5, atol=1e-6)
    found = gradients_of(model)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=2e-6, msg=name)


def test_a_question_does_not_change_with_its_neighbours(data: Path) -> None:
    start = start_of()
    start.model.eval()
    draws = [Draw(number, 0, joins=number > 0) for number in range(3)]
    questions = PassDataset(samples_of(data, start, draws), draws)[0]
    other = replace(questions[0], record=replace(questions[0].record, question="Describe. Where? Which?", answer="B"))
    losses = []
    for first in (questions[0], other):
        batch = PassCollator(start.processor)([(first, *questions[1:])])
        batch["labels"][batch["branches"] == 1] = X  # of the others alone
        losses.append(loss_of(start.model, batch).item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_an_image_that_cannot_be_read_teaches_nothing_and_the_others_as_ever(tmp_path: Path) -> None:
    start, draws = start_of(), [Draw(number, 0, joins=number % 3 > 0) for number in range(6)]
    broken = PassDataset(samples_of(make_dataset(tmp_path / "b", tiles=2, broken=(1,)), start, draws), draws)
    batch = PassCollator(start.processor)([broken[0], broken[1]])
    assert batch["unreadable"] == ["b/s:1/OCL1", "b/s:1/DIC1", "b/s:1/FVG1"]
    assert (batch["labels"][1] == X).all()
    whole = PassCollator(start.processor)([broken[0]])
    torch.testing.assert_close(loss_of(start.model, batch), loss_of(start.model, whole), rtol=1e-5, atol=1e-6)
    lone = loss_of(start.model, PassCollator(start.processor)([broken[1]]))
    lone.backward()
    assert lone.item() == 0.0


def test_questions_of_other_images_are_refused(data: Path) -> None:
    start, draws = start_of(), [Draw(0, 0), Draw(3, 0, joins=True)]
    with pytest.raises(TrainingDataError, match="set/s:0/OCL1 and set/s:1/OCL1 name the same images, and hold others"):
        PassDataset(samples_of(data, start, draws), draws)[0]


def test_a_template_that_places_images_behind_the_question_is_refused(data: Path) -> None:
    start, draws = start_of(), [Draw(0, 0), Draw(1, 0, joins=True)]
    questions: tuple[LoadedSample, ...] = PassDataset(samples_of(data, start, draws), draws)[0]
    start.processor.chat_template = (
        "{%- for message in messages -%}"
        "{%- for part in message['content'] -%}{{- part.get('text', '') -}}{%- endfor -%}"
        "{%- if message['role'] == 'user' -%}{{- '<image>' -}}{%- endif -%}{%- endfor -%}"
    )
    with pytest.raises(ConversationError, match="chats of set/s:0/OCL1, set/s:0/DIC1 differ before the end of their"):
        PassCollator(start.processor)([questions])


def test_images_are_told_apart_by_row_group_and_name(data: Path) -> None:
    samples = list_samples([data], split="train")
    assert number_images(samples) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert number_images([]) == []


def test_images_without_names_are_never_taken_for_the_same(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "rsvqa.rsvqa_builder.dataset.image_tables.TableReader.read_image_names", lambda *_: [["", ""]] * 9
    )
    assert number_images(list_samples([data], split="train")[:4]) == [0, 1, 2, 3]


class StoppingReporter(QuietReporter):
    """Ends a run with an error at a step."""

    def note(self, kind: str, text: str, **fields: object) -> None:  # noqa: ARG002
        if kind == "step" and fields["step"] == 3:
            raise KeyboardInterrupt


def test_a_run_takes_every_question_and_goes_on_as_if_undisturbed(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "set")
    changes: dict[str, Any] = {"questions_per_pass": 2, "epochs": 2, "eval_questions": 4, "loader_workers": 1}
    settings = make_settings(data, **changes)
    report = train(settings, tmp_path / "whole")
    # 8 images of 3 questions are 16 rows per epoch, 2 rows per step
    assert report["steps"] == 16
    with pytest.raises(KeyboardInterrupt):
        train(settings, tmp_path / "run", reporter=StoppingReporter())
    checkpoint = last_checkpoint(tmp_path / "run")
    assert checkpoint is not None
    assert checkpoint.name == "checkpoint-2"
    again = train(settings, tmp_path / "run", resume=True)
    losses = [[entry["loss"] for entry in one["curve"] if "loss" in entry] for one in (report, again)]
    assert losses[0] == losses[1]
    assert losses[0][-1] < losses[0][0]
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("run", "whole"))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    with pytest.raises(TrainingError, match=r"is of a run with other settings \(questions_per_pass = 2"):
        train(make_settings(data, **changes | {"questions_per_pass": 1}), tmp_path / "run", resume=True)


def test_max_steps_end_a_run_of_short_rows_too_and_bf16_learns(tmp_path: Path) -> None:
    settings = make_settings(
        make_dataset(tmp_path / "set"), questions_per_pass=2, max_steps=7, precision="bf16", gradient_checkpointing=True
    )
    report = train(settings, tmp_path / "run")
    losses = [entry["loss"] for entry in report["curve"] if "loss" in entry]
    assert report["steps"] == len(losses) == 7  # of 8 per epoch
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fill": "drop", "pruning": "anchored"}, "the number of visual tokens depends on what an image shows .fill ="),
        ({"attention": "eager"}, "the language model's attention is 'eager', expected 'sdpa', or leave questions"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "some layers of the language model do not see the"),
    ],
)
def test_models_that_cannot_tell_questions_apart_are_refused(data: Path, changes: dict[str, Any], message: str) -> None:
    start = start_of(**{name: value for name, value in changes.items() if name in ("fill", "pruning")})
    text = start.model.config.text_config
    text.layer_types = changes.get("layer_types", text.layer_types)
    text._attn_implementation = changes.get("attention", "sdpa")
    with pytest.raises(TrainingError, match=f"questions_per_pass 2 cannot be used with tiny: {message}"):
        training_module._refuse_joining(make_settings(data, questions_per_pass=2), start)
    training_module._refuse_joining(make_settings(data), start)


def test_what_a_batch_counts_must_divide() -> None:
    with pytest.raises(SettingsError, match="device_batch_size 2 must be a multiple of questions_per_pass 3: it"):
        make_settings(Path("set"), questions_per_pass=3)


def test_rows_are_padded_behind(data: Path) -> None:
    start = start_of()
    draws = [Draw(0, 0), Draw(1, 0, joins=True), Draw(3, 0)]
    passes = PassDataset(samples_of(data, start, draws), draws)
    batch = PassCollator(start.processor)([passes[0], passes[1]])
    end = int((batch["branches"][1] != PADDING).sum())
    assert 0 < end < batch["branches"].shape[1]
    assert (batch["input_ids"][1, end:] == start.processor.tokenizer.pad_token_id).all()
    assert (batch["branches"][1, end:] == PADDING).all()
    assert (batch["labels"][1, end:] == X).all()
