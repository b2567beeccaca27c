"""Object recall: which share of the labelled objects has a kept token on it, by size, for each way of pruning.

Objects are those that a data set's questions are about: a question's box with the object named first in its evidence,
and the outlines that a count has counted. What surprises: no weight of the language model takes part. Pruning is judged
by what reaches the language model, before it says anything.
"""

from __future__ import annotations

import json
import random
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import shapely
import torch

from rsvqa.annotation.facts import Box, in_pixels
from rsvqa.annotation.images import ImageError, decode_image
from rsvqa.annotation.stored_evidence import decode_geometry
from rsvqa.annotation.taxonomy import TASKS
from rsvqa.model.checkpoints import StartingPoint, load_checkpoint
from rsvqa.model.configuration_geollava import PRUNING_METHODS
from rsvqa.model.data import TrainingDataError
from rsvqa.rsvqa_builder.dataset.image_tables import TableReader
from rsvqa.rsvqa_builder.dataset.records import HELD_BACK, Record
from rsvqa.rsvqa_builder.dataset.rows import TEXT_COLUMNS, Column, decode, decode_tile
from rsvqa.rsvqa_builder.dataset.shards import RowGroup, list_shards
from rsvqa.rsvqa_builder.documents.token_map import TokenMap, map_images, shows

COUNTS = ("overall_counting", "regional_counting", "conditional_counting")
"""Tasks whose evidence outlines the objects that were counted."""
SIZES = (8, 16, 32, 64, 128)
"""Between the classes of size: side of a square as large as the object's box, pixels of the canvas."""


@dataclass(frozen=True, slots=True)
class LabelledTile:
    """A tile with labelled objects.

    Attributes:
        group, row: where its image stands.
        objects: their boxes, pixels of the tile, by id.
    """

    group: RowGroup
    row: int
    objects: Mapping[str, Box]


@dataclass(slots=True)
class Tally:
    """Objects of one class of size, and how many of them each method shows."""

    objects: int = 0
    shown: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PRUNING_METHODS, 0))


