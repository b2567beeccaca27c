"""`rsvqa train`: data sets, a checkpoint and settings → a trained checkpoint and a report.

A run's folder holds `train.toml` (its settings), `checkpoint-N/` (the last few), the trained model beside them, and
`training_report.json` with `curves.svg`. What surprises: the order of all samples is known before the first step, so a
run that is stopped and resumed goes through the same batches as one that was not.
"""

from __future__ import annotations

import math
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import tomli_w
import torch
from accelerate import PartialState
from accelerate.utils import DistributedType, gather_object, parse_flag_from_env
from pydantic.fields import FieldInfo
from torch import nn
from transformers import TrainingArguments, set_seed

from rsvqa.annotation.extras import install_command, require_extra
from rsvqa.annotation.task_names import parse_task_names
from rsvqa.annotation.taxonomy import TASKS
from rsvqa.model.checkpoints import (
    Inherited,
    StartingPoint,
    checkpoint_type,
    load_checkpoint,
    merge_adapters,
    with_adapters,
)
from rsvqa.model.chunked_mlp import chunk_mlps
from rsvqa.model.configuration_geollava import GeoLlavaConfig
from rsvqa.model.conversations import chat_messages, render_chat
from rsvqa.model.data import (
    Collator,
    SampleDataset,
    SampleList,
    TrainingDataError,
    TrainingSample,
    list_samples,
    number_images,
    refuse_unreadable,
    select_samples,
)
from rsvqa.model.evaluation import ChosenReply, TaskScore, choose_questions, flatten_scores, score_replies, score_tasks
from rsvqa.model.joining import PassCollator, PassDataset
from rsvqa.model.ordering import Draw, OrderedSample, OrderSettings, fingerprint_order, first_passes, plan_order
from rsvqa.model.reading_lessons import Lessons, teach_reading
from rsvqa.model.stopping import StopRequests
from rsvqa.model.tiny import CHAT_FRAME, make_tiny
from rsvqa.model.trainer import TrainingError, VqaTrainer, last_checkpoint, part_of, peak_memory_mib, read_position
from rsvqa.model.training_memory import MemoryNeed, estimate_memory
from rsvqa.model.training_report import RunFacts, inherited_lines, make_report, write_report
from rsvqa.model.training_settings import CHANGES_NOTHING_LEARNT, TINY, BaseBits, Precision, TrainingSettings
from rsvqa.rsvqa_builder.config import read_config
from rsvqa.rsvqa_builder.dataset.kept import read_kept, require_known
from rsvqa.rsvqa_builder.dataset.records import Record
from rsvqa.rsvqa_builder.dataset.shards import ShardError, list_shards
from rsvqa.rsvqa_builder.files import remove_leftovers, write_atomically
from rsvqa.rsvqa_builder.progress import QuietReporter, Reporter, SilentReporter, without_bars

SETTINGS_NAME = "train.toml"
ADAPTERS = "adapters"
"""Folder of a run's adapters alone, beside the whole model."""
_TOKENIZER_SAMPLES = 20_000
"""Most questions that a tiny model's tokenizer reads; templates repeat long before."""


