"""Whole runs of a tiny model: resumed, stopped by NaN, out of disk, and what a run tells of itself."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tomli_w
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, AutoProcessor

from rsvqa.annotation.errors import RsvqaError
from rsvqa.model import checkpoints as checkpoints_module
from rsvqa.model import evaluation
from rsvqa.model import trainer as trainer_module
from rsvqa.model import training as training_module
from rsvqa.model.checkpoints import load_checkpoint
from rsvqa.model.data import SampleDataset, TrainingDataError, list_samples
from rsvqa.model.evaluation import ChosenReply
from rsvqa.model.ordering import Draw
from rsvqa.model.trainer import TrainingError, TrainingStoppedError, VqaTrainer, last_checkpoint, list_checkpoints
from rsvqa.model.training import plan_draws, train
from rsvqa.model.training_report import TrainResult, lost_lines
from rsvqa.model.training_settings import CHANGES_NOTHING_LEARNT
from rsvqa.rsvqa_builder.progress import QuietReporter, SilentReporter
from tests.model.make_dataset import TINY, make_dataset, make_settings
from tests.model.make_models import tiny_model, tiny_processor

NUM_TRAIN = 8 * 3


class KilledError(Exception):
    """Stands for a killed process."""


class StoppingReporter(QuietReporter):
    """Raises `KilledError` when a step is told of."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def note(self, kind: str, text: str, **fields: object) -> None:  # noqa: ARG002
        if kind == "step" and fields["step"] == self.step:
            raise KilledError


class SignallingReporter(QuietReporter):
    """Sends a signal to its own process when a step is told of."""

    def __init__(self, step: int, number: signal.Signals) -> None:
        super().__init__(io.StringIO())
        self.step, self.number = step, number

    def note(self, kind: str, text: str, **fields: object) -> None:  # noqa: ARG002
        if kind == "step" and fields["step"] == self.step:
            os.kill(os.getpid(), self.number)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "set")


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "undisturbed"
    train(make_settings(data, eval_questions=4, eval_every=3), out)
    return out


def read_report(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "training_report.json").read_text()))


def losses(out: Path) -> list[tuple[int, float]]:
    return [(entry["step"], entry["loss"]) for entry in read_report(out)["curve"] if "loss" in entry]