def object_recall(
    model: str,
    data: Path,
    *,
    split: str = "val",
    tokens_per_cell: int | None = None,
    limit: int | None = None,
    random_weights: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Return how many objects of each size the tokens show that each way of pruning keeps, all at one budget.

    Args:
        model: folder or hub id of a GeoLLaVA checkpoint.
        data: folder that `rsvqa build` wrote.
        split: of it.
        tokens_per_cell: the budget; None takes the checkpoint's.
        limit: most tiles, drawn by chance.
        random_weights: draw the weights anew, to see what training adds.
        seed: of what is drawn.

    Raises:
        TrainingError: the checkpoint cannot be loaded.
        TrainingDataError: no question in the split names an object, no image can be read, or there is no budget.
    """
    tiles = list(labelled_tiles(data, split=split))
    if not tiles:
        raise TrainingDataError(f"{data}: no question of split {split} outlines an object; build tasks such as OCC")
    if limit is not None and limit < len(tiles):
        tiles = [tiles[place] for place in sorted(random.Random(seed).sample(range(len(tiles)), limit))]
    start = load_checkpoint(model, dtype=torch.float32, converted=None)
    config = start.model.config
    config.tokens_per_cell = tokens_per_cell or config.tokens_per_cell
    if config.tokens_per_cell == "all":
        raise TrainingDataError(f"{model} keeps all tokens, which show every object; give `tokens_per_cell`")
    if random_weights:
        torch.manual_seed(seed)
        start = start._replace(model=type(start.model)(config).to(start.model.dtype))
    start.model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
    tallies = {number: Tally() for number in range(len(SIZES) + 1)}
    unreadable = [tile for tile in tiles if not _count_tile(start, tile, tallies)]
    if len(unreadable) == len(tiles):
        raise TrainingDataError(f"{data}: none of the {len(tiles)} images of split {split} can be read")
    return {
        "model": model,
        "weights": "random" if random_weights else "trained",
        "data": str(data),
        "split": split,
        "tiles": len(tiles) - len(unreadable),
        "unreadable": len(unreadable),
        "tokens_per_cell": config.tokens_per_cell,
        "patches_per_cell": (config.vision_config.image_size // config.vision_config.patch_size) ** 2,
        "patch_px": config.vision_config.patch_size,
        "affinity": config.affinity,
        "by_size": [
            {"size_px": size_name(number), "objects": tally.objects, **_shares(tally)}
            for number, tally in tallies.items()
            if tally.objects
        ],
        "all": {"objects": sum(tally.objects for tally in tallies.values()), **_shares(_joined(tallies.values()))},
    }


def size_name(number: int) -> str:
    """Return a class of size in words, such as "16–32"."""
    if number == 0:
        return f"< {SIZES[0]}"
    return f"≥ {SIZES[-1]}" if number == len(SIZES) else f"{SIZES[number - 1]}–{SIZES[number]}"


def labelled_tiles(data: Path, *, split: str) -> Iterator[LabelledTile]:
    """Yield the tiles of a split whose questions are about objects, with the objects."""
    for path in list_shards(data, split=split):
        with TableReader(path) as reader:
            for number in range(reader.info.num_row_groups):
                rows = reader.read_row_group(number, [*TEXT_COLUMNS, Column.EVIDENCE])
                records = [decode(row, decode_tile(row, split)) for row in rows]
                for image_id in dict.fromkeys(record.tile.image_id for record in records):
                    of_tile = [place for place, record in enumerate(records) if record.tile.image_id == image_id]
                    if objects := objects_of([records[place] for place in of_tile]):
                        # a copy without a circle where there is one
                        row = min(of_tile, key=lambda place: _shows_circle(records[place]))
                        yield LabelledTile(RowGroup(path, number), row, objects)


def objects_of(records: Sequence[Record]) -> dict[str, Box]:
    """Return the boxes of the objects that the questions of a tile are about, pixels of the tile, by id."""
    found: dict[str, Box] = {}
    for record in records:
        if TASKS[record.task].num_dates != 1 or record.review in HELD_BACK:
            continue
        for object_id, box in _objects(record):
            found.setdefault(object_id, box)
    return found


def _objects(record: Record) -> Iterator[tuple[str, Box]]:
    ids = record.evidence.get("feature_ids", [])
    if record.bbox is not None and ids:
        yield ids[0], in_pixels(record.bbox, record.tile.window.width, record.tile.window.height)
    elif record.task in COUNTS and (geometry := decode_geometry(record.evidence)) is not None:
        count = record.evidence.get("values", {}).get("count")
        parts = [geometry] if count == 1 else list(shapely.get_parts(geometry))
        if len(parts) == count:  # the objects stand before the landmark in the ids
            yield from ((object_id, Box(*part.bounds)) for object_id, part in zip(ids, parts, strict=False))


def _shows_circle(record: Record) -> bool:
    return "region" in record.evidence or TASKS[record.task].num_dates != 1


def _count_tile(start: StartingPoint, tile: LabelledTile, tallies: Mapping[int, Tally]) -> bool:
    """Count the objects of a tile; return whether its image can be read."""
    with TableReader(tile.group.path) as reader:
        images = reader.read_row_group(tile.group.number, [Column.IMAGE])[tile.row][Column.IMAGE]
    try:
        pixels = decode_image(images[0].data)
    except ImageError:
        return False
    inputs = start.processor.image_processor(pixels, return_placements=True)
    (placement,) = inputs["image_placements"]
    patch = start.model.config.vision_config.patch_size
    maps = {method: _map(start, inputs, method) for method in PRUNING_METHODS}
    for box in tile.objects.values():
        on_canvas = placement.box_to_canvas(box)
        width, height = on_canvas[2] - on_canvas[0], on_canvas[3] - on_canvas[1]
        tally = tallies[bisect_right(SIZES, (width * height) ** 0.5)]
        tally.objects += 1
        for method, tokens in maps.items():
            tally.shown[method] += shows(tokens, on_canvas, patch)
    return True


@torch.inference_mode()
def _map(start: StartingPoint, inputs: Mapping[str, Any], method: str) -> TokenMap:
    """Return what one way of pruning keeps of an image."""
    model, grids = start.model, inputs["image_grid_thw"]
    before, model.config.pruning = model.config.pruning, method
    try:
        found = model.get_image_features(inputs["pixel_values"].to(model.device), grids.to(model.device))
    finally:
        model.config.pruning = before
    (tokens,) = map_images(found, grids.tolist(), model.config)
    return tokens


def _joined(tallies: Iterable[Tally]) -> Tally:
    joined = Tally()
    for tally in tallies:
        joined.objects += tally.objects
        for method, number in tally.shown.items():
            joined.shown[method] += number
    return joined


def _shares(tally: Tally) -> dict[str, float]:
    return {method: round(number / tally.objects, 4) for method, number in tally.shown.items()}


def render_recall(report: Mapping[str, Any]) -> str:
    """Return the report as a Markdown table, one row per class of size."""
    lines = [
        f"| object, px on the canvas | objects | {' | '.join(f'`{method}`' for method in PRUNING_METHODS)} |",
        "|---|" + "---:|" * (len(PRUNING_METHODS) + 1),
    ]
    for entry in (*report["by_size"], {"size_px": "all", **report["all"]}):
        shares = " | ".join(f"{100 * entry[method]:.0f} %" for method in PRUNING_METHODS)
        lines.append(f"| {entry['size_px']} | {entry['objects']:,} | {shares} |")
    return "\n".join(lines)


def print_recall(report: Mapping[str, Any], *, as_json: bool) -> None:
    """Print the report to stdout."""
    if as_json:
        print(json.dumps(report, ensure_ascii=False))
        return
    print(render_recall(report))
    kept, all_patches = report["tokens_per_cell"], report["patches_per_cell"]
    print(
        f"{report['tiles']:,} tiles of {report['data']}, split {report['split']}; {kept} tokens per cell of "
        f"{all_patches} patches of {report['patch_px']} px; {report['weights']} weights"
    )
    if report["unreadable"]:
        print(f"left out: {report['unreadable']:,} x image cannot be read")
