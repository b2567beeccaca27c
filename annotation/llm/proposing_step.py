"""The step `propose`: questions about a tile of which nothing is known, for people to check.

A vision model describes the tile, names things and land use that are surely there, and boxes objects in crops that
overlap. Nothing of it is a fact: every proposal waits for a person, and no other step works on it. Counts and absence
are not proposed, for a model that overlooks things knows neither. What surprises: wrong choices of land use are types
that the model did not name; that they are not there is marked as a doubt for the person.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal, NamedTuple, get_args

import shapely
from pydantic import BaseModel, ConfigDict, Field

from rsvqa.annotation.checks import check_question
from rsvqa.annotation.facts import BOX_DECIMALS, Box, as_shares, iou
from rsvqa.annotation.lettering import right_letters
from rsvqa.annotation.llm.crops import CropSettings, CropWindow, Shown, nine_frames, picture_of, show_whole
from rsvqa.annotation.llm.items import QuestionItem, ShownImage
from rsvqa.annotation.llm.outcomes import Note
from rsvqa.annotation.llm.passes import Asker, ChatResult, parsed_as
from rsvqa.annotation.llm.requests import ChatRequest
from rsvqa.annotation.llm.verifying_step import in_tile
from rsvqa.annotation.questions import Evidence
from rsvqa.annotation.tasks.land_use import LISTED_SHARE_PERCENT
from rsvqa.annotation.taxonomy import TASKS, AnswerForm
from rsvqa.annotation.wording.phrases import load_phrases

PROPOSED = "proposed_by_model"
"""Rule in the evidence of a proposal; a question with it is accepted by people only."""
PROPOSED_REASON = "proposed by a model, of which nothing is known"

MAX_THINGS = 8
MAX_OBJECTS = 6
OVERLAP = 0.25
"""Share of a crop's side that its neighbour shows too: what is smaller than that is whole in one of them."""
EDGE = 10.0
"""A box that comes so near to the edge of its crop, in thousandths, may go on beyond it."""
SAME_NAME_SHARE = 0.5
"""Boxes of one name that share so much of the smaller one are one object, seen in two crops."""
SAME_PLACE_IOU = 0.7
"""Boxes of two names that overlap so much are one object."""
MIN_BOX_PX = 8.0

LandUse = Literal[
    "residential buildings",
    "industrial buildings",
    "farmland",
    "forest",
    "grassland",
    "water",
    "bare ground",
    "roads and paved ground",
]
"""Types that a person tells apart from above, and that do not contain one another."""
LAND_USES: tuple[str, ...] = get_args(LandUse)
_NUM_OPTIONS = 4
_MAX_RIGHT = 3

_COUNTED = re.compile(
    r"\b(?:\d+|one|two|three|four|five|six|seven|eight|nine|ten|dozens?|no|not|none|never|without)\b", re.I
)
"""Words that count or deny: no name and no description has one, and no sentence of a caption."""

_Name = Annotated[str, Field(min_length=2, max_length=40)]


class SeenThing(BaseModel):
    """A kind of thing of which at least one is visible."""

    model_config = ConfigDict(extra="forbid")

    singular: _Name
    plural: _Name
    picture: int


class SeenLandUse(BaseModel):
    """A type of land use, and the picture that shows it."""

    model_config = ConfigDict(extra="forbid")

    type: LandUse
    picture: int


class ProposedTile(BaseModel):
    """What a model sees on a whole tile."""

    model_config = ConfigDict(extra="forbid")

    overall: str
    parts: Annotated[list[str], Field(min_length=9, max_length=9)]
    inference: str
    things: list[SeenThing]
    land_use: list[SeenLandUse]


class SeenObject(BaseModel):
    """An object in a picture; the box is in thousandths of it."""

    model_config = ConfigDict(extra="forbid")

    name: _Name
    description: Annotated[str, Field(min_length=4, max_length=160)]
    box: Annotated[list[float], Field(min_length=4, max_length=4)]


