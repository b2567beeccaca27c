"""Conversations as JSON: LLaVA, ms-swift, LLaMA-Factory, Qwen-VL-finetune and InternVL.

All are written line by line, so that an export of a million questions holds those of one row group. What surprises:
ms-swift gets its boxes apart from its texts, since it writes each model's own convention, and in files of their own,
since its loader takes the columns of a file from the file's beginning.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rsvqa.rsvqa_builder.dataset.rows import StoredQuestion
from rsvqa.rsvqa_builder.exporting.chats import ChatExporter, ChatTarget, JsonLines
from rsvqa.rsvqa_builder.exporting.families import FAMILIES, SWIFT_BOX, SWIFT_NAME
from rsvqa.rsvqa_builder.exporting.pictures import PictureFolder
from rsvqa.rsvqa_builder.exporting.reward_file import SWIFT_REWARD, reward_columns
from rsvqa.rsvqa_builder.exporting.turns import ZOOM_TOOL, Pieces, PlacedBox, TurnMaker, Turns, zoom_arguments

IMAGES = "images"


def conversation(question: StoredQuestion) -> dict[str, Any]:
    """Return a question as LLaVA's trainers read it: one `<image>` per image, the prompt, and the reply it asks for."""
    turns = TurnMaker(FAMILIES["llava"], None, "whole").make(question)
    return _conversation(turns, *(turns.text(pieces, FAMILIES["llava"]) for pieces in (turns.prompt, turns.reply)))


def _conversation(turns: Turns, prompt: str, reply: str, *, numbered: bool = False, below: str = "") -> dict[str, Any]:
    """Return a conversation; with several pictures numbered, or without, and their paths below a folder."""
    count = len(turns.pictures)
    shown = (
        (f"Image-{number}: <image>\n" for number in range(1, count + 1))
        if numbered and count > 1
        else ["<image>\n"] * count
    )
    return {
        "id": turns.question.record.question_id,
        "image": [f"{below}{picture.path}" for picture in turns.pictures],
        "conversations": [{"from": "human", "value": "".join(shown) + prompt}, {"from": "gpt", "value": reply}],
    }


class _ChatFiles(ChatExporter):
    """JSON files and a folder of pictures."""

    def __init__(self, folder: Path, target: ChatTarget) -> None:
        super().__init__(folder, target)
        self.lines = JsonLines(folder, self.opened)
        self._pictures = PictureFolder(folder / IMAGES)

    def write_turns(self, members: Sequence[Turns]) -> None:
        """Add a line per question."""
        for turns in members:
            self.add(turns)
            for picture in (*turns.pictures, *([turns.zoom.picture] if turns.zoom else [])):
                self._pictures.add(picture)

    def add(self, turns: Turns) -> None:
        """Add the lines of one question."""
        raise NotImplementedError

    def conversation(self, turns: Turns, *, numbered: bool = False, below: str = "") -> dict[str, Any]:
        """Return a question as a conversation."""
        return _conversation(turns, self.prompt(turns), self.reply(turns), numbered=numbered, below=below)

    def write_json(self, name: str, content: object) -> None:
        """Write a small file beside the conversations."""
        text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
        (self.folder / name).write_text(text, encoding="utf-8", newline="\n")


class LlavaExporter(_ChatFiles):
    """`{split}.json`, a list of conversations, and `images/`, to which their paths are relative."""

    def add(self, turns: Turns) -> None:
        """Add an entry to the split's list."""
        name = f"{self.split}.json"
        if name not in self.lines.files:
            file = self.opened.enter_context((self.folder / name).open("w", encoding="utf-8", newline="\n"))
            self.opened.callback(file.write, "\n]\n")
            self.lines.files[name] = file
            file.write("[")
        else:
            self.lines.files[name].write(",")
        self.lines.files[name].write(f"\n{json.dumps(self.conversation(turns), ensure_ascii=False)}")

    def command(self) -> str:
        """Return the command of LLaVA's own trainer."""
        first = (self.splits() or ["train"])[0]
        return (
            f"python llava/train/train_mem.py --model_name_or_path {self.target.checkpoint} --data_path {first}.json "
            f"--image_folder {IMAGES} --output_dir ../trained"
        )


