"""The settings of a training run: one model for the command line, `train.toml` and the copy that a run writes.

The defaults are the recipe of GeoLLaVA-8K (arXiv 2505.21375, section 5): one epoch, learning rates by part, cosine with
10 % warm-up, no weight decay, all parts trained. `--init tiny` begins from `TINY_RECIPE` instead, because a model that
has seen nothing does not learn at 1e-6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from rsvqa.annotation.task_names import ALL, NONE, Weights, parse_task_names, parse_task_weights
from rsvqa.rsvqa_builder.config import SettingsError, nearest, read_config

_WEIGHTS_ELSEWHERE = "weights stand in mix"

TINY = "tiny"
"""`init` of a small model from scratch."""


class ModelPart(StrEnum):
    """The parts of a model, each with its learning rate."""

    TOWER = "tower"
    PROJECTOR = "projector"
    LLM = "llm"


class Precision(StrEnum):
    """Numbers that forward and backward pass compute with; weights and optimizer stay float32."""

    AUTO = "auto"
    BF16 = "bf16"
    FP32 = "fp32"


Rate = Annotated[float, Field(ge=0, le=1)]


class TinySettings(BaseModel):
    """Sizes of the model that `--init tiny` makes; its tower sees cells of `cell_size` pixels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cell_size: Annotated[int, Field(ge=16)] = 128
    """Side of a cell, pixels."""
    max_grid: PositiveInt = 2
    """Most cells along a side."""
    patch_size: PositiveInt = 16
    """Pixels."""
    width: Annotated[int, Field(ge=16)] = 64
    tower_layers: Annotated[int, Field(ge=2)] = 3
    llm_layers: PositiveInt = 3
    heads: PositiveInt = 4
    vocabulary: Annotated[int, Field(ge=300)] = 2000
    """Most tokens of the tokenizer."""
    reading_steps: NonNegativeInt = 1000
    """Steps of lessons without images before the run, see `reading_lessons.py`; 0 leaves them out."""

    @model_validator(mode="after")
    def _sizes_divide(self) -> Self:
        if self.cell_size % self.patch_size:
            raise ValueError(f"cell_size {self.cell_size} px must be a multiple of patch_size {self.patch_size} px")
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} must be a multiple of twice the {self.heads} heads")
        return self