class ProposedObjects(BaseModel):
    """Objects in one crop."""

    model_config = ConfigDict(extra="forbid")

    objects: list[SeenObject]


class FoundObject(NamedTuple):
    """An object in tile pixels; `crop` shows it, `is_cut` says that it may go on beyond."""

    name: str
    description: str
    box: Box
    crop: CropWindow
    is_cut: bool


def bare_tile(image_id: str, view: ShownImage, *, width: int, height: int) -> QuestionItem:
    """Return the item that stands for a tile without questions until it is replaced by the proposals."""
    return QuestionItem(
        question_id=image_id,
        task="detailed_captioning",
        form=AnswerForm.TEXT,
        language="en",
        text="",
        options=(),
        answer="",
        box=None,
        region=None,
        region_number=None,
        evidence=Evidence(rule=PROPOSED),
        width=width,
        height=height,
        views=(view,),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposePass:
    """Makes questions of what a model sees on a bare tile.

    Attributes:
        model: to ask.
        crops: what it is shown; objects are looked for in windows of `crop_px` at full size.
        name: of the step.
    """

    model: str
    crops: CropSettings
    name: str = "propose"

    @property
    def _tile_asker(self) -> Asker:
        return Asker(
            step=self.name, model=self.model, prompt_name="propose_tile", schema=ProposedTile, max_tokens=2_000
        )

    @property
    def _object_asker(self) -> Asker:
        return Asker(
            step=self.name, model=self.model, prompt_name="propose_objects", schema=ProposedObjects, max_tokens=800
        )

    def requests(self, item: QuestionItem) -> Sequence[ChatRequest]:
        """Return one request about the whole tile, then one per crop."""
        shown = show_whole(item, self.crops)
        values = {
            "legend": shown.legend,
            "most": MAX_THINGS,
            "percent": LISTED_SHARE_PERCENT,
            "types": ", ".join(LAND_USES),
        }
        whole = self._tile_asker.request(item, values, pictures=shown.pictures)
        return (whole, *(self._crop_request(item, number, crop) for number, crop in enumerate(self._crops(item), 1)))

    def _crop_request(self, item: QuestionItem, number: int, crop: CropWindow) -> ChatRequest:
        picture = picture_of(item.views[0].load(), crop, self.crops.crop_px, self.crops)
        shown = Shown((picture,), ("a part of a larger image",), crop)
        values = {"legend": shown.legend, "most": MAX_OBJECTS}
        return self._object_asker.request(item, values, number=number, pictures=shown.pictures)

    def _crops(self, item: QuestionItem) -> tuple[CropWindow, ...]:
        return overlapping_crops(item.width, item.height, self.crops.crop_px)

    def settle(self, item: QuestionItem, replies: Sequence[ChatResult]) -> Sequence[QuestionItem]:
        """Return the proposals in place of the bare tile; what fails a check of questions is left out."""
        whole, *parts = replies
        found = parsed_as(whole, ProposedTile)
        proposals: list[QuestionItem] = []
        if not isinstance(found, str):
            note = self._tile_asker.note(whole, PROPOSED)
            frames = _frames_shown(item, self.crops)
            proposals += [made.noted(note) for made in _of_tile(item, found, frames)]
        seen: list[FoundObject] = []
        notes: dict[CropWindow, Note] = {}
        for crop, reply in zip(self._crops(item), parts, strict=True):
            objects = parsed_as(reply, ProposedObjects)
            if not isinstance(objects, str):
                notes[crop] = self._object_asker.note(reply, PROPOSED)
                seen += _in_crop(objects, crop, item)
        proposals += [_grounding(item, one).noted(notes[one.crop]) for one in merged(seen)]
        return _numbered(item, [made for made in proposals if not _faults(made)])


# --- crops and boxes --------------------------------------------------------------------------------------------------


def overlapping_crops(width: int, height: int, side: int) -> tuple[CropWindow, ...]:
    """Return windows of `side` pixels that cover a tile, row by row, each sharing `OVERLAP` with the next or more."""
    return tuple(
        CropWindow(x, y, min(x + side, width), min(y + side, height))
        for y in _offsets(height, side)
        for x in _offsets(width, side)
    )


def _offsets(length: int, side: int) -> list[int]:
    if length <= side:
        return [0]
    stride = round(side * (1 - OVERLAP))
    return [*range(0, length - side, stride), length - side]


def _in_crop(objects: ProposedObjects, crop: CropWindow, item: QuestionItem) -> Iterator[FoundObject]:
    """Yield the objects of a crop in tile pixels; boxes outside of it, and words that count, are left out."""
    for found in objects.objects[:MAX_OBJECTS]:
        box = in_tile(found.box, crop)
        description = found.description.strip().rstrip(".")
        if box is None or _COUNTED.search(description):
            continue
        x_min, y_min, x_max, y_max = found.box
        is_cut = (
            (x_min < EDGE and crop.x_min > 0)
            or (y_min < EDGE and crop.y_min > 0)
            or (x_max > 1_000 - EDGE and crop.x_max < item.width)
            or (y_max > 1_000 - EDGE and crop.y_max < item.height)
        )
        yield FoundObject(found.name.strip().casefold(), description, box, crop, is_cut)


def merged(found: Iterable[FoundObject]) -> list[FoundObject]:
    """Return each object once, in the order in which they were found.

    An object that is whole in one crop has that box. One that every crop cuts has the box around its pieces; a single
    piece is left out, and so are objects that one description fits together.
    """
    groups: list[list[FoundObject]] = []
    for one in found:
        mine = [group for group in groups if any(_is_same(one, other) for other in group)]
        groups = [group for group in groups if group not in mine]
        groups.append([*(other for group in mine for other in group), one])
    objects = [whole for group in groups if (whole := _whole(group)) is not None]
    descriptions = Counter(one.description.casefold() for one in objects)
    return [one for one in objects if descriptions[one.description.casefold()] == 1]


def _whole(pieces: list[FoundObject]) -> FoundObject | None:
    whole = [piece for piece in pieces if not piece.is_cut]
    if whole:
        return max(whole, key=lambda piece: _area(piece.box))
    if len({piece.crop for piece in pieces}) == 1:
        return None
    boxes = [piece.box for piece in pieces]
    around = Box(
        min(box.x_min for box in boxes),
        min(box.y_min for box in boxes),
        max(box.x_max for box in boxes),
        max(box.y_max for box in boxes),
    )
    return max(pieces, key=lambda piece: _area(piece.box))._replace(box=around)


def _is_same(one: FoundObject, other: FoundObject) -> bool:
    if one.name != other.name:
        return iou(one.box, other.box) >= SAME_PLACE_IOU
    return _shared(one.box, other.box) >= SAME_NAME_SHARE * min(_area(one.box), _area(other.box)) > 0


def _area(box: Box) -> float:
    return (box.x_max - box.x_min) * (box.y_max - box.y_min)


def _shared(one: Box, other: Box) -> float:
    width = min(one.x_max, other.x_max) - max(one.x_min, other.x_min)
    height = min(one.y_max, other.y_max) - max(one.y_min, other.y_min)
    return max(width, 0.0) * max(height, 0.0)


def _frames_shown(item: QuestionItem, crops: CropSettings) -> tuple[CropWindow, ...]:
    """Return the windows of the pictures of `show_whole`, in their order."""
    whole = CropWindow(0, 0, item.width, item.height)
    if max(whole.size) <= crops.overview_px:
        return (whole,)
    return (whole, *nine_frames(item.width, item.height))


# --- questions --------------------------------------------------------------------------------------------------------


def _of_tile(item: QuestionItem, found: ProposedTile, frames: Sequence[CropWindow]) -> Iterator[QuestionItem]:
    rng = random.Random(f"{item.question_id}/propose")
    overall, *parts, inference = map(_uncounted, (found.overall, *found.parts, found.inference))
    if overall and all(parts) and inference:
        caption = "\n".join((overall, " ".join(parts), inference))
        yield _proposal(item, rng, "detailed_captioning", frames[0], answer=caption)
    names: set[str] = set()
    for thing in found.things[:MAX_THINGS]:
        singular, plural = thing.singular.strip().casefold(), thing.plural.strip().casefold()
        if 1 <= thing.picture <= len(frames) and singular not in names and not _COUNTED.search(f"{singular} {plural}"):
            names.add(singular)
            made = _proposal(item, rng, "object_presence", frames[thing.picture - 1], singular=singular, plural=plural)
            yield replace(made, options=("Yes", "No"), answer="A")
    yield from _land_use(item, rng, found, frames)


def _uncounted(text: str) -> str:
    """Return a text without the sentences that count or deny; empty when none is left."""
    sentences = re.split(r"(?<=[.!?])\s+", " ".join(text.split()))
    return " ".join(sentence for sentence in sentences if not _COUNTED.search(sentence))


def _land_use(
    item: QuestionItem, rng: random.Random, found: ProposedTile, frames: Sequence[CropWindow]
) -> Iterator[QuestionItem]:
    seen = {use.type: use.picture for use in found.land_use if 1 <= use.picture <= len(frames)}
    right: list[str] = sorted(seen)
    rng.shuffle(right)
    right = right[:_MAX_RIGHT]
    others = [name for name in LAND_USES if name not in {use.type for use in found.land_use}]
    if not right or len(others) < _NUM_OPTIONS - len(right):
        return
    wrong = rng.sample(others, _NUM_OPTIONS - len(right))
    options = [*right, *wrong]
    rng.shuffle(options)
    made = _proposal(item, rng, "overall_land_use", frames[0], percent=LISTED_SHARE_PERCENT, land_use=right)
    doubts = [f"{name}: covers less than {LISTED_SHARE_PERCENT} % of the image" for name in options if name in wrong]
    answer = right_letters(name in right for name in options)
    yield replace(made, options=tuple(options), answer=answer).with_doubts(*doubts)


def _grounding(item: QuestionItem, found: FoundObject) -> QuestionItem:
    rng = random.Random(f"{item.question_id}/propose/{found.description}")
    box = as_shares(found.box, item.width, item.height)
    made = _proposal(item, rng, "fine_grained_grounding", found.crop, description=found.description, object=found.name)
    answer = str([round(value, BOX_DECIMALS) for value in box])
    return replace(made, box=found.box, answer=answer)


def _proposal(
    item: QuestionItem, rng: random.Random, task: str, crop: CropWindow, *, answer: str = "", **values: object
) -> QuestionItem:
    """Return a question of a task in a rule's words, with the crop as its evidence."""
    return replace(
        item,
        task=task,
        form=TASKS[task].forms[0],
        text=load_phrases("en").pick(rng, f"{task}.question", **values),
        answer=answer,
        evidence=Evidence(rule=PROPOSED, geometry=shapely.box(*crop), values={"crop": list(crop), **values}),
        source="llm",
    ).for_review(PROPOSED_REASON)


def _faults(item: QuestionItem) -> tuple[str, ...]:
    box = item.box
    if box is not None and min(box.x_max - box.x_min, box.y_max - box.y_min) < MIN_BOX_PX:
        return ("too small",)
    return check_question(item.as_question(), width=item.width, height=item.height)


def _numbered(item: QuestionItem, proposals: Sequence[QuestionItem]) -> list[QuestionItem]:
    """Return the proposals under ids as a build gives them: tile, short name of the task, number."""
    numbers: Counter[str] = Counter()
    named = []
    for made in proposals:
        numbers[made.task] += 1
        named.append(replace(made, question_id=f"{item.question_id}/{TASKS[made.task].short}{numbers[made.task]}"))
    order = {task: place for place, task in enumerate(TASKS)}
    return sorted(named, key=lambda made: order[made.task])
