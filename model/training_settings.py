"""The settings of a training run: one model for the command line, `train.toml` and the copy that a run writes.

The defaults are the recipe of GeoLLaVA-8K (arXiv 2505.21375, section 5): one epoch, learning rates by part, cosine with
10 % warm-up, no weight decay, all parts trained. `init` = tiny begins from `TINY_RECIPE` instead, because a model that
has seen nothing does not learn at 1e-6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum, StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from rsvqa.annotation.task_names import ALL, NONE, Weights, parse_task_names, parse_task_weights
from rsvqa.rsvqa_builder.config import COMMAS, FILE_ONLY, STRIPPED, StageSettings

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


class BaseBits(IntEnum):
    """Bits that a weight of the LLM's layers is stored in while adapters train beside it."""

    FOUR = 4
    EIGHT = 8
    SIXTEEN = 16


Rate = Annotated[float, Field(ge=0, le=1)]

CHANGES_NOTHING_LEARNT = frozenset(
    {
        "gradient_checkpointing",
        "loader_workers",
        "max_unreadable",
        "log_every",
        "save_every",
        "keep_checkpoints",
        "eval_every",
        "eval_questions",
        "tensorboard",
    }
)
"""Settings that a run may go on with others of: the weights become the same."""


class TinySettings(StageSettings):
    """Sizes of the model that `init` = tiny makes; its tower sees cells of `cell_size` pixels."""

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