def train(
    settings: TrainingSettings, out: Path, *, resume: bool = False, reporter: Reporter | None = None
) -> dict[str, Any]:
    """Train as `settings` say and return the report that is also written to `out`.

    Args:
        settings: of the run.
        out: its folder; must be new or empty, or hold the same run when `resume` is set.
        resume: go on from the last whole checkpoint in `out`, or from the start when there is none.
        reporter: hears of notes and steps.

    Raises:
        TrainingError: when `out` holds another run, the checkpoint is not a GeoLLaVA, a loss is not finite, or a
            checkpoint cannot be written.
        TrainingStoppedError: when SIGTERM or SIGINT has ended the run; the last step is in a checkpoint.
        TrainingDataError: when a data set cannot be trained on, or has no question or too few readable images for this
            run.
    """
    reporter = reporter or QuietReporter()
    # on CPU the first one made must be told, or every process takes itself for the only one
    if not PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU")).is_main_process:
        reporter = SilentReporter()  # one process speaks
    _refuse_other_run(settings, out, resume=resume)
    if settings.init != TINY:
        checkpoint_type(settings.init)  # not there: better told before all questions are read
    set_seed(settings.seed)
    listed = _list(settings, "train")
    _require_tasks(settings, listed)
    checkpoint = last_checkpoint(out) if resume else None
    start = _load(settings, listed, out, is_resumed=checkpoint is not None, reporter=reporter)
    _refuse_joining(settings, start)
    inherited = _inherited(settings, start)
    for line in inherited_lines({name: value._asdict() for name, value in inherited.items()}):
        reporter.note("inherited", line)
    samples = _select(settings, start, listed, kept=_kept(settings, listed))
    _tell_left_out(samples, reporter)
    draws = plan_draws(settings, samples.samples)
    need = _memory_need(settings, start, samples.samples)
    reporter.note("memory", str(need))
    _begin_run(settings, out)
    order = fingerprint_order(draws, [sample.name for sample in samples.samples])
    stops = StopRequests()
    evaluation = Evaluation(settings, start, stops, reporter)
    check_unreadable = partial(
        refuse_unreadable,
        num_questions=len({draw.sample for draw in draws}),
        share=settings.max_unreadable,
        split="train",
    )
    trainer = _make_trainer(settings, out, start, samples, draws, order, evaluation, stops, check_unreadable, reporter)
    if checkpoint is not None:
        _take_up_position(trainer, checkpoint, order)
        reporter.note("resume", f"goes on from {checkpoint.name}")
    began = time.monotonic()
    with without_bars():
        with stops:
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
            trainer.refuse_stopped()
            unreadable = sorted(set(gather_object(trainer.unreadable)))
            check_unreadable(unreadable)  # of all processes
            evaluation.raise_refusal()
            if evaluation.questions and evaluation.step != trainer.state.global_step:
                trainer.evaluate()
                trainer.refuse_stopped()
                evaluation.raise_refusal()
        _save(trainer, start, settings, out)
    seconds = time.monotonic() - began
    if unreadable:
        reporter.note("unreadable", f"{len(unreadable)} questions taught nothing: their images cannot be read")
    facts = RunFacts(
        settings=settings,
        samples=samples,
        draws=draws,
        order=order,
        unreadable=unreadable,
        unreadable_val=evaluation.num_unreadable,
        inherited=inherited,
        steps=trainer.state.global_step,
        curve=trainer.state.log_history,
        scores=evaluation.scores,
        seconds=seconds,
        peak_memory_mib=peak_memory_mib(),
        expected_memory_mib=round(need.total / 2**20, 1),
    )
    report = write_report(out, facts) if PartialState().is_main_process else make_report(facts)
    PartialState().wait_for_everyone()  # whoever goes on finds the whole run, which one process writes
    return report


def _save(trainer: VqaTrainer, start: StartingPoint, settings: TrainingSettings, out: Path) -> None:
    """Write the trained model, whole: adapters are written apart too, then added to the weights that they belong to.

    Those are read again, as the run itself may hold them in 4 bits, or a part of them per device.
    """
    if not settings.lora_rank:
        trainer.save_model(str(out))
        return
    trainer.save_model(str(out / ADAPTERS))
    if PartialState().is_main_process:
        converted = out / "converted"
        base = load_checkpoint(
            str(converted) if converted.exists() else settings.init, dtype=_dtype(settings), converted=None
        )
        _set_up(base, settings)
        merge_adapters(base.model, out / ADAPTERS).save_pretrained(out)
        start.processor.save_pretrained(out)


# --- before the first step ---


def _settings_text(settings: TrainingSettings) -> str:
    return tomli_w.dumps(settings.model_dump(mode="json", exclude_none=True))


def _refuse_other_run(settings: TrainingSettings, out: Path, *, resume: bool) -> None:
    """See that the run's folder is new or holds the same run."""
    path = out / SETTINGS_NAME
    if out.exists() and not out.is_dir():
        raise TrainingError(f"{out} is a file; give a new or empty folder as `out`")
    if not resume and out.exists() and any(out.iterdir()):
        raise TrainingError(f"{out} is not empty; give `resume` to go on with the run in it, or another `out`")
    if resume and path.exists():
        new = tomllib.loads(_settings_text(settings))
        # what came after the run began had its default then; without one it stands in no file
        added = {
            name: new[name] for name, field in TrainingSettings.model_fields.items() if _is_default(new, name, field)
        }
        old, new = _as_meant(added | read_config(path)), _as_meant(new)
        differ = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
        changed = [name for name in differ if name not in CHANGES_NOTHING_LEARNT]
        if changed:
            told = ", ".join(f"{name} = {old.get(name)!r}, not {new.get(name)!r}" for name in changed[:4])
            raise TrainingError(
                f"{path} is of a run with other settings ({told}); resume with those, or use another `out`"
            )
    PartialState().wait_for_everyone()  # no process may find what another one has just written


