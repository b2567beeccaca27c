"""Checkpoints in the released LongVA / GeoLLaVA-8K layout → ours.

Every key of the checkpoint is accounted for: taken over, left out with a reason, or unexpected; a weight that the model
needs and the checkpoint lacks is an error. Only safetensors files are read: nothing is unpickled.

What surprises: the tower's layers behind the features are left out (`vision_tower.cut_tower`), and a checkpoint without
the affinity head, such as LongVA-7B, gets the parameter-free affinity.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError
from safetensors import safe_open
from torch import Tensor
from transformers import AutoTokenizer, CLIPVisionConfig, GenerationConfig, Qwen2Config

from rsvqa.annotation.errors import NothingUsableError, RsvqaError
from rsvqa.rsvqa_builder.checkpoint_names import cache_alone_where_the_hub_is_gone, folder_fault, hub_fault
from rsvqa.rsvqa_builder.files import whole_folder
from rsvqa.rsvqa_builder.progress import without_bars

from .configuration_geollava import RELEASED_PRUNING, GeoLlavaConfig
from .image_processing_geollava import GeoLlavaImageProcessor
from .modeling_geollava import GeoLlavaForConditionalGeneration
from .processing_geollava import IMAGE_TOKEN, GeoLlavaProcessor

REPORT_NAME = "conversion_report.json"
TURN_END = "<|im_end|>"
TOKENIZER_FILES = ("tokenizer.json", "vocab.json")

KNOWN_TOWERS: dict[str, dict[str, Any]] = {
    "openai/clip-vit-large-patch14-336": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "image_size": 336,
        "patch_size": 14,
        "projection_dim": 768,
    },
}
"""Sizes of the towers that released configurations only name."""

RENAMED = (
    ("model.vision_tower.vision_tower.vision_model.", "model.vision_tower."),
    ("model.mm_projector.0.", "model.multi_modal_projector.linear_1."),
    ("model.mm_projector.2.", "model.multi_modal_projector.linear_2."),
    ("reghead.dw.", "model.affinity_head.depthwise."),
    ("reghead.pw.", "model.affinity_head.pointwise."),
    ("lm_head.", "lm_head."),
    ("model.embed_tokens.", "model.language_model.embed_tokens."),
    ("model.layers.", "model.language_model.layers."),
    ("model.norm.", "model.language_model.norm."),
)
"""Beginnings of keys, theirs and ours."""

LEFT_OUT = {
    "model.image_newline": "the model uses no newline token",
    "model.vision_tower.post_layernorm.": "behind the features that are used",
    "model.vision_tower.embeddings.position_ids": "computed, not learned",
}
"""Beginnings of keys (ours, or theirs where we have none) that are known and not needed."""


class ConversionError(RsvqaError):
    """A checkpoint cannot be converted."""


class NoCheckpointError(ConversionError, NothingUsableError):
    """There is no checkpoint of that name, here or on the hub."""


@dataclass(frozen=True, slots=True)
class ConversionReport:
    """What became of each key of a checkpoint."""

    mapped: dict[str, str]
    """Their key → ours."""
    left_out: dict[str, str]
    """Their key → the reason."""
    unexpected: list[str]
    """Their keys that nothing is known about; they are not taken over."""
    notes: list[str]
    """What else a user should know."""

    def summary(self) -> dict[str, Any]:
        """Return how many keys were taken over, and which were not; every key is in the file `REPORT_NAME`."""
        return {
            "mapped": len(self.mapped),
            "left_out": len(self.left_out),
            "unexpected": self.unexpected,
            "notes": self.notes,
        }

    def __str__(self) -> str:
        return "\n".join(
            [
                f"{len(self.mapped)} weights taken over, {len(self.left_out)} left out (see {REPORT_NAME})",
                *(f"unexpected, not taken over: {key}" for key in self.unexpected),
                *(f"note: {note}" for note in self.notes),
            ]
        )


def convert_checkpoint(source: str, out: Path) -> ConversionReport:
    """Write a released checkpoint as one that `from_pretrained` loads, whole or not at all; return what became of it.

    Args:
        source: local directory, or a hub id.
        out: directory to write; must be new or empty.

    Raises:
        NoCheckpointError: no such checkpoint.
        ConversionError: no safetensors, an unknown architecture, or a weight that is missing or of
            another shape.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConversionError(f"{out} is there and not empty; give a new or empty directory")
    folder = find_checkpoint(source)
    if not (folder / "config.json").exists():
        raise NoCheckpointError(f"{source} holds no checkpoint: config.json is missing")
    released = _read_json(folder / "config.json")
    tensors = read_tensors(folder)
    config, notes = convert_config(released, folder, has_head="reghead.pw.weight" in tensors)
    tokenizer = _read_tokenizer(folder, config, notes)

    with torch.device("meta"):
        model = GeoLlavaForConditionalGeneration(config)
    expected = {name: value.shape for name, value in model.state_dict().items()}
    state, report = map_keys(tensors, expected, notes, source=source)
    model.load_state_dict(state, strict=True, assign=True)
    model.generation_config = _generation_config(folder, tokenizer)
    image_processor = GeoLlavaImageProcessor(
        cell_size=config.vision_config.image_size,
        max_grid=config.max_grid,
        max_cells=_max_cells(released, config),
        min_cells=_min_cells(released, config),
        do_normalize=False,
    )
    processor = (
        image_processor
        if tokenizer is None
        else GeoLlavaProcessor(image_processor, tokenizer, num_cell_tokens=config.num_cell_tokens)
    )
    with whole_folder(out) as working:
        with without_bars():
            model.save_pretrained(working)
        processor.save_pretrained(working)
        (working / REPORT_NAME).write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")
    return report


