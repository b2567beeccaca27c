"""The sentences of captions: from what lies in a region to words, in several ways of building a sentence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from rsvqa.annotation.facts import Circle
from rsvqa.annotation.layout.parts import PARTS
from rsvqa.annotation.questions import REGION_SLOT
from rsvqa.annotation.tasks.caption_content import DIVIDED_SHARE, CaptionLayout, RegionContent
from rsvqa.annotation.tasks.class_names import is_plural
from rsvqa.annotation.tasks.image_scale import area_text, length_text
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

WHOLE_PERCENT = 99.5
"""From this percentage on a share rounds to 100; below what it leaves to 100, to 0."""

WHOLE_SHARE = 0.9999
"""All but what rounding of areas may leave out."""


class CaptionWriter:
    """Writes the sentences of one caption."""

    def __init__(self, context: TaskContext) -> None:
        self._context = context
        self._facts = context.facts
        self._phrases = context.phrases
        self._rng = context.rng

    def overall(self, whole: RegionContent, layout: CaptionLayout) -> str:
        """Return the sentences about the whole tile."""
        place = self._phrases.text("detailed_captioning.whole")
        sentences = [self._extent(), *self._main_ground(whole, place)]
        sentences += [*self._lying(whole, layout), *self._relations(whole, layout)]
        sentences += self._objects(whole, place, place)
        sentences += [*self._along(layout), *self._roads(layout)]
        return " ".join(filter(None, sentences))

    def parts(self, parts: Mapping[str, RegionContent]) -> str:
        """Return sentences about the parts of a tile, in their order; `parts` holds those with labels."""
        said, last = [], ""
        for name, content in parts.items():
            place = self._phrases.text("detailed_captioning.part", part=self._phrases.text(f"part.{name}"))
            said.append(self._about(content, place, self._phrases.text("detailed_captioning.this"), again=last))
            main = next(iter(content.shares), "")
            last = main if content.shares.get(main, 0.0) >= ALL_SHARE else ""
        return " ".join(said)

    def region(self, content: RegionContent, circle: Circle) -> str:
        """Return sentences about a circle; its number is not known yet."""
        place = self._phrases.text("regional_captioning.place", region=REGION_SLOT)
        again = self._phrases.text("regional_captioning.this")
        about = self._about(content, place, again)
        gsd_m = self._facts.gsd_m
        if gsd_m is None:
            return about
        width = length_text(circle.radius * (gsd_m.x_m + gsd_m.y_m))
        area = area_text(math.pi * circle.radius**2 * gsd_m.x_m * gsd_m.y_m)
        return f"{about} {self._pick('regional_captioning.size', place=again, width=width, area=area)}"

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
        """Return "about 62 %", or "at least 62 %" where it may be more; in words where it rounds to all or nothing."""
        if 100 * share >= WHOLE_PERCENT:
            return self._phrases.text(f"caption.amount.{'all' if share >= WHOLE_SHARE else 'nearly_all'}")
        if is_exact and 100 * share < 100 - WHOLE_PERCENT:
            return self._phrases.text("caption.amount.little")
        return self._percent("caption.amount", share, is_exact=is_exact)

    def _percent(self, key: str, share: float, *, is_exact: bool, **values: object) -> str:
        """Return a share in whole percent, or the least that it can be where it may be more or rounds to all."""
        is_rounded = is_exact and 100 * share < WHOLE_PERCENT
        percent = round(100 * share) if is_rounded else min(99, math.floor(100 * share))
        return self._phrases.text(f"{key}.{'about' if is_rounded else 'least'}", percent=percent, **values)

    def bare(self, name: str, content: RegionContent) -> str:
        """Return the noun of some ground in the number that it has in a region, without article."""
        info = self._facts.classes[name]
        return info.singular if name in content.single else info.plural

    def _objects(self, content: RegionContent, place: str, this: str) -> Iterator[str]:
        """Yield sentences about the objects: "Three ships are on the water." of each ground, and one of the others."""
        by_ground: dict[str, list[str]] = {}
        for name in content.counts:
            by_ground.setdefault(self._within(content, name), []).append(name)
        if others := by_ground.pop("", []):
            said = self.joined([self._counted(content, name, content.counts[name]) for name in others])
            yield self._pick(
                "caption.objects", place=place, objects=said, **self._verbs(many=content.counts[others[0]] != 1)
            )
            place = this
        for name in content.covering:
            if name not in content.counts:
                yield self._covering(content, name, place)
                place = this
        for ground, names in by_ground.items():
            said = self.joined([self._counted(content, name, content.counts[name]) for name in names])
            yield self._pick("caption.standing", ground=ground, objects=said)

    def _covering(self, content: RegionContent, name: str, place: str) -> str:
        """Return "Buildings cover about 32 % of the top left part.", or "Part of a building covers …" of a cut one."""
        info, is_one = self._facts.classes[name], name in content.cut
        one = self._phrases.text("caption.part_of", noun=self._with_article(info.singular))
        return self._pick(
            "caption.covering",
            place=place,
            objects=one if is_one else info.plural,
            amount=self.amount(content.covering[name], is_exact=content.is_exact[name]),
            **self._verbs(many=not is_one),
        )

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
        return self._with_article(noun)

    def _with_article(self, noun: str) -> str:
        # A letter is not a sound, but no class of the presets begins with "hour" or "uni".
        return self._phrases.text(f"caption.{'an' if noun[0].lower() in 'aeiou' else 'a'}", noun=noun)

    def _uses(self, content: RegionContent) -> list[str]:
        said: list[str] = []
        for name, share in content.shares.items():
            key = "caption.share_also" if said else "caption.share"
            noun = self._noun(name, content)
            said.append(self._percent(key, share, is_exact=content.is_exact[name], noun=noun))
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
        if name not in content.covering:
            return said
        return self._percent("caption.covered", content.covering[name], is_exact=content.is_exact[name], objects=said)

    def _within(self, content: RegionContent, name: str) -> str:
        """Return "in the car park" where all objects of a class are in one, "on the water", or nothing."""
        ground = content.within.get(name)
        if ground is None or self._facts.classes[name].kind in ("building", "tree"):
            return ""
        key = self._facts.classes[ground].kind
        known = self._phrases.table("caption")["within"]
        return self._phrases.text(f"caption.within.{key}", noun=self.bare(ground, content)) if key in known else ""

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

    def _main_ground(self, whole: RegionContent, place: str) -> Iterator[str]:
        """Yield what covers most of the ground."""
        if not whole.shares:
            return
        uses, shares = self._uses(whole), list(whole.shares.values())
        main = next(iter(whole.shares))
        verbs = self._verbs(many=len(uses) > 1 or self._is_many(main, whole))
        if shares[0] >= ENTIRE_SHARE and whole.is_exact[main]:
            yield self._ground(whole, place, again="")
        elif shares[0] >= HALF_SHARE:
            verbs = self._verbs(many=self._is_many(main, whole))
            yield self._pick("detailed_captioning.dominant", item=uses[0], rest=self._rest(whole, uses[1:]), **verbs)
        elif whole.labelled_share >= DIVIDED_SHARE and len(uses) > 1 and shares[0] <= NO_HALF_SHARE:
            key = "shared" if sum(shares) >= MOSTLY_NAMED_SHARE else "listed"
            yield self._pick(f"detailed_captioning.{key}", uses=self.joined(uses), **verbs)
        else:
            yield self._pick("detailed_captioning.listed", uses=self.joined(uses), **verbs)

    def _lying(self, whole: RegionContent, layout: CaptionLayout) -> Iterator[str]:
        """Yield where the main ground lies, for ground that lies in one half or part, or everywhere."""
        for name, place in layout.lying.items():
            part = self._phrases.text(f"part.{place}") if place in PARTS else ""
            yield self._pick(
                f"caption.lying.{'part' if part else place}",
                the_class=self._phrases.text("caption.the", noun=self.bare(name, whole)),
                a_class=self._noun(name, whole),
                part=part,
                **self._verbs(many=self._is_many(name, whole)),
            )

    def _relations(self, whole: RegionContent, layout: CaptionLayout) -> Iterator[str]:
        """Yield what surrounds or borders on some ground."""
        if layout.border is None:
            return
        name, others, is_around = layout.border
        are_many = len(others) > 1 or self._is_many(others[0], whole)
        yield self._pick(
            f"caption.relation.{'around' if is_around else 'borders'}",
            noun=self._phrases.text("caption.the", noun=self.bare(name, whole)),
            others=self.joined([self._phrases.text("caption.the", noun=self.bare(other, whole)) for other in others]),
            **(self._verbs(many=self._is_many(name, whole)) | {"lie": self._verbs(many=are_many)["lie"]}),
        )

    def _along(self, layout: CaptionLayout) -> Iterator[str]:
        """Yield a sentence about the buildings that all stand beside a road."""
        for name, metres in layout.along.items():
            yield self._pick("caption.relation.along", noun=self._facts.classes[name].plural, metres=metres)

    def _roads(self, layout: CaptionLayout) -> Iterator[str]:
        """Yield how much road there is, and whether it forms a grid, where all of it is labelled."""
        if layout.is_grid:
            yield self._pick("caption.roads.grid")
        if layout.road_length_m is not None:
            yield self._pick("caption.roads.length", length=length_text(layout.road_length_m))
        elif layout.has_road:
            yield self._pick("caption.roads.some")

    # --- a part or a circle -----------------------------------------------------------------------------------------

    def _about(self, content: RegionContent, place: str, this: str, *, again: str = "") -> str:
        """Return the sentences about a part or a circle: ground and objects in either order, then a road.

        Args:
            content: of it.
            place: what it is called in the first sentence.
            this: what it is called after that.
            again: the class that nearly all of the part before consists of.
        """
        has_objects = bool(content.counts or content.covering)
        steps = [step for step, is_there in (("ground", content.shares), ("objects", has_objects)) if is_there]
        # "On the road surface there are two cars." says where it is only after another sentence.
        stands = any(self._within(content, name) for name in content.counts)
        if len(steps) == 2 and self._rng.random() < 1 / 3 and not stands:
            steps.reverse()
        said: list[str] = []
        for step in steps:
            where = this if said else place
            if step == "ground":
                said.append(self._ground(content, where, again=again if not said else ""))
            else:
                said += self._objects(content, where, this)
        has_road_ground = any(self._facts.classes[name].kind == "road" for name in content.shares)
        if content.road and not has_road_ground:
            said.append(self._pick(f"caption.{content.road}", place=this if said else place))
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
