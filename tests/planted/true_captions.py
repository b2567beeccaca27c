"""True captions in several styles, written from the facts alone and without a look at how claims are read.

A style is a way to write, as one model or another would; the styles in `HELD_OUT_STYLES` were not looked at while the
reader of claims was written.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rsvqa.annotation.llm.crops import PART_NAMES
from rsvqa.annotation.llm.items import QuestionItem

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


@dataclass(frozen=True)
class Place:
    """What is known of a place: what a writer is shown."""

    values: Mapping[str, Any]
    nouns: Mapping[str, tuple[str, str]]

    @property
    def shares(self) -> list[tuple[str, int]]:
        """Nouns of land uses with whole percents."""
        counts, known = self.values.get("counts", {}), self.values.get("shares", {})
        return [(self.nouns[name][counts.get(name, 1) != 1], round(100 * share)) for name, share in known.items()]

    @property
    def counts(self) -> list[tuple[int | None, str, str]]:
        """Numbers of objects with singular and plural."""
        return [(count, *self.nouns[name]) for name, count in self.values.get("counts", {}).items()]

    @property
    def has_road(self) -> bool:
        """Whether a road is there."""
        return bool(self.values.get("has_road"))

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known."""
        return not (self.shares or self.counts or self.has_road)

    def digits(self, some: str = "several", *, road: bool = True) -> list[str]:
        """Return "3 cars", "several ships", "a road"."""
        said = [
            f"{some} {plural}" if n is None else f"{n} {one if n == 1 else plural}" for n, one, plural in self.counts
        ]
        return said + (["a road"] if road and self.has_road else [])

    def words(self, some: str = "some", *, road: bool = True) -> list[str]:
        """Return "three cars", "a ship", "some houses"."""
        said = []
        for n, one, plural in self.counts:
            if n is None:
                said.append(f"{some} {plural}")
            elif n == 1:
                said.append(f"{'an' if one[0] in 'aeiou' else 'a'} {one}")
            else:
                said.append(f"{WORDS[n] if n < len(WORDS) else n} {plural}")
        return said + (["a road"] if road and self.has_road else [])


def listed(items: Sequence[str], last: str = " and ") -> str:
    """Return "a, b and c"."""
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + last + items[-1]


def upper(text: str) -> str:
    """Return the text with a capital."""
    return text[0].upper() + text[1:]


class Style:
    """Plain: one sentence on land use, one on objects."""

    def whole(self, place: Place, extent: tuple[str, str] | None, rng: random.Random) -> str:
        """Return the overall description."""
        del rng
        said = [f"This aerial view covers roughly {extent[0]} m by {extent[1]} m." if extent else "An aerial view."]
        if place.shares:
            said.append("The main land uses are " + listed([f"{n} (about {p} %)" for n, p in place.shares]) + ".")
        if place.counts:
            said.append(f"There are {listed(place.digits(road=False))} in the image.")
        if place.has_road:
            said.append("Roads run through the area.")
        return " ".join(said)

    def part(self, name: str, place: Place, rng: random.Random) -> str:
        """Return the description of a place that is called `name`, e.g. "the top left part"."""
        del rng
        said = []
        if place.shares:
            said.append(f"{upper(name)} is covered by " + listed([f"{n} (about {p} %)" for n, p in place.shares]) + ".")
        if items := place.digits():
            said.append(f"It contains {listed(items)}." if said else f"{upper(name)} contains {listed(items)}.")
        return " ".join(said)

    def empty(self, name: str) -> str:
        """Return what is said of a part without a label."""
        return f"{upper(name)} is part of the scene."


class Flowing(Style):
    """One long sentence per place."""

    def whole(self, place: Place, extent: tuple[str, str] | None, rng: random.Random) -> str:
        said = [f"Seen from above, the scene spans about {extent[0]} m by {extent[1]} m." if extent else ""]
        if place.shares:
            first, *rest = place.shares
            more = f", followed by {listed([f'{n} ({p} %)' for n, p in rest])}" if rest else ""
            said.append(f"The largest land use is {first[0]}, at about {first[1]} % of the area{more}.")
        if place.counts:
            said.append(f"{upper(listed(place.words(road=False)))} can be seen.")
        if place.has_road:
            said.append("The area is crossed by roads.")
        return " ".join(said).strip()

    def part(self, name: str, place: Place, rng: random.Random) -> str:
        said = []
        if place.shares:
            first, *rest = place.shares
            more = f", with {listed([f'{n} ({p} %)' for n, p in rest])}" if rest else ""
            said.append(f"About {first[1]} % of {name} is {first[0]}{more}.")
        if items := place.words():
            there = "there" if said else f"in {name}"
            said.append(f"{upper(listed(items))} {'are' if len(items) > 1 else 'is'} visible {there}.")
        return " ".join(said)

    def empty(self, name: str) -> str:
        return f"{upper(name)} lies within the same scene."


