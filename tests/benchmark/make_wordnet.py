"""A made-up WordNet of a few nouns, in the files in which nltk reads the real one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_PARTS = ("noun", "verb", "adj", "adv")


class Noun(NamedTuple):
    """One sense: its words, and the number of the sense above it (the first has none)."""

    words: tuple[str, ...]
    above: int | None = 0


NOUNS = (
    Noun(("thing",), None),
    Noun(("car", "automobile")),
    Noun(("lorry",), 1),
    Noun(("red", "crimson")),
    Noun(("three", "3")),
)


def write_wordnet(folder: Path, nouns: Sequence[Noun] = NOUNS) -> Path:
    """Write `corpora/wordnet` below `folder`, which is then a folder of nltk's data."""
    root = folder / "corpora/wordnet"
    root.mkdir(parents=True)
    for name in ("cntlist.rev", "index.sense", *(f"{part}.exc" for part in _PARTS)):
        (root / name).touch()
    for part in _PARTS:
        (root / f"data.{part}").touch()
        (root / f"index.{part}").touch()
    (root / "lexnames").write_text("".join(f"{number:02d}\tnoun.{number}\t1\n" for number in range(45)))
    # places are numbers of eight digits, so that a line is as long with the right one as with any other
    lengths = [len(_line(noun, 0, 0)) for noun in nouns]
    places = [sum(lengths[:number]) for number in range(len(nouns))]
    lines = [_line(noun, place, places[noun.above or 0]) for noun, place in zip(nouns, places, strict=True)]
    (root / "data.noun").write_text("".join(lines))
    senses: defaultdict[str, list[int]] = defaultdict(list)
    for noun, place in zip(nouns, places, strict=True):
        for word in noun.words:
            senses[word].append(place)
    index = "".join(
        f"{word} n {len(of)} 1 @ {len(of)} 0 {' '.join(f'{place:08d}' for place in of)}\n"
        for word, of in sorted(senses.items())
    )
    (root / "index.noun").write_text(index)
    return folder


def _line(noun: Noun, place: int, above: int) -> str:
    words = " ".join(f"{word} 0" for word in noun.words)
    pointers = "000" if noun.above is None else f"001 @ {above:08d} n 0000"
    return f"{place:08d} 03 n {len(noun.words):02x} {words} {pointers} | made up\n"
