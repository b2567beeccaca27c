"""How much false text is accepted by machine, and how many true texts are sent to people, by kind of falsehood.

    python -m tests.perf.planted [--places 6] [--size 1024] [--tile-size 1024] [--data DIR] [--without-held-out]

plants falsehoods into captions, rewordings and Chinese versions of example scenes. The writer is scripted; a verifier
objects to nothing, answers every question rightly and translates back what stands there. So what is accepted passed the
mechanical checks alone. Kinds and styles that were held out while the checks were written are summed apart.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Collection
from pathlib import Path

from tests.annotate_data import build_demo, items_of
from tests.planted.false_captions import HELD_OUT_KINDS
from tests.planted.measure_drafts import Tally, measure_drafts
from tests.planted.measure_versions import measure_rewordings, measure_versions
from tests.planted.reworded_captions import HELD_OUT_REWRITINGS
from tests.planted.rewordings import HELD_OUT_REWORDINGS
from tests.planted.translations import HELD_OUT_VERSIONS
from tests.planted.true_captions import HELD_OUT_STYLES

FATES = ("accepted", "to people", "rule's text")


def print_table(title: str, tally: Tally, held_out: Collection[str], *, with_held_out: bool) -> None:
    """Print one line per kind, then what the kinds in use and the ones held out come to."""
    print(f"\n| {title} | texts | {' | '.join(FATES)} |\n|---|---|---|---|---|")
    used = [kind for kind in tally.counts if kind not in held_out]
    held = [kind for kind in tally.counts if kind in held_out] if with_held_out else []
    for kind in (*used, *held):
        counts = tally.counts[kind]
        name = f"{kind} (held out)" if kind in held_out else kind
        print(f"| {name} | {counts.total()} | {' | '.join(str(counts[fate]) for fate in FATES)} |")
    for name, kinds in (("all in use", used), ("all held out", held)):
        if kinds:
            total = sum(tally.counts[kind].total() for kind in kinds)
            print(f"| **{name}** | {total} | {' | '.join(f'{tally.share(fate, kinds):.1%}' for fate in FATES)} |")


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a data set to take the questions from, instead of example scenes")
    parser.add_argument("--places", type=int, default=6)
    parser.add_argument("--size", type=int, default=1_024)
    parser.add_argument("--tile-size", type=int, default=1_024)
    parser.add_argument("--without-held-out", action="store_true")
    options = parser.parse_args()
    with_held_out = not options.without_held_out
    with tempfile.TemporaryDirectory() as name:
        words = ("--tile-size", options.tile_size)
        made = options.data or build_demo(Path(name), count=options.places, size=options.size, words=words)
        items = items_of(made)
        true, false = measure_drafts([item for item in items if item.task.endswith("captioning")])
        print_table("true captions, by style", true, HELD_OUT_STYLES | HELD_OUT_REWRITINGS, with_held_out=with_held_out)
        print_table("falsehood in a caption", false, HELD_OUT_KINDS, with_held_out=with_held_out)
        true, false = measure_rewordings(items)
        print_table("true rewordings", true, (), with_held_out=with_held_out)
        print_table("falsehood in a rewording", false, HELD_OUT_REWORDINGS, with_held_out=with_held_out)
        true, false = measure_versions(items)
        print_table("true Chinese versions, by task", true, (), with_held_out=with_held_out)
        print_table("falsehood in a Chinese version", false, HELD_OUT_VERSIONS, with_held_out=with_held_out)


if __name__ == "__main__":
    main()
