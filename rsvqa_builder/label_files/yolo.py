"""YOLO text files: one label per line, the class by number, coordinates as shares of the picture's sides.

Detection is `c cx cy w h`, an oriented box or an outline `c x1 y1 x2 y2 …`; predictions have their confidence at the
end. Names stand in a `data.yaml` (`names:`) beside the folders, or in a `classes.txt`; without them the number is the
name.
What surprises: the coordinates are shares of whatever size, so nothing tells that a file belongs to another picture.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Polygon

from rsvqa.annotation.facts import Outline
from rsvqa.rsvqa_builder.label_files.dota import EMPTY
from rsvqa.rsvqa_builder.label_files.items import LabelItem, gathered
from rsvqa.rsvqa_builder.label_files.texts import first_beside, read_text
from rsvqa.rsvqa_builder.labels.classes import ClassTable
from rsvqa.rsvqa_builder.labels.raw import LabelError, NotLabelsError, RawLabels
from rsvqa.rsvqa_builder.scenes.scene import Scene

NAMES_FILES = ("data.yaml", "dataset.yaml", "data.yml", "classes.txt", "obj.names")
"""Files that name the classes, in the order in which they are looked for in each folder from the labels upwards."""

_LEVELS = 3
"""Folders from that of the labels on: the `data.yaml` of `set/labels/train/a.txt` lies in `set/`."""
_MAX_SHARE = 1.0001
_NUM_TRACKED = 7
"""Words of a line with a box, its confidence and the number of its track."""
_RIGHT_ANGLE = 0.02
"""Cosine up to which two sides of a box with four corners count as square to each other."""
_BAD_LINE = "line is not a class number and shares of the picture"

_CLASS = re.compile(r"\d+(?:\.0*)?")
_BLOCK_ITEM = re.compile(r"^\s*(?:-|[\"']?(?P<key>\d+)[\"']?\s*:)\s*(?P<name>.+?)\s*$")
_INLINE_ITEM = re.compile(r"\s*(?:[\"']?(?P<key>\d+)[\"']?\s*:\s*)?(?P<name>\"[^\"]*\"|'[^']*'|[^,\[\]{}]+)")


def looks_like_yolo(head: bytes) -> bool:
    """Tell from its first bytes whether a text holds YOLO lines; the last line may be cut."""
    lines = head.decode("utf-8-sig", errors="replace").splitlines()
    return any(_numbers(line) is not None for line in lines)


def read_yolo(path: Path, scene: Scene, table: ClassTable) -> RawLabels:
    """Return the labels of a file, in scene pixels.

    Raises:
        NotLabelsError: no line holds a class number and shares.
        LabelError: the file is not text.
    """
    text, note = read_text(path)
    names_path = names_file(path)
    names = _class_names(names_path) if names_path else {}
    lines = [(number, line) for number, line in enumerate(text.removeprefix("\ufeff").splitlines()) if line.strip()]
    problems: Counter[str] = Counter()
    lost: list[str] = []
    items: list[LabelItem] = []
    # a last column of whole numbers is that of tracks; alone, 0 or 1 may be the end of a triangle
    columns = [line.split() for _, line in lines]
    is_tracked = all(len(words) == _NUM_TRACKED and words[-1].isdecimal() for words in columns) and any(
        int(words[-1]) > 1 for words in columns
    )
    has_keypoints = names_path is not None and "kpt_shape" in _text(names_path)
    for number, line in lines:
        values = _numbers(line.rpartition(" ")[0] if is_tracked else line)
        if values is None:
            problems[_BAD_LINE] += 1
            lost.append(_source(line.split()[0], names) if names else "")
            continue
        items.append(_item(values, names, number, scene, has_keypoints=has_keypoints))
    if lines and not items:
        raise NotLabelsError("no YOLO lines (class number, shares of the picture's sides)")
    nameless = "" if names or not items else "no data.yaml or classes.txt names the classes: they are numbers"
    known = [table.resolve(item.source) is not None for item in items]
    has_strange = any(item.source.isdecimal() and not is_known for item, is_known in zip(items, known, strict=True))
    if has_strange and (names or not any(known)):
        lost.append("")  # a number that nobody has named may stand for any class
    raw = gathered(items, table, problems=problems, lost=lost, notes=(note, nameless, "" if lines else EMPTY))
    return raw if lines else replace(raw, is_predicted=_has_scores_beside(path))


def _source(word: str, names: dict[int, str]) -> str:
    """Return the class of a line by its first word; "" where that is no number that has a name."""
    number = word.partition(".")[0]
    return names.get(int(number), number) if _CLASS.fullmatch(word) else ""


def _has_scores_beside(path: Path) -> bool:
    """Tell whether the label texts beside an empty one are predictions."""
    beside = first_beside(path)
    lines = [] if beside is None else read_text(beside).text.splitlines()
    return any(values is not None and len(values) % 2 == 0 for values in map(_numbers, lines))


def names_file(path: Path) -> Path | None:
    """Return the file that names the classes of a label file; None where there is none."""
    for folder in list(path.absolute().parents)[:_LEVELS]:
        for name in NAMES_FILES:
            if (found := folder / name).is_file():
                return found
    return None


def _numbers(line: str) -> list[float] | None:
    """Return a class number and the shares of a line; None where it holds anything else."""
    words = line.split()
    if not words or not _CLASS.fullmatch(words[0]):
        return None
    if len(words) == _NUM_TRACKED and words[-1].isdecimal() and int(words[-1]) > 1:
        words.pop()  # the number of a track
    try:
        values = [float(word) for word in words]
    except ValueError:
        return None
    count = len(values) - 1
    if count not in (4, 5) and count < 6:
        return None
    return values if all(math.isfinite(value) and 0 <= value <= _MAX_SHARE for value in values[1:]) else None


def _item(values: list[float], names: dict[int, str], number: int, scene: Scene, *, has_keypoints: bool) -> LabelItem:
    shares = values[1:5] if has_keypoints else values[1:]
    # pairs of coordinates, so an odd one at the end is the confidence
    score = shares.pop() if len(shares) % 2 else None
    pixels = np.array(shares).reshape(-1, 2) * (scene.width, scene.height)
    if len(pixels) == 2:
        geometry: Polygon = shapely.box(*(pixels[0] - pixels[1] / 2), *(pixels[0] + pixels[1] / 2))
        outline = Outline.BOX
    else:
        geometry = Polygon(pixels)
        outline = Outline.ORIENTED_BOX if _is_box(pixels) else Outline.POLYGON
    source = _source(str(int(values[0])), names)
    return LabelItem(geometry=geometry, outline=outline, source=source, position=str(number), score=score)


def _is_box(corners: NDArray[np.float64]) -> bool:
    """Tell whether four corners are those of a rectangle, turned or not."""
    if len(corners) != 4:
        return False
    sides = np.roll(corners, -1, axis=0) - corners
    lengths = np.hypot(sides[:, 0], sides[:, 1])
    if not lengths.all():
        return False
    cosines = (sides * np.roll(sides, -1, axis=0)).sum(axis=1) / (lengths * np.roll(lengths, -1))
    return bool((np.abs(cosines) <= _RIGHT_ANGLE).all())


def _text(path: Path) -> str:
    try:
        return read_text(path).text
    except LabelError:
        return ""


def _class_names(path: Path) -> dict[int, str]:
    """Return class names by number: a name per line, or the `names` of a YAML file as a list or a mapping."""
    text = _text(path)
    if path.suffix not in (".yaml", ".yml"):
        return dict(enumerate(line.strip() for line in text.splitlines() if line.strip()))
    lines = [line.split(" #")[0].rstrip() for line in text.splitlines()]
    start = next((number for number, line in enumerate(lines) if re.match(r"names\s*:", line)), None)
    if start is None:
        return {}
    inline = lines[start].partition(":")[2].strip()
    if inline:
        while not inline.endswith(("]", "}")) and start + 1 < len(lines):
            start += 1
            inline += " " + lines[start].strip()
        return _numbered(match for match in _INLINE_ITEM.finditer(inline.strip("[]{} ")) if match["name"].strip())
    block = []
    for line in lines[start + 1 :]:
        if not line.strip():
            continue
        match = _BLOCK_ITEM.match(line)
        if match is None or (not line[0].isspace() and match["key"]):
            break
        block.append(match)
    return _numbered(block)


def _numbered(matches: Iterable[re.Match[str]]) -> dict[int, str]:
    names: dict[int, str] = {}
    for match in matches:
        key = int(match["key"]) if match["key"] else len(names)
        names[key] = match["name"].strip().strip("\"'")
    return names