class TrainingSettings(BaseModel):
    """All that decides what a run learns; where it runs does not stand here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: Annotated[tuple[str, ...], Field(min_length=1)]
    """Folders that `rsvqa build` wrote."""
    init: str
    """Checkpoint folder, hub id, or "tiny"."""
    epochs: PositiveFloat = 1.0
    max_steps: NonNegativeInt = 0
    """Optimizer steps after which a run ends; 0 leaves it to `epochs`."""
    batch_size: PositiveInt = 16
    """Samples of one optimizer step, over all devices."""
    device_batch_size: PositiveInt = 1
    """Samples of one forward pass on one device; the rest of a batch is accumulated."""
    lr_tower: Rate = 1e-6
    lr_projector: Rate = 5e-6
    lr_llm: Rate = 5e-6
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the steps."""
    weight_decay: NonNegativeFloat = 0.0
    adam_beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Of AdamW's average of squared gradients."""
    max_grad_norm: PositiveFloat = 1.0
    max_length: PositiveInt = 32_768
    """Tokens of a chat with its visual tokens; longer ones are left out and counted."""
    precision: Precision = Precision.AUTO
    gradient_checkpointing: bool = True
    freeze: tuple[ModelPart, ...] = ()
    lora_rank: NonNegativeInt = 0
    """Rank of adapters on the LLM, which then train alone: tower and projector must be frozen; 0 trains the weights."""
    tasks: tuple[str, ...] = ("all",)
    mix: tuple[str, ...] = ()
    """ "object_colour=0.5" uses half of a task's questions in an epoch, "highrs=2" a data set's twice."""
    deal_again: bool = False
    """Deal the letters of the choices anew in every epoch."""
    group_by_length: bool = True
    mixed_groups: PositiveInt = 16
    """Row groups, most often one an image, whose questions are mixed at a time; their images are kept decoded."""
    loader_workers: NonNegativeInt = 1
    """Processes that read ahead; each decodes the images that it needs itself."""
    tokens_per_cell: PositiveInt | Literal["all"] | None = None
    """Visual tokens kept a cell, or "all"; None keeps the checkpoint's own."""
    pruning: Literal["anchored", "anchors_only", "clusters_only", "random", "uniform", "pool"] | None = None
    """How they are chosen; None keeps the checkpoint's own."""
    scope: Literal["cell", "image"] | None = None
    """Whether each cell has its budget or the image one; None keeps the checkpoint's own."""
    seed: int = 0
    log_every: PositiveInt = 10
    """Steps."""
    save_every: PositiveInt = 500
    """Steps."""
    keep: PositiveInt = 3
    """Checkpoints."""
    eval_every: NonNegativeInt = 500
    """Steps; 0 evaluates at the end only."""
    eval_questions: NonNegativeInt = 100
    """Most questions a task of the val split; 0 leaves evaluation out."""
    tensorboard: bool = False
    tiny: TinySettings = TinySettings()

    @field_validator("tasks")
    @classmethod
    def _tasks_exist(cls, tasks: tuple[str, ...]) -> tuple[str, ...]:
        parse_task_names(tasks, instead=_WEIGHTS_ELSEWHERE)
        return tasks

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.batch_size % self.device_batch_size:
            raise ValueError(
                f"batch_size {self.batch_size} must be a multiple of device_batch_size {self.device_batch_size}"
            )
        if self.lora_rank and not {ModelPart.TOWER, ModelPart.PROJECTOR} <= set(self.freeze):
            raise ValueError("with lora adapters alone train: give --freeze tower,projector too")
        if set(self.freeze) == set(ModelPart) and not self.lora_rank:
            raise ValueError("every part is frozen, so there is nothing to train")
        return self

    @model_validator(mode="after")
    def _mix_names_tasks_or_data_sets(self) -> Self:
        for entry in self.mix:  # what is not named here is used once, so a word alone would change nothing
            if "=" not in entry and entry.strip().lower() not in (ALL, NONE):
                raise ValueError(f"mix {entry!r}: expected a weight of 0 or more after '=', e.g. object_colour=0.5")
        try:
            _ = self.weights
        except ValueError as error:
            raise ValueError(f"mix: {error}") from error
        return self

    @property
    def task_names(self) -> tuple[str, ...]:
        """Names of the tasks to train, in the order of the taxonomy."""
        return parse_task_names(self.tasks, instead=_WEIGHTS_ELSEWHERE)

    @property
    def learning_rates(self) -> Mapping[ModelPart, float]:
        """Learning rate of each part."""
        return {ModelPart.TOWER: self.lr_tower, ModelPart.PROJECTOR: self.lr_projector, ModelPart.LLM: self.lr_llm}

    @property
    def pruning_changes(self) -> dict[str, int | str]:
        """What the run changes of a checkpoint's pruning settings."""
        changes = {"tokens_per_cell": self.tokens_per_cell, "pruning": self.pruning, "scope": self.scope}
        return {name: value for name, value in changes.items() if value is not None}

    @property
    def weights(self) -> Weights:
        """How often the questions of a task, and those of a data set, are used in an epoch, where `mix` says so."""
        return parse_task_weights(self.mix, others=source_names(self.data))


def source_names(folders: Sequence[str | Path]) -> list[str]:
    """Return what data sets are called: their folders' own names; the whole path where two folders are named alike."""
    names = [Path(folder).resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]


TINY_RECIPE: Mapping[str, Any] = MappingProxyType(
    {
        "batch_size": 32,
        "device_batch_size": 32,
        "lr_tower": 2e-3,
        "lr_projector": 2e-3,
        "lr_llm": 8e-4,  # it can read already
        "adam_beta2": 0.98,
        "gradient_checkpointing": False,
        "max_length": 1024,
        "deal_again": True,
        "mixed_groups": 256,
        "loader_workers": 0,
        "tokens_per_cell": 16,
    }
)
"""What `--init tiny` begins from; a settings file and flags go before it."""


def make_training_settings(values: Mapping[str, Any], *, config: Path | None = None) -> TrainingSettings:
    """Return the settings of `config` (TOML) overridden by `values`, over the recipe of the model they name.

    Raises:
        SettingsError: for an unknown key, naming the nearest known one, or a value out of range.
    """
    given = {**(read_config(config) if config else {}), **values}
    _refuse_unknown(given, TrainingSettings, config)
    if isinstance(given.get("tiny"), dict):
        _refuse_unknown(given["tiny"], TinySettings, config)
    recipe = TINY_RECIPE if given.get("init") == TINY else {}
    try:
        return TrainingSettings.model_validate({**recipe, **given})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "settings"
        if first["type"] == "missing":
            raise SettingsError(f"--{where} is needed: on the command line, or in the file of --config") from error
        found = "" if isinstance(first["input"], dict) else f" = {first['input']!r}"
        message = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{where.replace('_', '-')}{found}: {message}") from error


def _refuse_unknown(given: Mapping[str, Any], model: type[BaseModel], config: Path | None) -> None:
    for key in given:
        if key not in model.model_fields:
            where = f" in {config}" if config else ""
            raise SettingsError(f"unknown setting {key!r}{where}{nearest(key, list(model.model_fields))}")
