"""The reader of `.trees` files: a tree per line, `x y radius state`, in pixels of the picture; state is h or d."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from shapely import Point

from rsvqa.annotation.facts import Outline
from rsvqa.rsvqa_builder.label_files.items import LabelItem, gathered
from rsvqa.rsvqa_builder.labels.classes import ClassTable
from rsvqa.rsvqa_builder.labels.raw import LabelError, RawLabels
from rsvqa.rsvqa_builder.scenes.scene import Scene


class TreeReader:
    """Reads crowns of trees as circles."""

    suffixes = (".trees",)
    shapes = ("polygon",)
    is_of_one_picture = True

    @staticmethod
    def read(path: Path, scene: Scene, table: ClassTable) -> RawLabels:  # noqa: ARG004  pixels are those of the scene
        """Return the trees of a file, in scene pixels."""
        try:
            lines = path.read_text("utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise LabelError("it is no text") from error
        items, problems = [], Counter[str]()
        for number, line in enumerate(lines, start=1):
            try:
                x, y, radius, state = line.split()
                crown = Point(float(x), float(y)).buffer(float(radius))
            except ValueError:
                problems["line is not x, y, radius and state"] += 1
                continue
            items.append(LabelItem(geometry=crown, outline=Outline.POLYGON, source=state, position=str(number)))
        # what could not be read may be any tree
        return gathered(items, table, problems=problems, lost=[""] if problems else [])
