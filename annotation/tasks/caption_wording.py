"""The sentences of captions: from what lies in a region to words, in several ways of building a sentence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from rsvqa.annotation.facts import Circle, ClassInfo, Role, TileObject
from rsvqa.annotation.layout.arrangement import form_a_grid, neighbours, place_of
from rsvqa.annotation.layout.parts import PARTS
from rsvqa.annotation.questions import REGION_SLOT
from rsvqa.annotation.tasks.caption_content import RegionContent
from rsvqa.annotation.tasks.class_names import is_plural
from rsvqa.annotation.tasks.image_scale import area_text, length_text
from rsvqa.annotation.tasks.land_cover import cover_of
from rsvqa.annotation.tasks.landmarks import road_landmarks
from rsvqa.annotation.tasks.registry import TaskContext

ENTIRE_SHARE = 0.995
REST_SHARE = 0.97
ALL_SHARE = 0.9
MAIN_SHARE = 0.6
HALF_SHARE = 0.52
"""Ground with these shares is all of a region; all but what nobody misses; all but a little; most; more than half."""

NO_HALF_SHARE = 0.48
MOSTLY_NAMED_SHARE = 0.6
"""Below the first no ground is taken for half of the scene; what covers the second together is most of its ground."""

DIVIDED_SHARE = 0.9
"""A region is divided between what covers this share of it together."""

PLACED_SHARE = 0.08
MAX_PLACED = 2
"""Of ground with this share of the tile the caption says where it lies, for so many classes."""

BORDER_SHARES = (0.03, 0.4)
"""Of ground between these shares the caption says what borders on it."""

ALONG_M = (20, 30, 50)
MIN_ALONG = 5
"""So many objects that all stand within one of these distances of a road stand along the roads."""


class CaptionWriter:
    """Writes the sentences of one caption."""

    def __init__(self, context: TaskContext) -> None:
        self._context = context
        self._facts = context.facts
        self._phrases = context.phrases
        self._rng = context.rng

    def overall(self, whole: RegionContent) -> str:
        """Return the sentences about the whole tile."""
        sentences = [self._extent(), *self._main_ground(whole), *self._lying(whole), *self._relations(whole)]
        sentences += self._objects(whole, "detailed_captioning.objects", "")
        sentences += [*self._along(whole), *self._roads()]
        if not any(sentences):
            sentences = [self._about(whole, self._phrases.text("detailed_captioning.whole"))]
        return " ".join(filter(None, sentences))

    def parts(self, parts: Mapping[str, RegionContent]) -> str:
        """Return sentences about the parts of a tile, in their order; `parts` holds those with labels."""
        said, last = [], ""
        for name, content in parts.items():
            place = self._phrases.text("detailed_captioning.part", part=self._phrases.text(f"part.{name}"))
            said.append(self._about(content, place, again=last))
            main = next(iter(content.shares), "")
            last = main if content.shares.get(main, 0.0) >= ALL_SHARE else ""
        return " ".join(said)

    def region(self, content: RegionContent, circle: Circle) -> str:
        """Return sentences about a circle; its number is not known yet."""
        place = self._phrases.text("regional_captioning.place", region=REGION_SLOT)
        about = self._about(content, place)
        gsd_m = self._facts.gsd_m
        if gsd_m is None:
            return about
        width = circle.radius * (gsd_m.x_m + gsd_m.y_m)
        area = area_text(math.pi * circle.radius**2 * gsd_m.x_m * gsd_m.y_m)
        return f"{about} {self._pick('regional_captioning.size', place='it', width=length_text(width), area=area)}"

    def sentence(self, key: str, **values: object) -> str:
        """Return one of the sentences under a key, filled in, with a capital."""
        return self._pick(key, **values)

    def joined(self, items: Sequence[str]) -> str:
        """Return "a", "a and b", or "a, b and c"; "" for nothing."""
        if len(items) < 2:
            return "".join(items)
        first = self._phrases.text("caption.comma").join(items[:-1])
        return self._phrases.text("caption.last", first=first, last=items[-1])

    def amount(self, share: float, *, is_exact: bool = True) -> str:
        """Return "about 62 %", or "at least 62 %" where it may be more."""
        percent = round(100 * share) if is_exact else math.floor(100 * share)
        return self._phrases.text(f"caption.{'about' if is_exact else 'least'}", percent=percent)

    def bare(self, name: str, content: RegionContent) -> str:
        """Return the noun of some ground in the number that it has in a region, without article."""
        info = self._facts.classes[name]
        return info.singular if name in content.single else info.plural

    def _objects(self, content: RegionContent, key: str, place: str) -> Iterator[str]:
        """Yield sentences about the objects: "Three ships lie on the water." of each ground, and one of the others."""
        by_ground: dict[str, list[str]] = {}
        for name in content.counts:
            by_ground.setdefault(self._within(content, name), []).append(name)
        covering = [name for name in content.covering if name not in content.counts]
        others = by_ground.pop("", [])
        if said := [*(self._counted(content, name, content.counts[name]) for name in others), *covering]:
            said[len(others) :] = [self._covering(content, name, self._facts.classes[name].plural) for name in covering]
            many = not others or content.counts[others[0]] != 1
            yield self._pick(key, place=place, objects=self.joined(said), **self._verbs(many=many))
        for ground, names in by_ground.items():
            said = [self._counted(content, name, content.counts[name]) for name in names]
            yield self._pick("caption.standing", ground=ground, objects=self.joined(said), **self._verbs(many=True))

    def _pick(self, key: str, **values: object) -> str:
        texts = [text.format(**values) for text in self._phrases.alternatives(key)]
        # A sentence does not begin with a numeral where another order of its words can be had.
        text = self._rng.choice([text for text in texts if not text[0].isdigit()] or texts)
        return text[0].upper() + text[1:]

    def _verbs(self, *, many: bool) -> dict[str, str]:
        """Return every verb of the wording in the form that a noun needs."""
        verbs = self._phrases.table("caption")["verb"]
        return {name: forms[many] for name, forms in verbs.items()}

    def _is_many(self, name: str, content: RegionContent) -> bool:
        """Return whether the noun of some ground takes a verb in the plural."""
        info = self._facts.classes[name]
        if info.singular == info.plural:
            return is_plural(info.plural)
        return name not in content.single

    def _noun(self, name: str, content: RegionContent) -> str:
        """Return the noun of some ground as it is first spoken of: "forest", "an orchard", "car parks"."""
        info, noun = self._facts.classes[name], self.bare(name, content)
        if info.singular == info.plural or name not in content.single:
            return noun
        # A letter is not a sound, but no class of the presets begins with "hour" or "uni".
        return self._phrases.text(f"caption.{'an' if noun[0].lower() in 'aeiou' else 'a'}", noun=noun)

    def _uses(self, content: RegionContent) -> list[str]:
        said: list[str] = []
        for name, share in content.shares.items():
            key, percent = "share_also" if said else "share", round(100 * share)
            if not content.is_exact[name]:
                key, percent = "share_least", math.floor(100 * share)
            said.append(self._phrases.text(f"caption.{key}", noun=self._noun(name, content), percent=percent))
        return said

    def _counted(self, content: RegionContent, name: str, count: int | None) -> str:
        info = self._facts.classes[name]
        if count is None:
            said = info.plural
        else:
            words = self._phrases.alternatives("caption.numbers")
            rows = self._phrases.text(f"caption.rows.{content.rows.get(name, 'none')}")
            noun = info.singular if count == 1 else info.plural
            number = words[count - 1] if count <= len(words) else count
            said = self._phrases.text("caption.count", count=number, noun=noun, rows=rows)
        return self._covering(content, name, said) if name in content.covering else said

    def _within(self, content: RegionContent, name: str) -> str:
        """Return "in the car park" where all objects of a class are in one, "on the water", or nothing."""
        ground = content.within.get(name)
        if ground is None or self._facts.classes[name].kind in ("building", "tree"):
            return ""
        key = self._facts.classes[ground].kind
        known = self._phrases.table("caption")["within"]
        return self._phrases.text(f"caption.within.{key}", noun=self.bare(ground, content)) if key in known else ""

    def _covering(self, content: RegionContent, name: str, objects: str) -> str:
        share = content.covering[name]
        key, percent = "covering", round(100 * share)
        if not content.is_exact[name]:
            key, percent = "covering_least", math.floor(100 * share)
        return self._phrases.text(f"caption.{key}", objects=objects, percent=percent)

    # --- the whole tile ---------------------------------------------------------------------------------------------

    def _extent(self) -> str:
        facts = self._facts
        if facts.gsd_m is None:
            return ""
        width_m, height_m = facts.width * facts.gsd_m.x_m, facts.height * facts.gsd_m.y_m
        return self._pick(
            "detailed_captioning.extent",
            width=length_text(width_m),
            height=length_text(height_m),
            area=area_text(width_m * height_m),
        )

    def _main_ground(self, whole: RegionContent) -> Iterator[str]:
        """Yield what covers most of the ground."""
        if not whole.shares:
            return
        uses, shares = self._uses(whole), list(whole.shares.values())
        main = next(iter(whole.shares))
        if shares[0] >= HALF_SHARE:
            verbs = self._verbs(many=self._is_many(main, whole))
            yield self._pick("detailed_captioning.dominant", item=uses[0], rest=self._rest(whole, uses[1:]), **verbs)
        elif whole.labelled_share >= DIVIDED_SHARE and len(uses) > 1 and shares[0] <= NO_HALF_SHARE:
            key = "shared" if sum(shares) >= MOSTLY_NAMED_SHARE else "listed"
            yield self._pick(f"detailed_captioning.{key}", uses=self.joined(uses))
        else:
            yield self._pick("detailed_captioning.listed", uses=self.joined(uses))

    def _lying(self, whole: RegionContent) -> Iterator[str]:
        """Yield where the main ground lies, for ground that lies in one half or part, or everywhere."""
        placed = 0
        for name, share in whole.shares.items():
            place = place_of(cover_of(self._context, name), self._facts) if share >= PLACED_SHARE else None
            is_road = self._facts.classes[name].kind == "road"
            if place is None or placed == MAX_PLACED or is_road or not whole.is_exact[name]:
                continue
            placed += 1
            part = self._phrases.text(f"part.{place}") if place in PARTS else ""
            yield self._pick(
                f"caption.lying.{'part' if part else place}",
                the_class=self._phrases.text("caption.the", noun=self.bare(name, whole)),
                a_class=self._noun(name, whole),
                part=part,
                **self._verbs(many=self._is_many(name, whole)),
            )

    def _relations(self, whole: RegionContent) -> Iterator[str]:
        """Yield what surrounds or borders on the first ground of which that is sure."""
        if len(whole.shares) < 2 or not all(whole.is_exact.values()) or whole.labelled_share < DIVIDED_SHARE:
            return
        low, high = BORDER_SHARES
        roads = [name for name in whole.shares if self._facts.classes[name].kind == "road"]
        for name, share in whole.shares.items():
            if not low <= share <= high or name in roads:
                continue
            others = {other: cover_of(self._context, other) for other in whole.shares if other not in (name, *roads)}
            found = neighbours(cover_of(self._context, name), others, self._facts)
            if found.names:
                the = [self._phrases.text("caption.the", noun=self.bare(other, whole)) for other in found.names]
                many = self._is_many(name, whole)
                yield self._pick(
                    f"caption.relation.{'around' if found.is_around else 'borders'}",
                    noun=self._phrases.text("caption.the", noun=self.bare(name, whole)),
                    others=self.joined(the),
                    **(self._verbs(many=many) | {"lie": self._verbs(many=self._are_many(found.names, whole))["lie"]}),
                )
                return

    def _are_many(self, names: Sequence[str], content: RegionContent) -> bool:
        return len(names) > 1 or self._is_many(names[0], content)

    def _along(self, whole: RegionContent) -> Iterator[str]:
        """Yield a sentence about the buildings that all stand beside a road."""
        roads = road_landmarks(self._context)
        if not roads or self._facts.gsd_m is None:
            return
        for name, count in whole.counts.items():
            info = self._facts.classes[name]
            if count is None or count < MIN_ALONG or info.kind != "building":
                continue
            farthest = float(roads[0].distances(self._members(info)).max())
            metres = next((limit for limit in ALONG_M if farthest <= 0.9 * limit), None)
            if metres is not None:
                yield self._pick("caption.relation.along", noun=info.plural, metres=metres)
                return

    def _members(self, info: ClassInfo) -> list[TileObject]:
        return [item for item in self._facts.objects if item.class_name == info.name]

    def _roads(self) -> Iterator[str]:
        """Yield how much road there is, and whether it forms a grid, where all of it is labelled."""
        facts = self._facts
        if not facts.roads:
            return
        is_known = {info.name for info in facts.classes.values() if info.role is Role.ROAD} <= facts.complete_classes
        if is_known and form_a_grid(facts.roads):
            yield self._pick("caption.roads.grid")
        if is_known and facts.gsd_m is not None:
            mean_m = (facts.gsd_m.x_m + facts.gsd_m.y_m) / 2
            length_m = sum(road.geometry.length for road in facts.roads) * mean_m
            yield self._pick("caption.roads.length", length=length_text(length_m))
        else:
            yield self._pick("caption.roads.some")

    # --- a part or a circle -----------------------------------------------------------------------------------------

    def _about(self, content: RegionContent, place: str, *, again: str = "") -> str:
        """Return the sentences about a part or a circle: ground and objects in either order, then a road."""
        it = self._phrases.text("caption.it")
        has_objects = bool(content.counts or content.covering)
        steps = [step for step, is_there in (("ground", content.shares), ("objects", has_objects)) if is_there]
        # "It" after a sentence about a car park would be the car park.
        stands = any(self._within(content, name) for name in content.counts)
        if len(steps) == 2 and self._rng.random() < 1 / 3 and not stands:
            steps.reverse()
        said: list[str] = []
        for step in steps:
            where = it if said else place
            if step == "ground":
                said.append(self._ground(content, where, again=again if not said else ""))
            else:
                said += self._objects(content, "caption.objects", where)
        has_road_ground = any(self._facts.classes[name].kind == "road" for name in content.shares)
        if content.road and not has_road_ground:
            said.append(self._pick(f"caption.{content.road}", place=it if said and not stands else place))
        return " ".join(said)

    def _ground(self, content: RegionContent, place: str, *, again: str) -> str:
        uses, shares = self._uses(content), list(content.shares.values())
        main = next(iter(content.shares))
        verbs = self._verbs(many=self._is_many(main, content))
        if shares[0] >= ENTIRE_SHARE and content.is_exact[main]:
            return self._pick("caption.entire", place=place, item=self._noun(main, content), **verbs)
        if shares[0] >= MAIN_SHARE:
            key = "mostly" if shares[0] < ALL_SHARE else "all_again" if again == main else "all"
            return self._pick(f"caption.{key}", place=place, item=uses[0], rest=self._rest(content, uses[1:]), **verbs)
        key = "divided" if len(uses) > 1 and sum(shares) >= DIVIDED_SHARE else "land_use"
        many = len(uses) > 1 or self._is_many(main, content)
        return self._pick(f"caption.{key}", place=place, uses=self.joined(uses), **self._verbs(many=many))

    def _rest(self, content: RegionContent, uses: Sequence[str]) -> str:
        """Return what else covers the ground: ", the rest being water (9 %)" where that is all, ", beside …", or ""."""
        is_all = sum(content.shares.values()) >= REST_SHARE and all(content.is_exact.values())
        return self._phrases.text(f"caption.{'rest' if is_all else 'beside'}", rest=self.joined(uses)) if uses else ""
