"""Conversations as parquet with their pictures inside: TRL and plain Hugging Face, verl and EasyR1.

A row group shares its pictures, as those of the data set do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from rsvqa.rsvqa_builder.dataset.image_tables import IMAGES, EncodedImage, TableWriter, split_rows, table_schema
from rsvqa.rsvqa_builder.exporting.chats import ChatExporter, ChatTarget
from rsvqa.rsvqa_builder.exporting.reward_file import TRL_REWARD, VERL_REWARD, reward_columns
from rsvqa.rsvqa_builder.exporting.turns import Turns

_TEXT = pa.string()
_MESSAGES = pa.list_(pa.struct([("role", _TEXT), ("content", _TEXT)]))
_REWARD = dict.fromkeys(("solution", "answer_type", "choices", "task", "question_id", "language"), _TEXT)


class _ChatTables(ChatExporter):
    """One parquet file per split."""

    COLUMNS: ClassVar[Mapping[str, pa.DataType]]

    def __init__(self, folder: Path, target: ChatTarget) -> None:
        super().__init__(folder, target)
        self._writers: dict[str, TableWriter] = {}

    def write_turns(self, members: Sequence[Turns]) -> None:
        """Write the questions as one row group, or as several where their pictures are too many for one."""
        if self.split not in self._writers:
            writer = TableWriter(self.folder / f"{self.split}.parquet", table_schema(self.COLUMNS))
            self._writers[self.split] = self.opened.enter_context(writer)
        sized = ((turns, sum(len(picture.data) for picture in turns.pictures)) for turns in members)
        for run in split_rows(sized):
            self._writers[self.split].write_row_group([self.row(turns) for turns in run])

    def row(self, turns: Turns) -> dict[str, Any]:
        """Return the columns of one question."""
        raise NotImplementedError

    def pictures(self, turns: Turns) -> list[EncodedImage]:
        """Return the pictures as a column of images holds them."""
        return [EncodedImage(picture.path, picture.data) for picture in turns.pictures]


class TrlExporter(_ChatTables):
    """`{split}.parquet` with `prompt`, `completion` and `images`: SFT learns the completion, GRPO takes the prompt."""

    COLUMNS: ClassVar = {"prompt": _MESSAGES, "completion": _MESSAGES, "images": IMAGES, **_REWARD}

    def row(self, turns: Turns) -> dict[str, Any]:
        """Return messages whose texts TRL puts the pictures before."""
        reply = self.reply(turns)
        return {
            "prompt": [{"role": "user", "content": self.prompt(turns)}],
            "completion": [{"role": "assistant", "content": reply}],
            "images": self.pictures(turns),
            **reward_columns(turns, reply),
        }

    def command(self) -> str:
        """Return the command of TRL."""
        return f"trl sft --model_name_or_path {self.target.checkpoint} --dataset_name . --output_dir ../trained"

    def close(self) -> None:
        """Write the file that binds the scorer to GRPO."""
        (self.folder / "rsvqa_reward.py").write_text(TRL_REWARD, encoding="utf-8", newline="\n")


class VerlExporter(_ChatTables):
    """`{split}.parquet` with the columns of verl's and EasyR1's reinforcement learning."""

    COLUMNS: ClassVar = {
        "data_source": _TEXT,
        "prompt": _MESSAGES,
        "images": IMAGES,
        "ability": _TEXT,
        "reward_model": pa.struct([("style", _TEXT), ("ground_truth", _TEXT)]),
        "extra_info": pa.struct([(name, _TEXT) for name in ("split", *_REWARD)]),
    }

    def row(self, turns: Turns) -> dict[str, Any]:
        """Return the prompt with a placeholder per picture, and what a rule checks the reply by."""
        reply = self.reply(turns)
        columns = reward_columns(turns, reply)
        return {
            "data_source": "rsvqa",
            "prompt": [{"role": "user", "content": "<image>" * len(turns.pictures) + self.prompt(turns)}],
            "images": self.pictures(turns),
            "ability": columns["task"],
            "reward_model": {"style": "rule", "ground_truth": reply},
            "extra_info": {"split": self.split, **columns},
        }

    def command(self) -> str:
        """Return the command of verl."""
        splits = self.splits() or ["train"]
        val = "val" if "val" in splits else splits[0]
        return (
            "python -m verl.trainer.main_ppo algorithm.adv_estimator=grpo "
            f"data.train_files={splits[0]}.parquet data.val_files={val}.parquet data.image_key=images "
            f"actor_rollout_ref.model.path={self.target.checkpoint} "
            "custom_reward_function.path=rsvqa_reward.py custom_reward_function.name=compute_score"
        )

    def close(self) -> None:
        """Write the file that binds the scorer."""
        (self.folder / "rsvqa_reward.py").write_text(VERL_REWARD, encoding="utf-8", newline="\n")
