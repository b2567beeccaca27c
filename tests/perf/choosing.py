"""Time and memory of choosing among the candidates of a large data set.

    python -m tests.perf.choosing [--candidates 1000000]

The candidates are made up: counts and measures with pools, conclusions with eight wrong options, yes and no, and sets,
of 40 classes on tiles of twelve candidates. Wanted for a million: under 120 s and 4 GB, the candidates themselves
included, which a build reads tile by tile. Seconds are those of the processor, so that a busy machine disturbs nothing.
"""

from __future__ import annotations

import argparse
import random
import resource
import time
from collections.abc import Iterator

from rsvqa.annotation.balance import Balance
from rsvqa.annotation.choosing import Chooser
from rsvqa.annotation.questions import Evidence, Option, Question
from rsvqa.annotation.tasks.distractors import COUNT_RATIO, MEASURE_RATIO, round_measure
from rsvqa.annotation.taxonomy import AnswerForm

PER_TILE = 12
WANTED_SECONDS = 120
WANTED_GB = 4
CLASSES = [f"class {number}" for number in range(40)]
CONCLUSIONS = [f"conclusion {number}" for number in range(20)]
EVIDENCE = Evidence(rule="made up")


def options(right: list[str], wrong: list[str]) -> tuple[Option, ...]:
    """Return right and wrong texts as options."""
    return (*(Option(text, True) for text in right), *(Option(text, False) for text in wrong))


def made_up(rng: random.Random, place: int) -> Question:
    """Return a candidate of the kind whose turn it is."""
    name = rng.choice(CLASSES)
    kind = place // PER_TILE % 5
    if kind < 2:
        value = max(1, round(rng.paretovariate(1))) if kind else round_measure(rng.lognormvariate(3, 1))
        return Question(
            task="object_distance" if kind == 0 else "overall_counting",
            form=AnswerForm.ONE_OF,
            text="",
            evidence=EVIDENCE,
            options=options([f"{min(value, 60) if kind else value:g}"], ["-1", "-2", "-3"]),
            strata=("template", name),
            pool="numbers",
            value=min(value, 60) if kind else value,
            min_ratio=COUNT_RATIO if kind else MEASURE_RATIO,
        )
    if kind == 2:
        right, *wrong = rng.sample(CONCLUSIONS, 9)
        task, form, offered = "environmental_reasoning", AnswerForm.ONE_OF, options([right], wrong)
    elif kind == 3:
        is_yes = rng.random() < 0.7
        task, form, offered = "object_presence", AnswerForm.YES_NO, options(["Yes"], ["No"])
        offered = offered if is_yes else options(["No"], ["Yes"])
    else:
        texts = rng.sample(CONCLUSIONS, 10)
        task, form, offered = "overall_land_use", AnswerForm.SEVERAL_OF, options(texts[:4], texts[4:])
    return Question(task=task, form=form, text="", evidence=EVIDENCE, options=offered, strata=("template", name))


def candidates(num: int) -> Iterator[Question]:
    """Yield `num` candidates, twelve of a kind on each tile."""
    rng = random.Random(0)
    for place in range(num):
        yield made_up(rng, place)


def main() -> None:
    """Measure, print, and fail when it took more than is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=1_000_000)
    num = parser.parse_args().candidates
    limits = dict.fromkeys(
        ("object_distance", "overall_counting", "environmental_reasoning", "object_presence", "overall_land_use"), 4
    )
    start = time.process_time()
    chooser = Chooser(limits=limits, balance=Balance.SOFT, seed=0)
    making = 0.0
    made = candidates(num)
    for place in range(num):
        before = time.process_time()
        candidate = next(made)
        making += time.process_time() - before
        chooser.add(candidate, split=("train", "test")[place // PER_TILE % 10 == 9], tile=place // PER_TILE)
    chosen = chooser.choose()
    num_asked = sum(chosen.options_of(place) is not None for place in range(num))
    seconds = time.process_time() - start - making
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(f"{num:,} candidates, {num_asked:,} asked: {seconds:.1f} s, {gigabytes:.2f} GB")
    if seconds > WANTED_SECONDS * num / 1e6 or gigabytes > WANTED_GB:
        raise SystemExit(f"wanted: {WANTED_SECONDS} s a million and {WANTED_GB} GB")


if __name__ == "__main__":
    main()
