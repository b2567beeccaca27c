"""Rewordings of questions: true ones in several styles, and kinds of changed ones."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping

Rewording = Callable[[str, random.Random], "str | None"]


def _lower(text: str) -> str:
    return text if text[:2].isupper() or text.startswith("I ") else text[0].lower() + text[1:]


def _swap(*pairs: tuple[str, str]) -> Rewording:
    """Return a rewording that replaces the first of the patterns that is there; None where none is."""

    def reword(text: str, rng: random.Random) -> str | None:
        del rng
        for old, new in pairs:
            changed, count = re.subn(old, new, text, count=1)
            if count:
                return changed[0].upper() + changed[1:]
        return None

    return reword


def _before(*openings: str) -> Rewording:
    def reword(text: str, rng: random.Random) -> str | None:
        return f"{rng.choice(openings)} {_lower(text)}" if text.split()[0] in _ASKING else None

    return reword


_ASKING = frozenset({"How", "What", "Which", "Where", "Is", "Does", "Can", "In", "Along", "To", "About", "Was"})
_SPLIT = r"^(What is the (?:total )?number of) (.+?) (in this image|inside .+)\?$"

TRUE_REWORDINGS: Mapping[str, Rewording] = {
    "opening": _before("In this image,", "Based on the image,", "Looking at the picture,", "In the scene shown here,"),
    "polite": _before("Please tell:", "Please say:", "Please determine:"),
    "number": _swap(
        (r"^How many (.+?) are there (in|inside) ", r"What number of \1 can be seen \2 "),
        (r"^What is the total number of (.+?) in this image\?", r"How many \1 does this image show in total?"),
        (r"^Count the (.+?)\. How many are there\?", r"How many are the \1?"),
        (r"^What is the number of (.+?) inside", r"How many \1 are there inside"),
        (r"^How many (.+?) lie within", r"What is the number of \1 lying within"),
    ),
    "presence": _swap(
        (r"^Does the image show any (.+?)\?", r"Are any \1 visible in the image?"),
        (r"^Is at least one (.+?) visible in the image\?", r"Can at least one \1 be seen in the image?"),
        (r"^Does this image contain at least one (.+?)\?", r"Is there at least one \1 in this image?"),
        (r"^Looking at the whole image, is there any (.+?) in it\?", r"Is there any \1 in the whole image?"),
    ),
    "colour": _swap(
        (r"^Name the main colour of (.+?) inside", r"What is the dominant colour of \1 inside"),
        (r"^What is the dominant colour of", r"Which colour is the main one of"),
        (r"^Seen from above, what colour does (.+?) have\?", r"What is the colour of \1, seen from above?"),
        (r"^Which of these colours is that of", r"Which one of these is the colour of"),
    ),
    "direction": _swap(
        (r"^Where is (.+?) located with respect to", r"Where does \1 lie relative to"),
        (r"^In which direction does (.+?) lie, as seen from (.+?)\?", r"As seen from \2, in which direction is \1?"),
        (r"^Which direction does the long axis of (.+?) follow", r"What is the direction of the long axis of \1"),
        (r"^Along which axis does", r"On which axis does"),
    ),
    "route": _swap(
        (r"^Which route leads by road from", r"By road, which route takes you from"),
        (r"^What is the shortest route along the roads from", r"Along the roads, which is the shortest way from"),
    ),
    "land": _swap(
        (r"^What is the main type of", r"What is the dominant type of"),
        (r"^Which of the following types of", r"Which types of"),
        (r"mainly used for or covered by", r"mostly used for or covered by"),
    ),
    "distance": _swap(
        (r"^How far apart are (.+?), measured", r"What distance apart are \1, measured"),
        (r"^What is the straight-line distance", r"How large is the straight-line distance"),
        (r"^About how long is", r"Approximately how long is"),
        (r"^Estimate the length of", r"What is the approximate length of"),
    ),
}

FALSE_REWORDINGS: Mapping[str, Rewording] = {
    "place added": _swap(
        (r" in (the|this) (whole )?image", r" beside the airport runway in the image"),
        (r"\?", r" beside the airport runway?"),
    ),
    "event added": lambda text, rng: f"{rng.choice(('After the earthquake,', 'During the flood,'))} {_lower(text)}",
    "condition dropped": _swap(
        (r" that are (?:no farther|at most|more|within) .+?(?= How|\.|\?)", ""),
        (r" (?:no farther|at most|more|within|less) (?:than )?\d+ m (?:away )?(?:from|of) [^.?]+?(?=\.|\?| and)", ""),
        (r" in (?:the|its) (?:left|right|upper|lower) half of the image", ""),
        (r" inside (?:the )?red circle(?: with the number| numbered)? \d+", " in the picture"),
    ),
    "inside to around": _swap(
        (r" inside ", " around "), (r" within ", " around "), (r" in the bounding box", " around the bounding box")
    ),
    "property added": _swap(
        (r"(how many|How many|number of) ", r"\1 parked "), (r"[Tt]he (house|car|ship|office building)", r"the tall \1")
    ),
    "half added": _swap((r" in (?:the|this) (?:whole |entire )?image", " in the top half of the image")),
    "negated": _swap(
        (r" are there", " are there not"),
        (r"^Is the", "Isn't the"),
        (r" contain ", " not contain "),
        (r"(is|are) ", r"\1 not "),
    ),
    "time added": lambda text, rng: f"{text[:-1]}{rng.choice((' at night', ' in winter', ' at rush hour'))}{text[-1]}",
    "other measure": _swap(
        (r"longer side", "shorter side"),
        (r"long axis", "short axis"),
        (r"length", "height"),
        (r"area", "volume"),
        (r"colour", "shape"),
    ),
    "from and to": _swap(
        # not of a distance, which is the same both ways
        (
            r"(?s)^(?!.*(?:\bfar\b|distance|apart|straight line from the centre))(.*)from (the .+?) to (the .+?)([?.])",
            r"\1from \3 to \2\4",
        ),
        (r"Where is (.+?) located with respect to (.+?)\?", r"Where is \2 located with respect to \1?"),
    ),
    "two things change places": _swap(
        (
            r"(the [a-z ]+?) (nearest to|farthest from|more than \d+ m from|larger than) (the [a-z ]+?)(?=[?.,])",
            r"\3 \2 \1",
        ),
        (r"As seen from (.+?), (.+?) (the [a-z ]+?)\?", r"As seen from \3, \2 \1?"),
        (r"[Ss]een from (the .+?), (.+?) is (the .+?)\?", r"Seen from \3, \2 is \1?"),
        (r"(How many )(.+?) (are .+? m (?:away )?(?:from|of)) (the .+?)(?=[?.])", r"\1\4 \3 \2"),
        (r"fly from (the .+?) to reach (the .+?)\?", r"fly from \2 to reach \1?"),
        (r"look from (the .+?) to see (the .+?)\?", r"look from \2 to see \1?"),
    ),
    "compared the other way": _swap(
        (r"more than (\d+ m)", r"less than \1"),
        (r"(no farther than|at most|within) (\d+ m)", r"at least \2"),
        (r"nearest", "farthest"),
        (r"farthest", "nearest"),
        (r"shortest", "longest"),
        (r"largest", "smallest"),
    ),
    "nearest to largest": _swap(
        (r"nearest to", "largest beside"), (r"(northern|southern|eastern|western)most", "largest"), (r"main", "rarest")
    ),
    "other unit": _swap((r"(\d+) m(?= |\?|\.)", r"\1 km"), (r"metres", "feet")),
    "something else too": _swap(
        (r"(How many|how many|number of) ([a-z ]+?)(?= (?:are|lie|does|in|inside|can))", r"\1 \2 or trailers")
    ),
    "order to answer": lambda text, rng: (
        f"{text} {rng.choice(('Pick the greatest.', 'Choose the last one.', 'It is surely many.'))}"
    ),
    "exception": lambda text, rng: (
        f"{text[:-1]}{rng.choice((' save for the old', ' unless broken', ' leaving out small ones'))}{text[-1]}"
    ),
}
HELD_OUT_REWORDINGS = frozenset(
    {"other unit", "something else too", "exception", "nearest to largest", "time added", "compared the other way"}
)