class TrainingSettings(StageSettings):
    """All that decides what a run learns; where it runs does not stand here."""

    data: Annotated[tuple[str, ...], Field(min_length=1)]
    """Folder that `rsvqa build` wrote."""
    init: str
    """Checkpoint to begin from: folder, hub id, or tiny (from scratch)."""
    epochs: PositiveFloat = 1.0
    """Passes over the data."""
    max_steps: NonNegativeInt = 0
    """Optimizer steps after which the run ends; 0 leaves it to the epochs."""
    batch_size: PositiveInt = 16
    """Samples per optimizer step, over all devices."""
    device_batch_size: PositiveInt = 1
    """Samples at a time on one device.

    The rest of a batch is accumulated.
    """
    questions_per_pass: PositiveInt = 1
    """Most questions of an image that share one pass of it.

    They do not see each other. `device_batch_size` counts them all, and must be a multiple.
    """
    lr_tower: Rate = 1e-6
    """Learning rate of the tower."""
    lr_projector: Rate = 5e-6
    """Learning rate of the projector."""
    lr_llm: Rate = 5e-6
    """Learning rate of the language model."""
    warmup: Annotated[float, Field(ge=0, lt=1), FILE_ONLY] = 0.1
    """Share of the steps in which the learning rates rise."""
    weight_decay: Annotated[NonNegativeFloat, FILE_ONLY] = 0.0
    """Weight decay of AdamW."""
    optimizer: Literal["adamw", "adamw_8bit", "paged_adamw_8bit"] = "adamw"
    """Optimizer.

    Those of 8 bits take a quarter of the memory, and need the extra `bits`. A paged one moves its state to the CPU's
    memory when the GPU's is full.
    """
    adam_beta2: Annotated[float, Field(ge=0, lt=1), FILE_ONLY] = 0.999
    """Decay of AdamW's average of squared gradients."""
    max_grad_norm: Annotated[PositiveFloat, FILE_ONLY] = 1.0
    """Norm that gradients are clipped to."""
    max_length: PositiveInt = 32_768
    """Most tokens of a chat; longer ones are left out and counted."""
    precision: Precision = Precision.AUTO
    """Type of the numbers that are computed with."""
    gradient_checkpointing: Annotated[bool, FILE_ONLY] = True
    """Compute activations twice, to save memory."""
    freeze: Annotated[tuple[Annotated[ModelPart, STRIPPED], ...], COMMAS] = ()
    """Parts to leave as they are."""
    lora_rank: NonNegativeInt = 0
    """Rank of adapters that train instead of the LLM; 0 for none.

    Tower and projector must be frozen.
    """
    base_bits: BaseBits = BaseBits.SIXTEEN
    """Bits of a weight of the LLM beside adapters.

    Those of its layers are meant. 4 and 8 need the extra `bits`. With 16, weights are bf16 where the passes are, else
    float32.
    """
    mlp_chunk: NonNegativeInt = 0
    """Tokens that an MLP of the LLM works on at a time; 0 for all.

    Fewer need less memory for long sequences, and more time.
    """
    tasks: Annotated[tuple[str, ...], COMMAS] = ("all",)
    """Names, short names or levels: OCL,Counting."""
    mix: Annotated[tuple[str, ...], COMMAS] = ()
    """How often an epoch uses a task's or a data set's questions: OCL=0.5,highrs=2.

    Those that are not named are used once.
    """
    kept: str | None = None
    """Selection of `rsvqa select`: its questions alone are trained on."""
    deal_again: bool = False
    """Deal the letters of the choices anew in every epoch."""
    group_by_length: Annotated[bool, FILE_ONLY] = True
    """Put samples of like length into one batch."""
    mixed_groups: Annotated[PositiveInt, FILE_ONLY] = 16
    """Row groups whose questions are mixed at a time.

    A row group is most often one image; the images are kept decoded. Each batch of a step has its share, at least one.
    """
    loader_workers: NonNegativeInt = 1
    """Processes that read ahead.

    Each decodes the images that it needs itself; a number that divides the batches of a device's step shares best.
    """
    max_grid: PositiveInt | Literal["checkpoint"] = 24
    """Most cells along a side of an image; checkpoint keeps the limits of `init`."""
    max_unreadable: Rate = 0.01
    """Share of the questions whose images may be unreadable; more end the run."""
    tokens_per_cell: PositiveInt | Literal["all"] | None = None
    """Visual tokens kept per cell, or all (default: the checkpoint's)."""
    pruning: Literal["anchored", "anchors_only", "clusters_only", "random", "uniform", "pool"] | None = None
    """How visual tokens are chosen (default: the checkpoint's)."""
    scope: Annotated[Literal["cell", "image"] | None, FILE_ONLY] = None
    """What has a budget of visual tokens (default: the checkpoint's)."""
    fill: Annotated[Literal["next", "drop", "zeros"] | None, FILE_ONLY] = None
    """What takes the places that clusters leave (default: the checkpoint's)."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seed of everything random."""
    log_every: Annotated[PositiveInt, FILE_ONLY] = 10
    """Steps between lines of the log."""
    save_every: PositiveInt = 500
    """Steps between checkpoints."""
    keep_checkpoints: PositiveInt = 3
    """Checkpoints that stay."""
    eval_every: NonNegativeInt = 500
    """Steps between evaluations on val; 0 evaluates at the end only."""
    eval_questions: Annotated[NonNegativeInt, FILE_ONLY] = 100
    """Most questions per task of an evaluation; 0 leaves it out."""
    tensorboard: bool = False
    """Write curves for TensorBoard."""
    tiny: TinySettings = TinySettings()
    """Sizes of a model from scratch."""

    @model_validator(mode="before")
    @classmethod
    def _begin_from_the_recipe(cls, values: object) -> object:
        if isinstance(values, Mapping) and values.get("init") == TINY:
            return {**TINY_RECIPE, **values}
        return values

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
        if self.device_batch_size % self.questions_per_pass:
            raise ValueError(
                f"device_batch_size {self.device_batch_size} must be a multiple of questions_per_pass "
                f"{self.questions_per_pass}: it counts the questions of all its passes"
            )
        if self.lora_rank and not {ModelPart.TOWER, ModelPart.PROJECTOR} <= set(self.freeze):
            raise ValueError("with lora_rank adapters alone train: freeze tower,projector too")
        if self.lora_rank and self.init == TINY:
            raise ValueError("adapters need a checkpoint to stand beside: init = tiny has nothing to keep")
        if self.base_bits < BaseBits.SIXTEEN and not self.lora_rank:
            raise ValueError(f"weights of {self.base_bits} bits do not train, adapters beside them do: give lora_rank")
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
    def device_rows(self) -> int:
        """Rows of a device's batch, each of one question or of the same images' questions."""
        return self.device_batch_size // self.questions_per_pass

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
        names = ("tokens_per_cell", "pruning", "scope", "fill")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

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
        "max_grid": "checkpoint",  # that of `tiny`
        "tokens_per_cell": 16,
    }
)
"""What `init` = tiny begins from; what is given goes before it."""