class Inventory(Style):
    """Counts first, land use after."""

    def whole(self, place: Place, extent: tuple[str, str] | None, rng: random.Random) -> str:
        said = ["The image shows an area from above."]
        if extent:
            said = [f"The image shows an area of {extent[0]} m × {extent[1]} m from above."]
        if place.counts:
            said.append(f"It includes {listed(place.digits('a number of', road=False), ', and ')}.")
        for noun, percent in place.shares:
            said.append(f"{upper(noun)} accounts for {percent} % of the land.")
        if place.has_road:
            said.append("There are roads in the area.")
        return " ".join(said)

    def part(self, name: str, place: Place, rng: random.Random) -> str:
        said = []
        if items := place.digits("a number of"):
            said.append(
                f"In {name} there are {listed(items, ', and ')}."
                if len(items) > 1
                else f"In {name} one sees {items[0]}."
            )
        if place.shares:
            covered = listed([f"{n} covers {p} %" for n, p in place.shares])
            said.append(f"{upper(covered)} of {name}.")
        return " ".join(said)

    def empty(self, name: str) -> str:
        return f"{upper(name)} completes the picture."


class Mostly(Style):
    """Says what a place mostly is."""

    def whole(self, place: Place, extent: tuple[str, str] | None, rng: random.Random) -> str:
        said = [
            f"Overall, the image depicts an area about {extent[0]} m wide and {extent[1]} m high."
            if extent
            else "An overhead image."
        ]
        if place.shares:
            said.append(f"It features {listed([f'{n} ({p}%)' for n, p in place.shares])}.")
        if place.counts:
            said.append(
                f"A total of {listed(place.digits(road=False))} {'are' if len(place.counts) > 1 or place.counts[0][0] != 1 else 'is'} present."
            )
        if place.has_road:
            said.append("Roads cross the area.")
        return " ".join(said)

    def part(self, name: str, place: Place, rng: random.Random) -> str:
        said = []
        if place.shares:
            first, *rest = place.shares
            if first[1] >= 60:
                said.append(
                    f"{upper(name)} is dominated by {first[0]}"
                    + (f", alongside {listed([n for n, _ in rest])}." if rest else ".")
                )
            else:
                said.append(f"{upper(name)} has a mix of {listed([n for n, _ in place.shares])}.")
        if items := place.words("multiple"):
            said.append(
                f"{upper(listed(items))} {'are' if len(items) > 1 else 'is'} found here."
                if said
                else f"{upper(name)} features {listed(items)}."
            )
        return " ".join(said)


class Terse(Style):
    """Notes rather than prose."""

    def whole(self, place: Place, extent: tuple[str, str] | None, rng: random.Random) -> str:
        said = [f"Area of about {extent[0]} m by {extent[1]} m seen from above." if extent else "Area seen from above."]
        if place.shares:
            said.append(f"Land use: {listed([f'{n} {p} %' for n, p in place.shares])}.")
        if place.counts:
            said.append(f"Objects: {listed(place.digits(road=False))}.")
        if place.has_road:
            said.append("Roads are present.")
        return " ".join(said)

    def part(self, name: str, place: Place, rng: random.Random) -> str:
        items = [f"{n} (about {p} %)" for n, p in place.shares] + place.digits()
        return f"{upper(name)}: {listed(items)}."


class Guide(Style):
    """As one who leads the reader's eye."""

    def whole(self, place: Place, extent: tuple[str, str] | None, rng: random.Random) -> str:
        said = [
            f"This overhead image shows an area measuring approximately {extent[0]} by {extent[1]} metres."
            if extent
            else "This is an overhead image."
        ]
        if place.shares:
            said.append(
                f"Among the land covers, {listed([n for n, _ in place.shares])} take up {listed([f'{p} %' for _, p in place.shares])} respectively."
                if len(place.shares) > 1
                else f"{upper(place.shares[0][0])} takes up {place.shares[0][1]} %."
            )
        if place.counts:
            said.append(f"Altogether, {listed(place.words(road=False))} can be counted.")
        if place.has_road:
            said.append("Roads pass through the scene.")
        return " ".join(said)

    def part(self, name: str, place: Place, rng: random.Random) -> str:
        said = []
        if place.shares:
            said.append(f"Looking at {name}, we find {listed([f'{n} at {p} %' for n, p in place.shares])}.")
        if items := place.words():
            said.append(
                f"There {'are' if len(items) > 1 else 'is'} also {listed(items)}."
                if said
                else f"Looking at {name}, we find {listed(items)}."
            )
        return " ".join(said)