@pytest.mark.parametrize("step", [3, 5])
def test_a_resumed_run_goes_on_as_if_undisturbed(data: Path, undisturbed: Path, tmp_path: Path, step: int) -> None:
    settings = make_settings(data, eval_questions=4, eval_every=3)
    out = tmp_path / "run"
    with pytest.raises(KilledError):
        train(settings, out, reporter=StoppingReporter(step))
    resumed_from = last_checkpoint(out)
    assert resumed_from is not None
    assert resumed_from.name == f"checkpoint-{step - 1}"
    # what a process leaves that is killed while it saves: of a step that the next one does not save, and of a file
    (out / ".partial" / "checkpoint-99").mkdir(parents=True)
    (out / ".train.toml.host-1-0123abcd.partial").write_bytes(b"half")
    train(settings, out, resume=True)
    assert not [path.name for path in out.iterdir() if path.name.startswith(".")]
    assert losses(out) == losses(undisturbed)
    assert [number for number, _ in losses(out)] == [1, 2, 3, 4, 5, 6]  # 24 samples in batches of 4
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (out, undisturbed))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_the_step_and_the_run_goes_on_as_if_undisturbed(
    data: Path, undisturbed: Path, tmp_path: Path, number: signal.Signals
) -> None:
    settings = make_settings(data, eval_questions=4, eval_every=3, save_every=1000)
    before = signal.getsignal(number)
    # told of while step 2 is logged: step 3 is the next to end
    message = rf"stopped by {number.name} at step 3 of 6; .*checkpoint-3 is whole: go on with `resume`"
    with pytest.raises(TrainingStoppedError, match=message) as caught:
        train(settings, tmp_path / "run", reporter=SignallingReporter(2, number))
    assert caught.value.exit_code == 128 + number
    assert signal.getsignal(number) == before
    assert not (tmp_path / "run" / "model.safetensors").exists()
    train(settings, tmp_path / "run", resume=True)
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (tmp_path / "run", undisturbed))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize(
    ("eval_every", "pass_number", "step"),
    [
        (3, 1, 3),  # of the evaluation at step 3
        (3, 7, 6),  # of the one at the last step: there are 6 passes in each
        (0, 1, 6),  # of the one behind the last step
    ],
)
def test_a_signal_cuts_an_evaluation_and_the_run_goes_on_as_if_undisturbed(
    data: Path,
    undisturbed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    eval_every: int,
    pass_number: int,
    step: int,
) -> None:
    passes = []

    def score_batch(*inputs: Any) -> list[ChosenReply]:
        passes.append(inputs)
        if len(passes) == pass_number:
            os.kill(os.getpid(), signal.SIGTERM)
        return score_as_ever(*inputs)

    score_as_ever = evaluation._score_batch
    monkeypatch.setattr(evaluation, "_score_batch", score_batch)
    settings = make_settings(data, eval_questions=4, eval_every=eval_every, save_every=1000)
    message = rf"stopped by SIGTERM at step {step} of 6; .*checkpoint-{step} is whole: go on with `resume`"
    with pytest.raises(TrainingStoppedError, match=message):
        train(settings, tmp_path / "run", reporter=SilentReporter())
    assert len(passes) == pass_number  # none after it
    assert not (tmp_path / "run" / "model.safetensors").exists()
    report = train(settings, tmp_path / "run", resume=True)
    assert sum(score["num_questions"] for score in report["evaluation"].values()) == 12  # all that there are
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (tmp_path / "run", undisturbed))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_signal_while_a_checkpoint_is_saved_stops_behind_it(
    data: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = []

    def save(trainer: VqaTrainer, *inputs: Any) -> None:
        saved.append(trainer.state.global_step)
        os.kill(os.getpid(), signal.SIGTERM)
        save_as_ever(trainer, *inputs)

    save_as_ever = VqaTrainer._save_checkpoint
    settings = make_settings(data, eval_questions=4, eval_every=3)
    with monkeypatch.context() as patch:
        patch.setattr(VqaTrainer, "_save_checkpoint", save)
        with pytest.raises(TrainingStoppedError, match=r"SIGTERM at step 2 of 6; .*checkpoint-2 is whole"):
            train(settings, tmp_path / "run", reporter=SilentReporter())
    assert saved == [2]  # no further step, and no second checkpoint
    train(settings, tmp_path / "run", resume=True)
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (tmp_path / "run", undisturbed))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_going_on_is_silent_about_tied_weights_and_refuses_lacking_ones(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "run"
    train(make_settings(data, max_steps=2), out)
    with caplog.at_level("WARNING"):
        train(make_settings(data, max_steps=2), out, resume=True)
    assert "missing keys" not in caplog.text
    path = out / "checkpoint-2" / "model.safetensors"
    weights = load_file(path)
    assert "lm_head.weight" not in weights  # it is the table of embeddings
    del weights["model.multi_modal_projector.linear_1.bias"]
    save_file(weights, path, {"format": "pt"})
    message = r"differ in 1 weights, the first is model\.multi_modal_projector\.linear_1\.bias; remove"
    with pytest.raises(TrainingError, match=message):
        train(make_settings(data, max_steps=2), out, resume=True)


def test_a_signal_in_the_last_step_lets_the_run_end(data: Path, tmp_path: Path) -> None:
    report = train(make_settings(data, max_steps=2), tmp_path / "run", reporter=SignallingReporter(2, signal.SIGTERM))
    assert report["steps"] == 2
    assert (tmp_path / "run" / "model.safetensors").exists()


def test_settings_that_change_nothing_learnt_may_be_others_when_a_run_goes_on(
    data: Path, undisturbed: Path, tmp_path: Path
) -> None:
    with pytest.raises(KilledError):
        train(make_settings(data), tmp_path / "run", reporter=StoppingReporter(3))
    changes: dict[str, Any] = {
        "gradient_checkpointing": True,
        "loader_workers": 1,
        "max_unreadable": 0.5,
        "log_every": 2,
        "save_every": 3,
        "keep_checkpoints": 1,
        "eval_every": 2,
        "eval_questions": 2,
    }
    assert changes.keys() | {"tensorboard"} == CHANGES_NOTHING_LEARNT
    train(make_settings(data, **changes), tmp_path / "run", resume=True)
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (tmp_path / "run", undisturbed))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert "loader_workers = 1" in (tmp_path / "run" / "train.toml").read_text()