class SwiftExporter(_ChatFiles):
    """`{split}.jsonl` and, for rows with boxes, `{split}_boxes.jsonl`; `rsvqa_reward.py` for GRPO."""

    def add(self, turns: Turns) -> None:
        """Add a line: messages, pictures, boxes apart, and what a reward is measured by."""
        boxes: list[PlacedBox] = []
        prompt, reply = (self._with_slots(pieces, boxes) for pieces in (turns.prompt, turns.reply))
        pictures = [f"{IMAGES}/{picture.path}" for picture in turns.pictures]
        messages = [{"role": "user", "content": "<image>" * len(pictures) + prompt}]
        if turns.zoom is not None:
            messages += [
                {"role": "tool_call", "content": zoom_arguments(turns, self.family)},
                {"role": "tool_response", "content": "<image>"},
            ]
            pictures.append(f"{IMAGES}/{turns.zoom.picture.path}")
        messages.append({"role": "assistant", "content": reply})
        row: dict[str, Any] = {"messages": messages, "images": pictures}
        if self.target.pictures == "zoom":
            row["tools"] = json.dumps([ZOOM_TOOL])
        if boxes:
            row["objects"] = {
                "ref": [box.name for box in boxes if box.name is not None and self._names_apart],
                "bbox": [[round(share, 6) for share in box.shares] for box in boxes],
                "bbox_type": "norm1",
            }
        name = f"{self.split}_boxes.jsonl" if boxes else f"{self.split}.jsonl"
        self.lines.add(name, row | reward_columns(turns, self.reply(turns)))

    @property
    def _names_apart(self) -> bool:
        return SWIFT_NAME in (self.family.swift_answer or "")

    def _with_slots(self, pieces: Pieces, boxes: list[PlacedBox]) -> str:
        """Return pieces as text with slots for boxes, which are added to `boxes` in order."""
        written = []
        for piece in pieces:
            if isinstance(piece, str):
                written.append(piece)
                continue
            assert self.family.swift_answer is not None, "the family's prompts hold no boxes"
            boxes.append(piece)
            slot = SWIFT_BOX if piece.name is None else self.family.swift_answer
            written.append(slot.replace("{quoted}", json.dumps(piece.name, ensure_ascii=False)))
        return "".join(written)

    def command(self) -> str:
        """Return the command of ms-swift; its Qwen models write boxes as numbers in brackets where told so."""
        files = sorted(name for name in self.lines.files if name.startswith("train")) or sorted(self.lines.files)
        budget = f"MAX_PIXELS={self.target.max_pixels} " if self.target.max_pixels else ""
        style = "QWENVL_BBOX_FORMAT=new " if "bbox_2d" in self.family.answer else ""
        return (
            f"ROOT_IMAGE_DIR=. {budget}{style}swift sft --model {self.target.checkpoint} --dataset {' '.join(files)} "
            "--output_dir ../trained"
        )

    def close(self) -> None:
        """Write the plug-in for GRPO."""
        (self.folder / "rsvqa_reward.py").write_text(SWIFT_REWARD, encoding="utf-8", newline="\n")


class LlamaFactoryExporter(_ChatFiles):
    """`{split}.jsonl`, `dataset_info.json` and `images/`; the folder is the `dataset_dir`."""

    def add(self, turns: Turns) -> None:
        """Add a conversation, its paths relative to the folder."""
        self.lines.add(f"{self.split}.jsonl", self.conversation(turns, below=f"{IMAGES}/"))

    def command(self) -> str:
        """Return the command of LLaMA-Factory."""
        first = (self.splits() or ["train"])[0]
        budget = f"--image_max_pixels {self.target.max_pixels} " if self.target.max_pixels else ""
        return (
            f"llamafactory-cli train --stage sft --do_train --model_name_or_path {self.target.checkpoint} "
            f"--template {self.family.template} --dataset_dir . --dataset rsvqa_{first} {budget}--output_dir ../trained"
        )

    def close(self) -> None:
        """Write the entry without which nothing is found."""
        entry = {
            "formatting": "sharegpt",
            "columns": {"messages": "conversations", "images": "image"},
            "tags": {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt"},
        }
        info = {f"rsvqa_{split}": {"file_name": f"{split}.jsonl", **entry} for split in self.splits()}
        self.write_json("dataset_info.json", info)


class QwenExporter(_ChatFiles):
    """`{split}.jsonl` and `images/` for Qwen-VL-finetune, which is told of them in `qwenvl/data/__init__.py`."""

    def add(self, turns: Turns) -> None:
        """Add a conversation; one picture is a text and no list, as its own examples have it."""
        entry = self.conversation(turns)
        paths = entry["image"]
        self.lines.add(f"{self.split}.jsonl", {**entry, "image": paths[0] if len(paths) == 1 else paths})

    def command(self) -> str:
        """Return the command of Qwen-VL-finetune, and the entry that it reads."""
        first = (self.splits() or ["train"])[0]
        entry = {"annotation_path": f"FOLDER/{first}.jsonl", "data_path": f"FOLDER/{IMAGES}"}
        budget = f" --max_pixels {self.target.max_pixels}" if self.target.max_pixels else ""
        return (
            f'# in qwenvl/data/__init__.py: data_dict["rsvqa"] = {json.dumps(entry)}\n'
            f"torchrun qwenvl/train/train_qwen.py --model_name_or_path {self.target.checkpoint} "
            f"--dataset_use rsvqa{budget} --output_dir ../trained"
        )


class InternvlExporter(_ChatFiles):
    """`{split}.jsonl`, `images/`, and `{split}_meta.json`, which tells InternVL's trainer of them."""

    def add(self, turns: Turns) -> None:
        """Add a conversation with the sizes of its pictures."""
        entry = self.conversation(turns, numbered=True)
        widths, heights = ([getattr(picture.size, side) for picture in turns.pictures] for side in ("width", "height"))
        if len(turns.pictures) == 1:
            sizes = {"image": entry["image"][0], "width": widths[0], "height": heights[0]}
        else:
            sizes = {"width_list": widths, "height_list": heights}
        self.lines.add(f"{self.split}.jsonl", {**entry, **sizes})

    def command(self) -> str:
        """Return the command of InternVL's trainer."""
        first = (self.splits() or ["train"])[0]
        return (
            f"torchrun internvl/train/internvl_chat_finetune.py --model_name_or_path {self.target.checkpoint} "
            f"--meta_path {first}_meta.json --output_dir ../trained"
        )

    def close(self) -> None:
        """Write the meta files; their `length` is the number of lines."""
        for split in self.splits():
            meta = {
                "root": f"{IMAGES}/",
                "annotation": f"{split}.jsonl",
                "data_augment": False,
                # its own pages advise 24 to 36 for large pictures
                "max_dynamic_patch": 24,
                "repeat_time": 1,
                "length": self.counts[split],
            }
            self.write_json(f"{split}_meta.json", {f"rsvqa_{split}": meta})