class Split(Style):
    """A clause for land use and one for objects, in one sentence."""

    def whole(self, place: Place, extent: tuple[str, str] | None, rng: random.Random) -> str:
        said = [
            f"The image covers an area of about {extent[0]} m by {extent[1]} m." if extent else "A view from above."
        ]
        if place.shares:
            said.append(f"{upper(listed([f'{n} covers about {p} %' for n, p in place.shares]))} of the area.")
        if place.counts:
            said.append(
                f"The scene contains {listed(place.words(road=False))}{', and roads run through it' if place.has_road else ''}."
            )
        return " ".join(said)

    def part(self, name: str, place: Place, rng: random.Random) -> str:
        items = place.digits("some")
        if place.shares and items:
            return f"{upper(name)} shows {listed([f'{n} (about {p} %)' for n, p in place.shares])}, and {listed(items)} {'are' if len(items) > 1 else 'is'} visible."
        if place.shares:
            return f"{upper(name)} shows {listed([f'{n} (about {p} %)' for n, p in place.shares])}."
        return f"{upper(listed(items))} {'are' if len(items) > 1 else 'is'} visible in {name}."


class Percent(Style):
    """Percentages first."""

    def whole(self, place: Place, extent: tuple[str, str] | None, rng: random.Random) -> str:
        said = [
            f"The image depicts a place of about {extent[0]} m by {extent[1]} m." if extent else "A place from above."
        ]
        for noun, percent in place.shares:
            said.append(f"Around {percent} % of the area is {noun}.")
        for count, one, plural in place.counts:
            said.append(
                f"There {'is' if count == 1 else 'are'} {count if count else 'several'} {one if count == 1 else plural}."
            )
        if place.has_road:
            said.append("The area also has roads.")
        return " ".join(said)

    def part(self, name: str, place: Place, rng: random.Random) -> str:
        said = [f"{upper(name)} is {listed([f'about {p} % {n}' for n, p in place.shares])}."] if place.shares else []
        if items := place.digits():
            said.append(f"It holds {listed(items)}." if said else f"{upper(name)} holds {listed(items)}.")
        return " ".join(said)


class Report(Style):
    """As a survey's report has it. Held out."""

    def whole(self, place: Place, extent: tuple[str, str] | None, rng: random.Random) -> str:
        said = [
            f"The tile represents about {extent[0]} m by {extent[1]} m on the ground."
            if extent
            else "The tile is a view of the ground."
        ]
        if place.shares:
            said.append(f"Land use consists mainly of {listed([f'{n} ({p} %)' for n, p in place.shares])}.")
        if place.counts:
            said.append(f"The following objects are visible: {listed(place.digits(road=False))}.")
        if place.has_road:
            said.append("Roads are visible as well.")
        return " ".join(said)

    def part(self, name: str, place: Place, rng: random.Random) -> str:
        said = []
        if place.shares:
            said.append(
                f"Within {name}, {place.shares[0][0]} occupies about {place.shares[0][1]} %"
                + (f" and {listed([f'{n} about {p} %' for n, p in place.shares[1:]])}." if place.shares[1:] else ".")
            )
        if items := place.digits():
            said.append(
                f"{upper(listed(items))} {'are' if len(items) > 1 else 'is'} also present."
                if said
                else f"Within {name}, {listed(items)} {'are' if len(items) > 1 else 'is'} present."
            )
        return " ".join(said)


