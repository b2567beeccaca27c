"""Which classes a reader would take for one another, by their display names and the class table's `broader`.

A class table knows its own hierarchy, but not that an "overpass" in it is a "bridge" too. The names below are
those that remote-sensing data sets use. A pair too many costs a wrong option; one too few makes a right answer wrong.
"""

from __future__ import annotations

from functools import lru_cache

from rsvqa.annotation.facts import ClassInfo

SAME_THING = (
    frozenset({"aircraft", "airplane", "aeroplane", "plane", "fixed-wing aircraft"}),
    frozenset({"ship", "boat", "vessel", "watercraft", "maritime vessel"}),
    frozenset({"motorboat", "yacht", "fishing boat", "fishing vessel"}),
    frozenset({"dry cargo ship", "barge", "container ship"}),
    frozenset({"car", "small car", "small vehicle", "passenger car", "passenger vehicle", "automobile"}),
    frozenset({"truck", "large vehicle", "lorry"}),
    frozenset({"bus", "large vehicle"}),
    frozenset({"van", "small vehicle"}),
    frozenset({"cargo truck", "box truck", "utility truck", "flatbed truck"}),
    frozenset({"dump truck", "haul truck"}),
    frozenset({"crane truck", "mobile crane"}),
    frozenset({"storage tank", "oil tank", "silo", "tank"}),
    frozenset({"football pitch", "football field", "soccer field", "soccer ball field"}),
    frozenset({"baseball field", "baseball diamond"}),
    frozenset({"athletics track", "running track", "ground track field", "stadium"}),
    frozenset({"football field", "soccer field", "ground track field", "stadium"}),
    frozenset({"harbour", "harbor", "port", "marina", "dock"}),
    frozenset({"car park", "parking lot", "parking area", "parking", "vehicle lot"}),
    frozenset({"forest", "wood", "woodland", "tree cover", "trees", "tree"}),
    frozenset({"grass", "grassland", "meadow", "pasture", "pastures", "rangeland", "lawn", "herbaceous vegetation"}),
    frozenset({"park", "grass", "grassland", "garden", "urban green and leisure areas"}),
    frozenset({"shrubland", "scrubland", "scrub", "rangeland", "heath"}),
    frozenset({"farmland", "cropland", "agricultural land", "agriculture", "field", "arable land"}),
    frozenset({"arable land", "complex and mixed cultivation"}),
    frozenset({"permanent crops", "orchard", "orchards at the urban fringe", "complex and mixed cultivation"}),
    frozenset({"bare land", "barren land", "barren", "bare ground", "bare soil", "desert", "wasteland"}),
    frozenset({"open land with little or no vegetation", "mines, dumps and construction sites"}),
    frozenset({"water", "lake", "river", "pond", "reservoir", "water body", "flooded area", "flooded land"}),
    frozenset({"burnt land", "burnt area", "burn scar"}),
    frozenset({"built-up area", "urban area", "urban land", "urban fabric", "artificial surfaces"}),
)
"""Display names in the singular that a person may give to one and the same thing, one set a thing."""

WIDER_TERMS = {
    "vehicle": frozenset({"car", "truck", "lorry", "bus", "van", "motorcycle", "trailer", "tractor", "excavator"}),
    "building": frozenset({"house", "warehouse", "shed", "hut or tent", "roof", "aircraft hangar", "facility"}),
    "bridge": frozenset({"overpass", "viaduct"}),
    "intersection": frozenset({"roundabout", "traffic circle"}),
    "sports ground": frozenset(
        {
            "tennis court",
            "basketball court",
            "football field",
            "soccer field",
            "baseball field",
            "baseball diamond",
            "ground track field",
            "running track",
            "golf course",
            "stadium",
        }
    ),
    "vegetation": frozenset({"forest", "tree", "grassland", "park", "farmland", "scrubland", "wetland", "grass"}),
    "urban land": frozenset({"residential area", "commercial area", "industrial area", "car park", "road surface"}),
    "urban area": frozenset({"residential area", "commercial area", "industrial area", "car park", "road surface"}),
    "built-up area": frozenset({"residential area", "commercial area", "industrial area", "car park", "road surface"}),
    "artificial surfaces": frozenset({"residential area", "commercial area", "industrial area", "road surface"}),
    "water": frozenset({"swimming pool"}),
}
"""Display names that are also true of each member of other classes, whether or not the class table says so."""


@lru_cache(maxsize=20_000)  # the pairs of a hundred classes: tiles ask for the same ones again and again
def may_mean_the_same(one: ClassInfo, other: ClassInfo) -> bool:
    """Return whether a member of one class could rightly be called by the other's name.

    True for a class and itself, for broader and narrower classes, and for names that are equal, listed as one thing, or
    differ by added words only ("vehicle", "small vehicle").
    """
    if one.name == other.name or is_counted_as(one, other) or is_counted_as(other, one):
        return True
    words, other_words = set(_shown(one).split()), set(_shown(other).split())
    return words <= other_words or other_words <= words


@lru_cache(maxsize=20_000)
def is_counted_as(narrower: ClassInfo, wider: ClassInfo) -> bool:
    """Return whether a reader who counts the members of `wider` would count those of `narrower` among them."""
    if wider.name in narrower.broader or _shown(narrower) in WIDER_TERMS.get(_shown(wider), frozenset()):
        return True
    shown = {_shown(narrower), _shown(wider)}
    return has_same_name(narrower, wider) or any(shown <= same for same in SAME_THING)


def has_same_name(one: ClassInfo, other: ClassInfo) -> bool:
    """Return whether two classes are shown to a reader by the same word, in the singular or the plural."""
    names, others = ({info.singular.casefold(), info.plural.casefold()} for info in (one, other))
    return not names.isdisjoint(others)


def is_plural(noun: str) -> bool:
    """Return whether a name without another number takes a verb in the plural: "trees" do, "grass" does not."""
    return noun.endswith("s") and not noun.endswith("ss")


def _shown(info: ClassInfo) -> str:
    return info.singular.casefold()