def find_checkpoint(source: str) -> Path:
    """Return the local directory of a checkpoint, after fetching it from the hub where `source` is no directory.

    Raises:
        NoCheckpointError: there is no such directory, and nothing of this name can be had from the hub.
    """
    if fault := folder_fault(source):
        raise NoCheckpointError(fault)
    if Path(source).is_dir():
        return Path(source)
    try:
        with cache_alone_where_the_hub_is_gone(source):
            return Path(snapshot_download(source, allow_patterns=["*.json", "*.safetensors", "merges.txt"]))
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise NoCheckpointError(hub_fault(source, reason)) from error


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint, sharded or not; they stay on disk until they are used.

    Raises:
        ConversionError: there are no safetensors files, or one is damaged.
    """
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        files = [folder / name for name in sorted(set(_read_json(index)["weight_map"].values()))]
    else:
        files = sorted(folder.glob("model.safetensors")) or sorted(folder.glob("*.safetensors"))
    if not files:
        pickled = sorted(path.name for path in folder.glob("*.bin"))
        hint = f"; {pickled[0]} would have to be unpickled: convert it to safetensors first" if pickled else ""
        raise ConversionError(f"{folder} holds no *.safetensors{hint}")
    tensors: dict[str, Tensor] = {}
    for path in files:
        try:
            with safe_open(path, framework="pt") as file:
                tensors.update({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118  no mapping
        except Exception as error:  # safetensors raises its own class, which it does not export everywhere
            raise ConversionError(f"{path} cannot be read as safetensors: {error}") from error
    return tensors


def convert_config(released: Mapping[str, Any], folder: Path, *, has_head: bool) -> tuple[GeoLlavaConfig, list[str]]:
    """Return our configuration for a released one, and notes on what had to be decided.

    Raises:
        ConversionError: the architecture is another one, or the tower is unknown.
    """
    if "qwen" not in str(released.get("model_type", "")).lower():
        raise ConversionError(
            f"{folder / 'config.json'} says model_type {released.get('model_type')!r}; expected a LongVA or GeoLLaVA "
            "checkpoint (llava_qwen)"
        )
    notes = []
    known = Qwen2Config().to_dict().keys() | {"rope_theta", "rope_scaling"}
    text = {key: value for key, value in released.items() if key in known and key not in ("architectures", "dtype")}
    vision = _tower_sizes(released, folder)
    budget = re.fullmatch(r"unires_max(\d+)", str(released.get("mm_patch_merge_type", "")))
    settings: dict[str, Any] = dict(RELEASED_PRUNING) if has_head else {}
    if budget:
        settings["tokens_per_cell"] = int(budget[1])
    if not has_head:
        notes.append("no affinity head: cosine affinity, and the next-best tokens in empty places")
    grids = _grids(released, int(vision["image_size"]))
    if grids:
        settings["max_grid"] = max(max(grid) for grid in grids)
    config = GeoLlavaConfig(
        vision_config=CLIPVisionConfig(**vision).to_dict(),
        text_config=Qwen2Config(**{**text, "model_type": "qwen2"}).to_dict(),
        vision_feature_layer=int(released.get("mm_vision_select_layer", -2)),
        image_token_id=int(released["vocab_size"]),  # outside the table until a tokenizer gives it a place
        **settings,
    )
    return config, notes


def map_keys(
    tensors: Mapping[str, Tensor], expected: Mapping[str, torch.Size], notes: list[str], *, source: str
) -> tuple[dict[str, Tensor], ConversionReport]:
    """Return the weights under our names, and what became of each key.

    Args:
        tensors: the checkpoint's.
        expected: our names and shapes.
        notes: go into the report.
        source: for messages.

    Raises:
        ConversionError: weights are missing or have another shape.
    """
    state: dict[str, Tensor] = {}
    mapped: dict[str, str] = {}
    left_out: dict[str, str] = {}
    unexpected: list[str] = []
    for theirs in sorted(tensors):
        ours = _our_name(theirs)
        if ours in expected:
            state[ours], mapped[theirs] = tensors[theirs], ours
        elif reason := _why_left_out(ours, expected):
            left_out[theirs] = reason
        else:
            unexpected.append(theirs)
    _refuse_gaps(state, expected, source)
    return state, ConversionReport(mapped, left_out, unexpected, notes)


def _our_name(theirs: str) -> str:
    for beginning, ours in RENAMED:
        if theirs.startswith(beginning):
            return ours + theirs.removeprefix(beginning)
    return theirs


def _why_left_out(name: str, expected: Mapping[str, torch.Size]) -> str | None:
    """Return why a key without a place is known not to be needed."""
    if name.startswith("model.vision_tower.encoder.layers."):
        index = int(name.split(".")[4])
        has_layer = any(other.startswith(f"model.vision_tower.encoder.layers.{index}.") for other in expected)
        return None if has_layer else LEFT_OUT["model.vision_tower.post_layernorm."]
    return next((reason for beginning, reason in LEFT_OUT.items() if name.startswith(beginning)), None)


def _refuse_gaps(state: Mapping[str, Tensor], expected: Mapping[str, torch.Size], source: str) -> None:
    missing = sorted(expected.keys() - state.keys())
    if missing:
        raise ConversionError(
            f"{source} lacks {len(missing)} of {len(expected)} weights: {', '.join(missing[:5])}"
            f"{' …' if len(missing) > 5 else ''}; is a shard missing?"
        )
    misfits = [f"{name} {tuple(state[name].shape)}" for name in sorted(state) if state[name].shape != expected[name]]
    if misfits:
        raise ConversionError(f"{source}: config.json and weights disagree on the shapes of {', '.join(misfits[:5])}")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConversionError(f"{path} cannot be read: {error}") from error
    return content


def _tower_sizes(released: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the tower's sizes from `vision_config.json`, or by its name."""
    path = folder / "vision_config.json"
    if path.is_file():
        known = CLIPVisionConfig().to_dict().keys()
        return {key: value for key, value in _read_json(path).items() if key in known and key != "architectures"}
    name = str(released.get("mm_vision_tower"))
    if name not in KNOWN_TOWERS:
        raise ConversionError(
            f"the sizes of the vision tower {name!r} are not known; expected one of {sorted(KNOWN_TOWERS)}, or the "
            f"tower's configuration as {path}"
        )
    return KNOWN_TOWERS[name]