def test_resuming_a_finished_run_changes_nothing(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train(make_settings(data, max_steps=2), out)
    before = load_file(out / "model.safetensors")
    train(make_settings(data, max_steps=2), out, resume=True)
    after = load_file(out / "model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_trained_model_loads_with_the_auto_classes(undisturbed: Path) -> None:
    model = AutoModelForImageTextToText.from_pretrained(undisturbed)
    assert model.config.tokens_per_cell == 4
    assert AutoProcessor.from_pretrained(undisturbed).image_processor.cell_size == 32


def test_the_report_counts_what_was_used(data: Path, undisturbed: Path) -> None:
    report = read_report(undisturbed)
    assert report["steps"] == 6
    assert report["samples"]["used"] == NUM_TRAIN
    assert report["samples"]["drawn_by_task"] == {
        "detailed_captioning": 8,
        "fine_grained_grounding": 8,
        "object_colour": 8,
    }
    assert report["samples"]["unreadable"] == {"number": 0, "first": []}
    colour = report["evaluation"]["object_colour"]
    assert colour["num_questions"] == 4
    # val tiles 8 to 11: red, green, blue, grey among choices that begin at 2, 0, 1, 2 of the four: C, B, B, B
    assert colour["majority"] == 0.75
    assert report["evaluation"]["detailed_captioning"]["accuracy"] is None
    assert [entry["step"] for entry in report["curve"] if "eval_accuracy" in entry] == [3, 6]
    assert all(entry["images_per_s"] > 0 for entry in report["curve"] if "loss" in entry)
    plot = ElementTree.fromstring((undisturbed / "curves.svg").read_text())  # noqa: S314  written by ourselves
    titles = [text.text for text in plot.iter("{http://www.w3.org/2000/svg}text") if text.get("class") == "title"]
    assert titles == [
        "Loss per token",
        "Accuracy on val, mean of the tasks",
        "OCL, accuracy on val",
        "DIC, loss on val",
        "FVG, loss on val",
        "Learning rate of the LLM",
    ]


def test_only_the_last_checkpoints_stay(undisturbed: Path, data: Path, tmp_path: Path) -> None:
    assert [path.name for path in list_checkpoints(undisturbed)] == ["checkpoint-2", "checkpoint-4", "checkpoint-6"]
    train(make_settings(data, keep_checkpoints=1), tmp_path / "run")
    assert [path.name for path in list_checkpoints(tmp_path / "run")] == ["checkpoint-6"]


def test_a_full_disk_leaves_the_previous_checkpoint_whole(
    data: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    settings = make_settings(data, eval_questions=4, eval_every=3)
    save_state: Callable[..., None] = VqaTrainer._save_optimizer_and_scheduler

    def fail_at_4(trainer: VqaTrainer, folder: str) -> None:
        if trainer.state.global_step == 4:
            raise OSError(28, "No space left on device")
        save_state(trainer, folder)

    with monkeypatch.context() as patch:
        patch.setattr(VqaTrainer, "_save_optimizer_and_scheduler", fail_at_4)
        with pytest.raises(
            TrainingError, match=r"checkpoint of step 4 cannot be written.*No space.*checkpoint-2 is whole"
        ):
            train(settings, out)
    assert sorted(path.name for path in out.iterdir()) == ["checkpoint-2", "train.toml"]
    train(settings, out, resume=True)
    assert losses(out) == losses(undisturbed)


def test_nan_stops_the_run_and_names_the_batch(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[float] = []
    loss_of = trainer_module.reply_loss

    def broken(*arguments: Any, **named: Any) -> torch.Tensor:
        calls.append(1)
        return loss_of(*arguments, **named) * (float("nan") if len(calls) == 5 else 1)  # two passes a step

    monkeypatch.setattr(trainer_module, "reply_loss", broken)
    with pytest.raises(TrainingError, match=r"loss is nan at step 3, on the samples set/s:\d+/\w+, set/s:\d+/\w+;"):
        train(make_settings(data), tmp_path / "run")
    checkpoint = last_checkpoint(tmp_path / "run")
    assert checkpoint is not None
    assert checkpoint.name == "checkpoint-2"
    assert all(torch.isfinite(weights).all() for weights in load_file(checkpoint / "model.safetensors").values())


def test_unreadable_images_are_counted_and_the_run_goes_on(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "set", tiles=2, broken=(1,))
    report = train(make_settings(data, batch_size=2, device_batch_size=1, max_unreadable=0.5), tmp_path / "run")
    assert report["steps"] == 3  # 6 samples, of which 3 have no label
    assert report["samples"]["unreadable"] == {
        "number": 3,
        "first": ["set/s:1/DIC1", "set/s:1/FVG1", "set/s:1/OCL1"],
    }


def test_a_step_without_any_readable_image_has_no_loss(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "set", tiles=2, broken=(0,))
    report = train(make_settings(data, batch_size=1, device_batch_size=1, max_unreadable=1), tmp_path / "run")
    steps = [entry for entry in report["curve"] if "learning_rate" in entry]
    # six questions, one a step, half of them about the tile that cannot be read
    assert sorted("loss" in entry for entry in steps) == [False, False, False, True, True, True]
    assert all(entry["loss"] > 0 for entry in steps if "loss" in entry)


def test_a_run_without_any_readable_image_is_no_run(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "set", tiles=1, broken=(0,))
    with pytest.raises(TrainingDataError, match="no image of the 3 questions trained on can be read"):
        train(make_settings(data, batch_size=1, device_batch_size=1, max_unreadable=1), tmp_path / "run")


def test_a_question_that_a_batch_holds_again_counts_once_as_unreadable(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "broken", tiles=4, val_tiles=0, broken=(1,))
    # one batch of 32 of the 12 questions, 3 of which cannot be read
    report = train(
        make_settings(data, batch_size=32, device_batch_size=32, max_steps=1, max_unreadable=0.3), tmp_path / "run"
    )
    assert report["samples"]["unreadable"]["number"] == 3


def test_a_run_from_before_a_setting_was_added_goes_on(data: Path, tmp_path: Path) -> None:
    settings = make_settings(data, max_steps=3)
    out = tmp_path / "run"
    with pytest.raises(KilledError):
        train(settings, out, reporter=StoppingReporter(2))
    written = tomllib.loads((out / "train.toml").read_text())
    assert written.pop("questions_per_pass") == 1
    (out / "train.toml").write_text(tomli_w.dumps(written))
    with pytest.raises(TrainingError, match=r"other settings \(questions_per_pass = None"):
        train(settings.model_copy(update={"questions_per_pass": 2}), out, resume=True)
    assert train(settings, out, resume=True)["steps"] == 3


def test_more_unreadable_images_than_allowed_end_the_run(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "set", tiles=4, broken=(1, 3))
    settings = make_settings(data, batch_size=1, device_batch_size=1, mixed_groups=1, max_unreadable=0.4)
    message = r"images of 5 of the 12 questions trained on cannot be read, the first is that of set/s:1/DIC1; .*0\.4"
    with pytest.raises(TrainingDataError, match=message):  # 5 of 12 are the first above 0.4
        train(settings, tmp_path / "run")
    assert not (tmp_path / "run" / "model.safetensors").exists()
    train(settings.model_copy(update={"max_unreadable": 0.5}), tmp_path / "allowed")  # 6 of 12
    assert read_report(tmp_path / "allowed")["samples"]["unreadable"]["number"] == 6


def test_unreadable_images_of_val_are_counted_and_told(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "set", tiles=2, val_tiles=3, broken=(3,))
    told = io.StringIO()
    settings = make_settings(data, max_steps=1, eval_questions=4, max_unreadable=0.34)  # 3 of 9
    report = train(settings, tmp_path / "run", reporter=QuietReporter(told))
    assert "3 of 9 questions of split val were not asked: their images cannot be read" in told.getvalue()
    assert report["samples"]["unreadable_val"] == 3
    assert list(lost_lines(report)) == ["not evaluated: 3 x image cannot be read"]


@pytest.mark.parametrize(
    ("broken", "share", "message"),
    [
        ((3,), 0.3, r"images of 3 of the 9 questions asked of split val .* that of set/s:3/DIC1; .* share of 0\.3: "),
        ((2, 3, 4), 1.0, r"no image of the 9 questions asked of split val .* nothing is known of what was learnt"),
    ],
)
@pytest.mark.parametrize("eval_every", [0, 1])
def test_more_unreadable_images_of_val_than_allowed_end_the_run_with_a_checkpoint(
    tmp_path: Path, broken: tuple[int, ...], share: float, message: str, eval_every: int
) -> None:
    data = make_dataset(tmp_path / "set", tiles=2, val_tiles=3, broken=broken)
    out = tmp_path / "run"
    settings = make_settings(
        data, max_steps=2, save_every=9, eval_questions=4, eval_every=eval_every, max_unreadable=share
    )
    with pytest.raises(TrainingDataError, match=message):
        train(settings, out)
    assert not (out / "model.safetensors").exists()
    checkpoint = last_checkpoint(out)
    assert checkpoint is not None
    assert checkpoint.name == f"checkpoint-{eval_every or 2}"  # the evaluation behind the first step ends it there
    report = train(settings.model_copy(update={"eval_questions": 0}), out, resume=True)
    assert report["steps"] == 2
    assert (out / "model.safetensors").exists()


def strip_images(data: Path, *, names: bool) -> None:
    """Rewrite the shards of train as other programs may: without the bytes of the second tile, and maybe all names."""
    for path in (data / "data").glob("train-*"):
        table = pq.read_table(path)
        rows = table.to_pylist()
        for row in rows:
            for image in row["image"]:
                image["bytes"] = None if row["image_id"] == "s:1" else image["bytes"]
                image["path"] = image["path"] if names else None
        footer = pq.read_metadata(path).metadata
        schema = table.schema.with_metadata({key: footer[key] for key in footer if key != b"ARROW:schema"})
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, row_group_size=6)


@pytest.mark.parametrize(
    ("kind", "value", "found"),
    [
        (pa.list_(pa.string()), ["a.png"], r"holds list<(element|item): string>"),
        (pa.binary(), b"\xff\xd8\xff", "holds binary"),
        (pa.struct([("bytes", pa.binary()), ("path", pa.string())]), {"bytes": b"", "path": ""}, "holds struct<"),
        (pa.list_(pa.struct([("bytes", pa.string()), ("path", pa.string())])), [{"bytes": "a"}], "values=string"),
        (pa.list_(pa.struct([("path", pa.string())])), [{"path": "a.png"}], "path: string"),
        (None, None, "no column 'image'"),
    ],
)
def test_a_column_of_images_of_another_type_is_named(
    tmp_path: Path, kind: pa.DataType | None, value: object, found: str
) -> None:
    (path,) = (make_dataset(tmp_path / "set", tiles=1, val_tiles=0) / "data").glob("train-*")
    table = pq.read_table(path)
    footer = pq.read_metadata(path).metadata
    place = table.schema.get_field_index("image")
    if kind is None:
        table = table.remove_column(place)
    else:
        table = table.set_column(place, pa.field("image", kind), pa.array([value] * len(table), kind))
    metadata = {key: footer[key] for key in footer if key != b"ARROW:schema"}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    with pytest.raises(RsvqaError, match=rf"{path.name}: .*{found}.*; expected list<"):
        train(make_settings(tmp_path / "set"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_images_in_the_large_types_of_other_programs_are_read(tmp_path: Path) -> None:
    (path,) = (make_dataset(tmp_path / "set", tiles=2, val_tiles=0) / "data").glob("train-*")
    table, footer = pq.read_table(path), pq.read_metadata(path).metadata
    kind = pa.large_list(pa.struct([("bytes", pa.large_binary()), ("path", pa.large_string())]))
    images = pa.array(table.column("image").to_pylist(), kind)
    table = table.set_column(table.schema.get_field_index("image"), pa.field("image", kind), images)
    metadata = {key: footer[key] for key in footer if key != b"ARROW:schema"}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    samples = list_samples([tmp_path / "set"], split="train")
    dataset = SampleDataset(samples, [Draw(number, 0) for number in (0, 3)])
    assert [dataset[number].images[0][5, 5, 0] > 200 for number in (0, 1)] == [True, False]  # red, green


@pytest.mark.parametrize("names", [True, False])
def test_images_without_bytes_or_names_are_told_apart_and_counted(tmp_path: Path, names: bool) -> None:
    data = make_dataset(tmp_path / "set", tiles=4)
    strip_images(data, names=names)
    samples = list_samples([data], split="train")
    dataset = SampleDataset(samples, [Draw(number, 0) for number in (0, 3, 6)])
    red, none, blue = (dataset[number] for number in range(3))
    assert (red.is_readable, none.is_readable, blue.is_readable) == (True, False, True)
    assert int(red.images[0][5, 5, 0]) > 200 > 60 > int(blue.images[0][5, 5, 0])
    report = train(make_settings(data, max_unreadable=0.25), tmp_path / "run")
    assert report["samples"]["unreadable"]["number"] == 3


def test_a_folder_in_use_is_refused_without_resume(data: Path, undisturbed: Path) -> None:
    with pytest.raises(TrainingError, match="is not empty; give `resume`"):
        train(make_settings(data), undisturbed)


def test_other_settings_cannot_resume_a_run(data: Path, undisturbed: Path) -> None:
    with pytest.raises(TrainingError, match=r"train.toml is of a run with other settings \(seed = 0, not 7\)"):
        train(make_settings(data, eval_questions=4, eval_every=3, seed=7), undisturbed, resume=True)
    changes = {"freeze": ["tower"], "kept": "kept.jsonl", "tiny": TINY | {"heads": 1}}
    with pytest.raises(
        TrainingError, match=r"freeze = \[\], not \['tower'\], kept = None, not 'kept.jsonl', tiny.heads = 2, not 1\)"
    ):
        train(make_settings(data, **changes), undisturbed, resume=True)


def test_the_same_settings_in_other_words_resume_a_run(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    freeze = ["tower", "projector"]
    with pytest.raises(KilledError):
        train(make_settings(data, max_steps=2, freeze=freeze), tmp_path / "run", reporter=StoppingReporter(1))
    monkeypatch.chdir(data.parent)
    words = {"tasks": ["FVG", "ALL"], "freeze": freeze[::-1]}
    report = train(make_settings(Path("set"), max_steps=2, **words), tmp_path / "run", resume=True)
    assert report["steps"] == 2


def test_other_data_cannot_resume_a_run(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "set", tiles=4)
    settings = make_settings(data)
    train(settings, tmp_path / "run")
    for path in sorted((data / "data").iterdir()):
        path.unlink()
    make_dataset(data, tiles=5)
    with pytest.raises(TrainingError, match="has seen other samples, or in another order"):
        train(settings, tmp_path / "run", resume=True)


def test_frozen_parts_stay_as_they_were(data: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    train(make_settings(data, max_steps=2), first)
    train(make_settings(data, init=str(first), freeze=["tower"], max_steps=3, lr_llm=1e-3, lr_projector=1e-3), second)
    before, after = (load_file(folder / "model.safetensors") for folder in (first, second))
    changed = {name.split(".")[1] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"multi_modal_projector", "language_model"}


def test_max_steps_draws_as_many_batches_and_begins_new_epochs(data: Path) -> None:
    samples = list_samples([data], split="train")
    draws = plan_draws(make_settings(data, max_steps=8), samples)
    assert len(draws) == 8 * 4
    assert [draw.epoch for draw in draws] == [0] * NUM_TRAIN + [1] * (32 - NUM_TRAIN)


def test_so_few_epochs_that_nothing_is_drawn_are_refused(data: Path, tmp_path: Path) -> None:
    message = rf"0\.01 epochs of {NUM_TRAIN} questions draw none of them; give more `epochs`, or `max_steps`"
    with pytest.raises(TrainingDataError, match=message):
        train(make_settings(data, epochs=0.01), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_file_is_no_folder_of_a_run(data: Path, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    for resume in (False, True):
        with pytest.raises(TrainingError, match="run is a file; give a new or empty folder as `out`"):
            train(make_settings(data), tmp_path / "run", resume=resume)
    assert (tmp_path / "run").read_text() == "mine"


def test_mix_that_leaves_nothing_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingDataError, match="mix set=0 leaves no sample"):
        train(make_settings(data, mix=["set=0"]), tmp_path / "run")


def test_processes_that_show_up_late_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_module, "PartialState", lambda: type("State", (), {"num_processes": 2})())
        with pytest.raises(TrainingError, match="began as 2 processes, and transformers counts 1; to train on several"):
            training_module.make_arguments(make_settings(data), tmp_path, evaluates=False)


def test_a_batch_that_devices_cannot_share_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_module, "PartialState", lambda: type("State", (), {"num_processes": 3})())
        with pytest.raises(
            TrainingError, match="cannot be shared by 3 devices with 2 samples each; expected a multiple of 6"
        ):
            training_module.make_arguments(make_settings(data), tmp_path, evaluates=False)


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "qwen2"}')
    with pytest.raises(TrainingError, match="is a 'qwen2', expected 'geollava'"):
        load_checkpoint(str(tmp_path), dtype=torch.float32, converted=tmp_path / "converted")


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(TrainingError, match=r"cannot read the checkpoint '.*empty'"):
        load_checkpoint(str(tmp_path / "empty"), dtype=torch.float32, converted=tmp_path / "converted")


def test_a_checkpoint_that_is_not_there_is_told_before_the_questions_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise ConnectionError("name or service not known")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", no_network)
    nowhere = tmp_path / "no data"
    with pytest.raises(TrainingError, match=r"^there is no folder /.*/nowhere; name the folder of a checkpoint"):
        train(make_settings(nowhere, init=str(tmp_path / "nowhere")), tmp_path / "run")
    with pytest.raises(TrainingError, match=r"^the model 'nobody/nothing' is neither a folder .* \(no connection\)"):
        train(make_settings(nowhere, init="nobody/nothing"), tmp_path / "run")
    assert not huggingface_hub.constants.HF_HUB_OFFLINE


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint beside its processor, of tiny sizes."""
    folder = tmp_path_factory.mktemp("stored")
    tiny_model().save_pretrained(folder)
    tiny_processor(num_cell_tokens=5).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("processor_config.json", None, r"^the processor of the checkpoint '.*' cannot be loaded: .*image processor"),
        ("tokenizer.json", None, r"^the processor of the checkpoint '.*' cannot be loaded: .*tokenizer"),
        ("model.safetensors", None, r"^the checkpoint '.*' cannot be loaded: .*no file named model.safetensors"),
        ("config.json", {"fill": "none"}, r"^the checkpoint .* 'fill' expected one of \('next', 'drop', 'zeros'\)"),
        ("config.json", {"vision_chunk": 0}, r"^the checkpoint .* cannot be loaded: .*'vision_chunk'.* it is 0"),
        ("config.json", {"vision_feature_layer": 9}, r"^the checkpoint .* vision_feature_layer is 9"),
        (
            "config.json",
            {"image_token_id": 5},
            r"placeholders of the id 1; its model expects 28 px and the id 5: ",
        ),
        ("processor_config.json", {"num_cell_tokens": 2.5}, r"num_cell_tokens is 2\.5; expected a whole number, 1 or"),
        ("processor_config.json", {"num_cell_tokens": 0}, r"num_cell_tokens is 0; expected a whole number, 1 or more"),
        ("processor_config.json", {"cell_size": 32}, r"cuts cells of 32 px .*; its model expects 28 px and the id 1"),
        ("processor_config.json", {"cell_size": 28.0}, r"cell_size is 28\.0; expected a whole number, 1 or more"),
        ("processor_config.json", {"image_std": [0, 0, 0]}, r"image_std is \[0, 0, 0\]; expected three numbers"),
        ("processor_config.json", {"image_mean": [0.5]}, r"image_mean is \[0\.5\]; expected three numbers"),
    ],
)
def test_a_checkpoint_edited_to_nonsense_is_one_line(
    stored: Path, tmp_path: Path, file: str, changes: dict[str, Any] | None, message: str
) -> None:
    folder = shutil.copytree(stored, tmp_path / "edited")
    if changes is None:
        (folder / file).unlink()
    else:
        values = json.loads((folder / file).read_text())
        of_images = values.get("image_processor", {})
        for name, value in changes.items():
            (of_images if name in of_images else values)[name] = value
        (folder / file).write_text(json.dumps(values))
    with pytest.raises(TrainingError, match=message) as caught:
        load_checkpoint(str(folder), dtype=torch.float32, converted=None)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_without_some_weights_is_refused(undisturbed: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    shutil.copytree(undisturbed, mixed)
    weights = load_file(mixed / "model.safetensors")
    del weights["model.multi_modal_projector.linear_1.bias"]
    save_file(weights, mixed / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        TrainingError, match=r"lacks 1 weights .* model.multi_modal_projector.linear_1.bias; files of two"
    ):
        load_checkpoint(str(mixed), dtype=torch.float32, converted=tmp_path / "converted")


def test_a_released_checkpoint_is_converted_once(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llava_qwen"}')
    calls: list[str] = []

    def convert(source: str, out: Path) -> None:
        calls.append(source)
        shutil.copytree(undisturbed, out)

    monkeypatch.setattr(checkpoints_module, "convert_checkpoint", convert)
    for _ in range(2):
        start = load_checkpoint(str(tmp_path), dtype=torch.float32, converted=tmp_path / "converted")
        assert start.model.config.tokens_per_cell == 4
    assert calls == [str(tmp_path)]


def make_longva_like(undisturbed: Path, folder: Path) -> Path:
    """Return the checkpoint with the limits that LongVA's list of grids leaves: 7 cells along a side, 49 in all."""
    shutil.copytree(undisturbed, folder, ignore=shutil.ignore_patterns("checkpoint-*"))
    for name, changes in {
        "config.json": {"max_grid": 7},
        "processor_config.json": {"image_processor": {"max_grid": 7, "max_cells": 49}},
    }.items():
        content = json.loads((folder / name).read_text())
        for key, value in changes.items():
            content[key] = content[key] | value if isinstance(value, dict) else value
        (folder / name).write_text(json.dumps(content))
    return folder


def test_the_grid_of_the_recipe_goes_before_that_of_the_checkpoint(
    data: Path, undisturbed: Path, tmp_path: Path
) -> None:
    init = make_longva_like(undisturbed, tmp_path / "longva")
    report = train(make_settings(data, init=str(init), max_steps=1), tmp_path / "run")
    images = AutoProcessor.from_pretrained(tmp_path / "run").image_processor
    assert (images.max_grid, images.max_cells) == (24, None)
    assert images.place(9000, 9000)[0] == (24, 24)
    assert AutoModelForImageTextToText.from_pretrained(tmp_path / "run").config.max_grid == 24
    # the budget is the run's own; the tower's cells and the pruning came with the checkpoint
    assert report["inherited"] == {
        "cell_size": {"checkpoint": 32, "recipe": 336},
        "affinity": {"checkpoint": "cosine", "recipe": "learned"},
        "fill": {"checkpoint": "next", "recipe": "zeros"},
    }


def test_limits_that_a_checkpoint_keeps_are_told_at_the_start_and_at_the_end(
    data: Path, undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    init = make_longva_like(undisturbed, tmp_path / "longva")
    told = io.StringIO()
    settings = make_settings(data, init=str(init), max_grid="checkpoint", max_steps=1)
    report = train(settings, tmp_path / "run", reporter=QuietReporter(told))
    line = "from the checkpoint, unlike the recipe: max_cells = 49 (recipe: 576)"
    TrainResult(report, tmp_path / "run").print()
    assert line in told.getvalue().splitlines()
    assert line in capsys.readouterr().out.splitlines()
    assert AutoProcessor.from_pretrained(tmp_path / "run").image_processor.max_cells == 49


def test_places_that_clusters_leave_are_filled_as_the_run_says(data: Path, tmp_path: Path) -> None:
    train(make_settings(data, max_steps=1, pruning="anchored", fill="drop"), tmp_path / "drop")
    config = json.loads((tmp_path / "drop" / "config.json").read_text())
    assert (config["fill"], config["tokens_per_cell"]) == ("drop", 4)
    # one placeholder stands for an image, whose tokens are not known before
    assert AutoProcessor.from_pretrained(tmp_path / "drop").num_cell_tokens is None


def test_a_model_from_scratch_inherits_nothing(undisturbed: Path) -> None:
    assert read_report(undisturbed)["inherited"] == {}


# peft asks transformers for a property by its old name
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_adapters_train_beside_frozen_weights_and_resume(data: Path, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "adapters"
    changes: dict[str, Any] = {
        "init": str(undisturbed),
        "lora_rank": 2,
        "freeze": ["tower", "projector"],
        "lr_llm": 1e-2,
    }
    settings = make_settings(data, **changes)
    with pytest.raises(KilledError):
        train(settings, out, reporter=StoppingReporter(3))
    train(settings, out, resume=True)
    adapters = load_file(out / "adapters" / "adapter_model.safetensors")
    assert all("language_model" in name and ".lora_" in name for name in adapters)
    # B begins at zero: what is not zero has been learnt
    assert any(weights.any() for name, weights in adapters.items() if ".lora_B." in name)
    train(settings, tmp_path / "undisturbed")
    theirs = load_file(tmp_path / "undisturbed" / "adapters" / "adapter_model.safetensors")
    assert all(torch.equal(adapters[name], theirs[name]) for name in theirs)
    before, merged = load_file(undisturbed / "model.safetensors"), load_file(out / "model.safetensors")
    assert merged.keys() == before.keys()
    changed = {name.split(".lora_")[0].removeprefix("base_model.model.") for name in adapters}
    for layer in changed:
        low, high = (adapters[f"base_model.model.{layer}.lora_{side}.weight"] for side in "AB")
        expected = before[f"{layer}.weight"] + 2 * high @ low  # scaled by alpha / rank = 2
        torch.testing.assert_close(merged[f"{layer}.weight"], expected)
    assert type(AutoModelForImageTextToText.from_pretrained(out)).__name__ == "GeoLlavaForConditionalGeneration"
    AutoProcessor.from_pretrained(out)