class Narrative(Style):
    """In full sentences with changing verbs. Held out."""

    def whole(self, place: Place, extent: tuple[str, str] | None, rng: random.Random) -> str:
        said = [
            f"Viewed from above, this area stretches about {extent[0]} m by {extent[1]} m."
            if extent
            else "Viewed from above, this is one area."
        ]
        for noun, percent in place.shares:
            said.append(
                rng.choice(
                    (
                        f"{upper(noun)} makes up about {percent} % of the land.",
                        f"About {percent} % is occupied by {noun}.",
                        f"Roughly {percent} % of it consists of {noun}.",
                    )
                )
            )
        if place.counts:
            said.append(f"One can spot {listed(place.words(road=False))}.")
        if place.has_road:
            said.append("The area is served by roads.")
        return " ".join(said)

    def part(self, name: str, place: Place, rng: random.Random) -> str:
        said = []
        for index, (noun, percent) in enumerate(place.shares):
            said.append(f"{upper(noun)} takes up about {percent} % of {name if not index else 'this part'}.")
        if items := place.words("a few" if rng.random() < 0.2 else "several"):
            said.append(
                f"{upper(listed(items))} appear{'' if len(items) > 1 else 's'} {'here' if said else f'in {name}'}."
            )
        return " ".join(said)


class Compact(Style):
    """Everything of a place in one list. Held out."""

    def whole(self, place: Place, extent: tuple[str, str] | None, rng: random.Random) -> str:
        items = (
            [f"{n} (about {p} %)" for n, p in place.shares]
            + place.digits(road=False)
            + (["roads"] if place.has_road else [])
        )
        size = f", about {extent[0]} m by {extent[1]} m in size," if extent else ""
        return f"The scene{size} includes {listed(items)}."

    def part(self, name: str, place: Place, rng: random.Random) -> str:
        items = [f"about {p} % {n}" for n, p in place.shares] + place.digits()
        return f"{upper(name)} contains {listed(items, ' as well as ')}."


class Formal(Style):
    """With many hedges. Held out."""

    def whole(self, place: Place, extent: tuple[str, str] | None, rng: random.Random) -> str:
        said = [
            f"The image provides an overhead view of an area of approximately {extent[0]} m by {extent[1]} m."
            if extent
            else "The image provides an overhead view."
        ]
        if place.shares:
            said.append(f"Approximately {listed([f'{p} % of the surface is {n}' for n, p in place.shares])}.")
        if place.counts:
            said.append(
                f"{upper(listed(place.digits(road=False)))} {'are' if len(place.counts) > 1 or place.counts[0][0] != 1 else 'is'} located within the area."
            )
        if place.has_road:
            said.append("Roads can also be observed.")
        return " ".join(said)

    def part(self, name: str, place: Place, rng: random.Random) -> str:
        said = []
        if place.shares:
            said.append(
                f"In {name}, the land is covered by {listed([f'{n} (approximately {p} %)' for n, p in place.shares])}."
            )
        if items := place.digits():
            said.append(
                f"Additionally, {listed(items)} can be observed."
                if said
                else f"In {name}, {listed(items)} can be observed."
            )
        return " ".join(said)


STYLES: Mapping[str, Style] = {
    style.__class__.__name__.lower(): style
    for style in (
        Style(),
        Flowing(),
        Inventory(),
        Mostly(),
        Terse(),
        Guide(),
        Split(),
        Percent(),
        Report(),
        Narrative(),
        Compact(),
        Formal(),
    )
}
HELD_OUT_STYLES = frozenset({"report", "narrative", "compact", "formal"})


def region_draft(item: QuestionItem, style: Style, rng: random.Random) -> str:
    """Return a true caption of a circle."""
    place = Place(item.evidence.values, item.knowledge.nouns)
    return style.part(rng.choice(("the area inside circle {}", "circle {}")).format(item.region_number), place, rng)


def caption_draft(item: QuestionItem, style: Style, rng: random.Random) -> dict[str, Any]:
    """Return a true detailed caption: overall, parts, inference."""
    values, nouns = item.evidence.values, item.knowledge.nouns
    parts = []
    for name in PART_NAMES:
        place, called = Place(values["parts"][name.replace(" ", "_")], nouns), f"the {name} part"
        parts.append(style.empty(called) if place.is_empty else style.part(called, place, rng))
    inference = item.answer.rpartition("\n")[2]
    return {
        "overall": style.whole(Place(values["overall"], nouns), _extent(values["overall"].get("size_m", ())), rng),
        "parts": parts,
        "inference": inference,
    }


def _extent(size_m: Sequence[float]) -> tuple[str, str] | None:
    """Return the sides with two digits."""
    width, height = (f"{float(f'{side:.2g}'):,.0f}" for side in size_m) if size_m else ("", "")
    return (width, height) if width else None