def _grids(released: Mapping[str, Any], cell_size: int) -> list[tuple[int, int]]:
    """Return the grids (columns, rows) that the checkpoint was trained with; empty where it does not list them."""
    pinpoints = released.get("image_grid_pinpoints")
    if not isinstance(pinpoints, list):
        return []
    return [(width // cell_size, height // cell_size) for width, height in pinpoints]


def _max_cells(released: Mapping[str, Any], config: GeoLlavaConfig) -> int | None:
    """Return the most cells of an image, or None where every grid up to `max_grid` squared is allowed."""
    most = max((columns * rows for columns, rows in _grids(released, config.vision_config.image_size)), default=0)
    return most if 0 < most < config.max_grid**2 else None


def _min_cells(released: Mapping[str, Any], config: GeoLlavaConfig) -> int:
    """Return the fewest cells of an image: the released lists leave out 1 x 1, so a small image lies on two cells."""
    return min((columns * rows for columns, rows in _grids(released, config.vision_config.image_size)), default=1)


def _read_tokenizer(folder: Path, config: GeoLlavaConfig, notes: list[str]) -> Any:  # noqa: ANN401  transformers' own
    """Return the tokenizer with the placeholder in it, or None; the configuration gets the placeholder's id."""
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        notes.append(f"no tokenizer ({', '.join(TOKENIZER_FILES)}): only the image processor was written")
        return None
    tokenizer = AutoTokenizer.from_pretrained(folder, config=config.text_config)  # theirs is unknown to transformers
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE_TOKEN]}, replace_extra_special_tokens=False)
    config.image_token_id = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
    if config.image_token_id >= config.text_config.vocab_size:
        notes.append(f"{IMAGE_TOKEN} has the id {config.image_token_id}, outside the table of embeddings")
    return tokenizer


def _generation_config(folder: Path, tokenizer: Any) -> GenerationConfig:  # noqa: ANN401
    """Return the checkpoint's own, else greedy decoding to the end of a turn."""
    if (folder / "generation_config.json").is_file():
        return GenerationConfig.from_pretrained(folder)
    if tokenizer is None:
        return GenerationConfig()
    turn_end = tokenizer.convert_tokens_to_ids(TURN_END)
    eos = tokenizer.eos_token_id if turn_end == tokenizer.unk_token_id else turn_end
    return GenerationConfig(eos_token_id=eos, pad_token_id=tokenizer.pad_token_id)