def _as_meant(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return written settings in one spelling: whole paths, what lists name in one order, tables as `table.name`."""
    meant: dict[str, Any] = {}
    for name, value in settings.items():
        match name:
            case "data":
                meant[name] = [str(Path(folder).resolve()) for folder in value]
            case "init" | "kept" if value is not None and Path(value).exists():
                meant[name] = str(Path(value).resolve())
            case "tasks":
                meant[name] = list(parse_task_names(value))
            case "freeze":
                meant[name] = sorted(value)
            case _ if isinstance(value, Mapping):
                meant |= {f"{name}.{inner}": values for inner, values in value.items()}
            case _:
                meant[name] = value
    return meant


def _is_default(settings: Mapping[str, Any], name: str, field: FieldInfo) -> bool:
    """Return whether a setting that is written has its default."""
    return name in settings and not field.is_required() and settings[name] == field.get_default()


def _begin_run(settings: TrainingSettings, out: Path) -> None:
    """Make the run's folder with its settings; there is something to train on."""
    if PartialState().is_main_process:
        out.mkdir(parents=True, exist_ok=True)
        remove_leftovers(out)
        write_atomically(out / SETTINGS_NAME, _settings_text(settings).encode())
    PartialState().wait_for_everyone()


def _require_tasks(settings: TrainingSettings, samples: Sequence[TrainingSample]) -> None:
    """Refuse data without a question of the wanted tasks before a model is loaded for them."""
    held = {sample.task for sample in samples}
    if held.isdisjoint(settings.task_names):
        names = ", ".join(task for task in TASKS if task in held) or "none"
        wanted = ", ".join(settings.tasks)
        raise TrainingDataError(f"{', '.join(settings.data)}: no question of {wanted} in split train; it has {names}")


def _load(
    settings: TrainingSettings, samples: Sequence[TrainingSample], out: Path, *, is_resumed: bool, reporter: Reporter
) -> StartingPoint:
    """Return model and processor to begin from, with the parts frozen and the pruning set as asked for."""
    if settings.init == TINY:
        read = [sample for sample in samples if sample.task in settings.task_names]
        start = StartingPoint(*make_tiny(_texts(read), settings.tiny, seed=settings.seed))
        if not is_resumed:  # a checkpoint has what they taught
            _teach_reading(start, read, settings, reporter)
    else:
        _refuse_sharded_bits(settings)
        start = load_checkpoint(
            settings.init,
            dtype=_dtype(settings),
            converted=out / "converted",
            bits=_BITS[settings.base_bits],
        )
    max_cells = start.max_cells
    _set_up(start, settings)
    if start.max_cells != max_cells:
        grid = f"{settings.max_grid} x {settings.max_grid}"
        reporter.note("grid", f"images are seen at up to {grid} cells; {settings.init} had up to {max_cells}")
    if settings.mlp_chunk:
        chunk_mlps(start.model.model.language_model, settings.mlp_chunk)
    for name, parameter in start.model.named_parameters():
        if part_of(name) in settings.freeze:
            parameter.requires_grad_(requires_grad=False)
    if settings.lora_rank:
        in_bf16 = uses_bf16(settings.precision)
        return start._replace(model=with_adapters(start.model, rank=settings.lora_rank, computes_in_bf16=in_bf16))
    return start


_BITS: Mapping[BaseBits, Literal[4, 8] | None] = {BaseBits.FOUR: 4, BaseBits.EIGHT: 8, BaseBits.SIXTEEN: None}


def _refuse_sharded_bits(settings: TrainingSettings) -> None:
    kind = PartialState().distributed_type
    if settings.base_bits < BaseBits.SIXTEEN and kind in (DistributedType.FSDP, DistributedType.DEEPSPEED):
        raise TrainingError(
            f"weights of {settings.base_bits} bits are not spread over devices ({kind}); launch without FSDP and "
            "DeepSpeed, so that each device holds them all, or leave base_bits at 16"
        )


def _refuse_joining(settings: TrainingSettings, start: StartingPoint) -> None:
    """Refuse questions that share a pass where the model could not tell them apart as it should."""
    if settings.questions_per_pass == 1:
        return
    config, text = start.model.config, start.model.config.text_config
    if config.num_cell_tokens is None:
        reason = (
            f"the number of visual tokens depends on what an image shows (fill = {config.fill!r}, pruning = "
            f"{config.pruning!r}); choose another pruning"
        )
    elif set(getattr(text, "layer_types", None) or ["full_attention"]) != {"full_attention"} or getattr(
        text, "sliding_window", None
    ):
        reason = "some layers of the language model do not see the whole chat; choose another checkpoint"
    elif (attention := text._attn_implementation) != "sdpa":
        reason = f"the language model's attention is {attention!r}, expected 'sdpa'"
    else:
        return
    raise TrainingError(
        f"questions_per_pass {settings.questions_per_pass} cannot be used with {settings.init}: {reason}, or leave "
        "questions_per_pass at 1"
    )


def _set_up(start: StartingPoint, settings: TrainingSettings) -> None:
    """Set pruning and grid as asked for, and let the processor fit."""
    for name, value in settings.pruning_changes.items():
        setattr(start.model.config, name, value)
    start.agree()
    if settings.max_grid != "checkpoint":
        start.limit_grid(settings.max_grid)


def _inherited(settings: TrainingSettings, start: StartingPoint) -> dict[str, Inherited]:
    """Return what the run takes from its checkpoint that differs from the recipe."""
    if settings.init == TINY:
        return {}  # there is no checkpoint
    chosen = set(settings.pruning_changes)
    return start.inherited(besides=chosen if settings.max_grid == "checkpoint" else chosen | {"max_grid", "max_cells"})


def _teach_reading(
    start: StartingPoint, samples: Sequence[TrainingSample], settings: TrainingSettings, reporter: Reporter
) -> None:
    """Let a new small language model learn to read the choices of the run's questions, where they have any."""
    lessons = Lessons([sample.record for sample in samples], start.processor, start.processor.tokenizer)
    if settings.tiny.reading_steps and len(lessons):
        loss = teach_reading(start.model, lessons, num_steps=settings.tiny.reading_steps, seed=settings.seed)
        reporter.note("lessons", f"{settings.tiny.reading_steps} steps of lessons without images: loss {loss:.3f}")


def _dtype(settings: TrainingSettings) -> torch.dtype:
    """Return what the weights are: bf16 under adapters, as they do not change, so that no update is rounded away."""
    return torch.bfloat16 if settings.lora_rank > 0 and uses_bf16(settings.precision) else torch.float32


def uses_bf16(precision: Precision) -> bool:
    """Return whether the passes compute in bf16 on this machine."""
    if precision is Precision.AUTO:
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return precision is Precision.BF16


def _texts(samples: Sequence[TrainingSample]) -> Iterator[str]:
    """Yield prompts and replies, for a tokenizer."""
    for sample in samples[:_TOKENIZER_SAMPLES]:
        user, assistant = chat_messages(sample.record)
        yield from CHAT_FRAME
        yield user["content"][-1]["text"]
        yield assistant["content"][0]["text"]


def _list(settings: TrainingSettings, split: str) -> list[TrainingSample]:
    return list_samples([Path(folder) for folder in settings.data], split=split)


def _kept(settings: TrainingSettings, samples: Sequence[TrainingSample]) -> Mapping[str, bool] | None:
    """Return what the run's selection says of each sample; None without a selection."""
    if settings.kept is None:
        return None
    kept = read_kept(Path(settings.kept))
    require_known(Path(settings.kept), kept, [sample.name for sample in samples])
    return kept


def _select(
    settings: TrainingSettings,
    start: StartingPoint,
    samples: Sequence[TrainingSample],
    *,
    kept: Mapping[str, bool] | None = None,
) -> SampleList:
    return select_samples(
        samples,
        tasks=settings.task_names,
        max_length=settings.max_length,
        count_tokens=partial(count_tokens, checkpoint=start),
        kept=kept,
    )


def count_tokens(records: Sequence[Record], *, checkpoint: StartingPoint) -> list[int]:
    """Return the length of each record's chat, tokens: those of the text and, at most, its visual tokens."""
    if not records:
        return []  # a tokenizer does not take an empty list
    processor, config = checkpoint.processor, checkpoint.model.config
    kept = _most_kept(config)
    chats = [render_chat(chat_messages(record), processor) for record in records]
    ids = processor.tokenizer([chat.prompt + chat.reply for chat in chats])["input_ids"]
    lengths = []
    for record, chat_ids in zip(records, ids, strict=True):
        # each placeholder gives way to the tokens of its image
        lengths.append(len(chat_ids) + _num_cells(record, processor) * kept - record.num_dates)
    return lengths


def _most_kept(config: GeoLlavaConfig) -> int:
    """Return the visual tokens of a cell, at most."""
    patches = int(config.vision_config.image_size // config.vision_config.patch_size) ** 2
    return patches if config.tokens_per_cell == "all" else min(patches, int(config.tokens_per_cell))


def _num_cells(record: Record, processor: Any) -> int:  # noqa: ANN401  a processor of transformers
    """Return the number of cells of a record's images."""
    window = record.tile.window
    (grid_rows, grid_columns), _ = processor.image_processor.place(window.height, window.width)
    return int(record.num_dates * grid_rows * grid_columns)


def plan_draws(settings: TrainingSettings, samples: Sequence[TrainingSample]) -> list[Draw]:
    """Return every draw of a run; `max_steps` goes before `epochs`."""
    of_tasks, of_sources = settings.weights
    groups = {group: number for number, group in enumerate(dict.fromkeys(sample.group for sample in samples))}
    known = [
        OrderedSample(
            groups[sample.group], sample.length, of_tasks.get(sample.task, 1.0) * of_sources.get(sample.source, 1.0)
        )
        for sample in samples
    ]
    per_epoch = sum(sample.weight for sample in known)
    if not per_epoch:
        raise TrainingDataError(f"mix {', '.join(settings.mix)} leaves no sample; give a task or data set more than 0")
    wanted = settings.max_steps * settings.batch_size
    order = OrderSettings(
        num_epochs=math.ceil(wanted / per_epoch) if wanted else settings.epochs,
        batch_size=settings.device_rows,
        num_lanes=settings.batch_size // settings.device_batch_size,
        mixed_groups=settings.mixed_groups,
        groups_lengths=settings.group_by_length,
        seed=settings.seed,
        questions_per_pass=settings.questions_per_pass,
    )
    draws = plan_order(known, order, images=number_images(samples) if settings.questions_per_pass > 1 else ())
    if not draws:
        raise TrainingDataError(
            f"{order.num_epochs:g} epochs of {len(samples)} questions draw none of them; give more `epochs`, or "
            "`max_steps`"
        )
    return first_passes(draws, wanted // settings.questions_per_pass) if wanted else draws


def _memory_need(settings: TrainingSettings, start: StartingPoint, samples: Sequence[TrainingSample]) -> MemoryNeed:
    """Return what a batch of the longest row needs on a device."""
    kept = _most_kept(start.model.config)
    cells = [_num_cells(sample.record, start.processor) for sample in samples]
    more = settings.questions_per_pass - 1  # questions beside the first one of a row, which bring their text alone
    lengths = [
        sample.length + more * (sample.length - number * kept) for sample, number in zip(samples, cells, strict=True)
    ]
    return estimate_memory(
        start.model,
        start.model.config,
        settings,
        num_cells=settings.device_rows * max(cells),
        num_tokens=settings.device_rows * max(lengths),
        computes_in_bf16=uses_bf16(settings.precision),
    )


def _take_up_position(trainer: VqaTrainer, checkpoint: Path, order: str) -> None:
    """See that a checkpoint is of the same order of samples, and take over what it has counted."""
    position = read_position(checkpoint)
    if position["order"] != order:
        raise TrainingError(
            f"{checkpoint} has seen other samples, or in another order: the data sets or this program have changed "
            "since; train from the start into another `out`, with this checkpoint as `init` to keep what it has learnt"
        )
    trainer.unreadable = list(position["unreadable"])


def _tell_left_out(samples: SampleList, reporter: Reporter) -> None:
    reporter.note("samples", f"{len(samples.samples)} questions to train on")
    for reason, number in samples.count_left_out().items():
        reporter.note("left_out", f"{number} questions left out: {reason}")


# --- the run ---


class Evaluation:
    """The questions of the val split and what the model last reached on them.

    Attributes:
        questions: none without a val split, or where the settings ask for none.
        scores: by task, of the last evaluation.
        step: of the last evaluation; -1 before.
        num_unreadable: questions that were not asked, because their images cannot be read.
        refusal: why the run ends with an evaluation, of which too much could not be read; None while it goes on.
    """

    def __init__(
        self, settings: TrainingSettings, start: StartingPoint, stops: StopRequests, reporter: Reporter
    ) -> None:
        self.questions: list[TrainingSample] = []
        self.scores: dict[str, TaskScore] = {}
        self.step = -1
        self.num_unreadable = 0
        self.refusal: TrainingDataError | None = None
        self._max_unreadable = settings.max_unreadable
        self._stops = stops
        self._reporter = reporter
        self._collator = Collator(start.processor)
        self._batch_size = settings.device_rows  # as many images at a time as in training
        if not settings.eval_questions:
            return
        if not _has_split(settings.data, "val"):
            reporter.note("evaluation", "no evaluation: not every data set has questions in split val")
            return
        try:
            samples = _select(settings, start, _list(settings, "val")).samples
        except TrainingDataError as error:
            reporter.note("evaluation", f"no evaluation on split val: {error}")
            return
        self.questions = choose_questions(samples, most=settings.eval_questions, seed=settings.seed)

    def __call__(self, model: nn.Module, step: int) -> dict[str, float] | None:
        """Return the figures of a log; None when a signal has cut the evaluation, or it is refused.

        The Trainer then saves what was learnt, and ends.
        """
        state = PartialState()
        mine = score_replies(
            model,
            self.questions,
            self._collator,
            batch_size=self._batch_size,
            rank=state.process_index,
            num_ranks=state.num_processes,
            is_cut=lambda: self._stops.agree(state.device) is not None,
        )
        if mine is None:
            return None
        replies: list[ChosenReply] = gather_object(mine)
        self.num_unreadable = len(self.questions) - len(replies)
        if self.num_unreadable:
            asked = f"{self.num_unreadable} of {len(self.questions)} questions of split val were not asked"
            self._reporter.note("unreadable", f"{asked}: their images cannot be read")
        unreadable = {sample.name for sample in self.questions} - {reply.name for reply in replies}
        try:
            refuse_unreadable(unreadable, num_questions=len(self.questions), share=self._max_unreadable, split="val")
        except TrainingDataError as error:
            self.refusal = error
            return None
        self.scores = score_tasks(replies, self.questions)
        self.step = step
        return flatten_scores(self.scores)

    def raise_refusal(self) -> None:
        """Raise what the last evaluation was refused for, if anything, once all is saved."""
        if self.refusal is not None:
            raise self.refusal


def _has_split(folders: Sequence[str], split: str) -> bool:
    """Return whether every data set has the split; one that has not is no error, but is not evaluated on."""
    try:
        return all(list_shards(Path(folder), split=split) for folder in folders)
    except ShardError:
        return False


def _make_trainer(
    settings: TrainingSettings,
    out: Path,
    start: StartingPoint,
    samples: SampleList,
    draws: Sequence[Draw],
    order: str,
    evaluation: Evaluation,
    stops: StopRequests,
    check_unreadable: Callable[[list[str]], None],
    reporter: Reporter,
) -> VqaTrainer:
    collator, shares_passes = Collator(start.processor), settings.questions_per_pass > 1
    dataset = SampleDataset(
        samples.samples,
        draws,
        prepare=collator.prepare,
        deals_again=settings.deal_again,
        seed=settings.seed,
    )
    return VqaTrainer(
        learning_rates=settings.learning_rates,
        fingerprint=order,
        keep=settings.keep_checkpoints,
        stops=stops,
        check_unreadable=check_unreadable,
        evaluate_model=evaluation if evaluation.questions else None,
        on_progress=partial(_tell, reporter),
        model=start.model,
        args=make_arguments(settings, out, evaluates=bool(evaluation.questions)),
        data_collator=PassCollator(start.processor) if shares_passes else collator,
        train_dataset=PassDataset(dataset, draws) if shares_passes else dataset,
        eval_dataset=dataset if evaluation.questions else None,  # only named: `evaluation` has its own questions
        processing_class=start.processor,
    )


def make_arguments(settings: TrainingSettings, out: Path, *, evaluates: bool) -> TrainingArguments:
    """Return the settings in the words of transformers."""
    num_devices = PartialState().num_processes
    at_once = settings.device_batch_size * num_devices
    if settings.batch_size % at_once:
        raise TrainingError(
            f"batch_size {settings.batch_size} cannot be shared by {num_devices} devices with "
            f"{settings.device_batch_size} samples each; expected a multiple of {at_once}"
        )
    if settings.tensorboard and find_spec("tensorboard") is None:
        raise TrainingError(
            f"tensorboard is not installed: {install_command('tensorboard')}, or leave `tensorboard` out"
        )
    if settings.optimizer != "adamw":
        require_extra("bits", "train")
    has_cuda = torch.cuda.is_available()
    arguments = TrainingArguments(
        output_dir=str(out),
        per_device_train_batch_size=settings.device_rows,
        gradient_accumulation_steps=settings.batch_size // at_once,
        num_train_epochs=1,  # the dataset holds every epoch
        learning_rate=settings.lr_llm,
        lr_scheduler_type="cosine",
        warmup_steps=settings.warmup,  # below 1 it is a share
        weight_decay=settings.weight_decay,
        adam_beta2=settings.adam_beta2,
        max_grad_norm=settings.max_grad_norm,
        **({} if settings.optimizer == "adamw" else {"optim": settings.optimizer}),
        bf16=uses_bf16(settings.precision),
        use_cpu=not torch.accelerator.is_available(),  # transformers wants to be told before it lets a CPU do bf16
        **_checkpointing(settings.gradient_checkpointing),
        train_sampling_strategy="sequential",
        dataloader_num_workers=settings.loader_workers,
        dataloader_pin_memory=has_cuda,
        remove_unused_columns=False,
        label_names=["labels"],
        logging_steps=settings.log_every,
        logging_nan_inf_filter=False,
        save_steps=settings.save_every,
        eval_strategy="steps" if evaluates and settings.eval_every else "no",
        eval_steps=settings.eval_every or None,
        report_to=["tensorboard"] if settings.tensorboard else [],
        disable_tqdm=True,
        seed=settings.seed,
    )
    if arguments.world_size != num_devices:  # a step would hold another number of samples
        raise TrainingError(
            f"the run began as {num_devices} processes, and transformers counts {arguments.world_size}; to train on "
            "several processes without GPUs, launch them with ACCELERATE_USE_CPU=true"
        )
    return arguments


def _checkpointing(is_wanted: bool) -> dict[str, Any]:
    """Return the arguments for gradient checkpointing, which transformers has renamed within 5.x."""
    is_renamed = "activation_checkpointing" in {field.name for field in fields(TrainingArguments)}
    name = "activation_checkpointing" if is_renamed else "gradient_checkpointing"
    return {name: is_wanted, f"{name}_kwargs": {"use_reentrant": False}}


def _tell(reporter: Reporter, figures: Mapping[str, float]) -> None:
    """Report one logged step in a line."""
    step = f"step {int(figures['step'])}/{int(figures['max_steps'])}"
    if "loss" in figures:
        text = (
            f"{step}  loss {figures['loss']:.4f}  {figures['images_per_s']:.1f} images/s  "
            f"{figures['visual_tokens_per_s']:.0f} visual tokens/s  {figures['peak_memory_mib']:.0f} MiB"
        )
        reporter.note("step", text, **figures)
    elif "images_per_s" in figures:
        reporter.note("step", f"{step}  no loss: none of its images can be read", **figures)
    elif "eval_accuracy" in figures:
        shorts = [info.short for info in TASKS.values() if f"eval_accuracy_{info.short}" in figures]
        text = "  ".join(f"{short} {100 * figures[f'eval_accuracy_{short}']:.0f}" for short in shorts)
        reporter.note("evaluation", f"{step}  val accuracy {100 * figures['eval_accuracy']:.1f} %  {text}", **figures)
