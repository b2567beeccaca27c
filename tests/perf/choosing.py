"""Time and memory of what is decided over a whole data set, by step.

    python -m tests.perf.choosing [--tiles 100000] [--candidates 20] [--workers 0] [--looks 0]

The tiles are made up, and so are the results in their journal: counts and measures with pools, conclusions with eight
wrong options, yes and no, and sets, of 40 classes. Scenes have 100 tiles each and do not touch. Wanted for a million:
under 600 s and 8 GB. Seconds are those of this process, so that a busy machine disturbs nothing; with `--workers` those
of the workers are not in them. Memory is the most so far. No tile has
a look, as comparing looks grows with the square of their number: `--looks` compares so many apart.
"""

from __future__ import annotations

import argparse
import base64
import random
import resource
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pyproj import CRS

from rsvqa.annotation.asking import AskSettings
from rsvqa.annotation.choosing import GroupChoice, OfferGroup, choose_from_group
from rsvqa.annotation.questions import Evidence, Option, Question
from rsvqa.annotation.tasks.distractors import COUNT_RATIO, MEASURE_RATIO, round_measure
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.rsvqa_builder.scenes.georeference import AffineCoefficients, window_footprints
from rsvqa.rsvqa_builder.scenes.scene import Scene
from rsvqa.rsvqa_builder.scenes.tiling import Window
from rsvqa.rsvqa_builder.settings import BuildSettings, ImageFormat
from rsvqa.rsvqa_builder.tiles.asked_tiles import AskedTiles
from rsvqa.rsvqa_builder.tiles.assembly import choose_questions, read_heads, select_tiles
from rsvqa.rsvqa_builder.tiles.dedup import ExcludedImages, ImagePrint, find_alike
from rsvqa.rsvqa_builder.tiles.executors import make_executor
from rsvqa.rsvqa_builder.tiles.journal import Candidate, Journal, TileResult
from rsvqa.rsvqa_builder.tiles.store import FolderStore
from rsvqa.rsvqa_builder.tiles.tile_work import SceneWork, TileJob

PER_TILE = 12
WANTED_SECONDS = 600
WANTED_GB = 8
TILES_PER_SCENE = 100
SIDE = 8192
NUM_SAMPLES = 500
"""Results that are made up; all tiles have one of these, with a digest of their own."""
CLASSES = [f"class {number}" for number in range(40)]
CONCLUSIONS = [f"conclusion {number}" for number in range(20)]
EVIDENCE = Evidence(rule="made up")


def options(right: list[str], wrong: list[str]) -> tuple[Option, ...]:
    """Return right and wrong texts as options."""
    return (*(Option(text, True) for text in right), *(Option(text, False) for text in wrong))


def made_up(rng: random.Random, place: int) -> Question:
    """Return a candidate of the kind whose turn it is."""
    name = rng.choice(CLASSES)
    kind = place % 5
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


class MadeUpStore(FolderStore):
    """A store of results that are made when they are asked for."""

    def list(self, prefix: str) -> Mapping[str, int]:  # noqa: ARG002  nothing is listed
        return {}

    def get(self, key: str) -> bytes:
        job = key.rpartition("/")[2].partition(".")[0]
        before, after = SAMPLES[int(job[:8], 16) % len(SAMPLES)]
        return before + job.encode() + after


SAMPLES: list[tuple[bytes, bytes]] = []


def make_samples(num_candidates: int, folder: Path) -> None:
    """Fill `SAMPLES` with results as a worker stores them, cut where the digest of the content stands."""
    rng = random.Random(0)
    journal = Journal(FolderStore(folder))
    for number in range(NUM_SAMPLES):
        candidates = tuple(as_candidate(made_up(rng, place)) for place in range(num_candidates))
        result = TileResult(
            valid_share=1.0,
            job="0" * 64,
            digest="DIGEST",
            prints={"tile": ImagePrint()},
            images={"tile": 30_000_000},
            candidates=candidates,
            not_asked={f"task {task}": {"there is none of it": 1} for task in range(8)},
        )
        name = f"{number:064x}"
        journal.write(name, result, {})
        before, _, after = journal._get(name).partition(b"DIGEST")
        SAMPLES.append((before, after))


def as_candidate(question: Question) -> Candidate:
    """Return a question as it is stored, with about as much evidence as one about a few polygons has."""
    return Candidate(
        task=question.task,
        text="What is the distance between the two objects in the marked region?",
        answer="",
        options=question.options,
        box=None,
        images=("tile",),
        evidence={"rule": "made up", "feature_ids": list(range(10)), "values": {}, "geometry": "1 2, 3 4, " * 30},
        form=question.form,
        strata=question.strata,
        pool=question.pool,
        value=question.value,
        min_ratio=question.min_ratio,
    )


def make_jobs(num: int, store: FolderStore) -> list[TileJob]:
    """Return the plan of scenes of 100 tiles, each a degree away from the next."""
    crs = CRS.from_epsg(32632).to_wkt()
    side = round(TILES_PER_SCENE**0.5)
    whole = Window(0, 0, side * SIDE, side * SIDE)
    first: TileJob | None = None
    jobs: list[TileJob] = []
    for position in range(num):
        number, place = divmod(position, TILES_PER_SCENE)
        if place == 0:
            transform = AffineCoefficients(0.1, 0.0, 1e5 + 1e4 * (number % 80), 0.0, -0.1, 1e5 + 1e4 * (number // 80))
            scene = Scene(
                scene_id=f"scene{number}",
                path=f"scene{number}.tif",
                width=whole.width,
                height=whole.height,
                bands=(1, 2, 3),
                dtype="uint8",
                crs=crs,
                transform=transform,
            )
            scene = replace(scene, footprint=window_footprints(crs, transform, [whole])[0])
            work = SceneWork(scene=scene, stretch=None, labels=None, complete_classes=frozenset())
        y, x = divmod(place, side)
        changed: dict[str, Any] = {
            "position": position,
            "image_id": f"{scene.scene_id}/{x * SIDE}_{y * SIDE}",
            "work": work,
        }
        window = Window(x * SIDE, y * SIDE, SIDE, SIDE)
        if first is None:
            first = TileJob(
                **changed,
                source="made up",
                licence=None,
                window=window,
                later=None,
                other_date="",
                missing={},
                classes={},
                ask=AskSettings({}),
                min_valid=0.0,
                image_format=ImageFormat.JPEG,
                quality=90,
                may_be_excluded=False,
                excluded=None,
                store=store,
            )
        jobs.append(replace(first, **changed, window=window))
    return jobs


@contextmanager
def step(name: str, seconds: dict[str, float]) -> Iterator[None]:
    """Print how long a step takes, and the most memory so far."""
    start = time.process_time()
    yield
    seconds[name] = time.process_time() - start
    print(f"{name:<28}{seconds[name]:>8.1f} s {peak_gb():>7.2f} GB", flush=True)


def peak_gb() -> float:
    """Return the most memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def main() -> None:
    """Measure, print, and fail when it took more than is wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiles", type=int, default=100_000)
    parser.add_argument("--candidates", type=int, default=20, help="per tile")
    parser.add_argument("--workers", type=int, default=0, help="processes that choose; 0 works in this one")
    parser.add_argument("--looks", type=int, default=0, help="that are compared apart; they are noise")
    options = parser.parse_args()
    settings = BuildSettings.model_validate({"src": "scenes"})
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_samples(options.candidates, folder)
        store = MadeUpStore(folder)
        journal = Journal(store)
        jobs = make_jobs(options.tiles, store)
        base = peak_gb()
        print(f"{options.tiles:,} tiles of {options.candidates} candidates; {base:.2f} GB before")
        with step("digests of units", seconds):
            digests = [job.digest for job in jobs]
        journal._checks = dict.fromkeys(digests, "0")
        with step("reading results", seconds):
            heads = read_heads(jobs, journal, {})
        with step("tiles, places, splits", seconds):
            selection = select_tiles(jobs, heads, {}, ExcludedImages(), {}, settings)

        def run(function: object, groups: Sequence[OfferGroup]) -> Sequence[GroupChoice]:
            with step("  of which choosing", seconds), make_executor(options.workers) as executor:
                found = dict(executor.run(choose_from_group, groups))
            return [choice for _, choice in sorted(found.items()) if isinstance(choice, GroupChoice)]

        with step("questions", seconds):
            asked = choose_questions(jobs, heads, selection, settings, {"made up": None}, run)
        with step("letters, plan of shards", seconds):
            made = AskedTiles(jobs, journal, asked.offered, asked.choices, settings)
        num_asked = sum(asked.choices.is_asked(index) for index in range(len(asked.offered.tasks)))
        with step("records of 1,000 tiles", seconds):
            for place in range(min(1000, len(made))):
                made.rows(place)
    if options.looks:
        noise = np.random.default_rng(0).normal(0, 32, (options.looks, 24 * 24)).clip(-127, 127).astype(np.int8)
        looks = [base64.b64encode(look).decode() for look in noise]
        with step(f"  {options.looks:,} looks", seconds):
            find_alike([str(index) for index in range(options.looks)], looks)
    total = sum(value for name, value in seconds.items() if not name.startswith((" ", "records")))
    print(f"{num_asked:,} asked, {len(made.runs):,} shards: {total:.0f} s, {peak_gb():.2f} GB")
    if total > WANTED_SECONDS * options.tiles / 1e6 or peak_gb() - base > WANTED_GB * options.tiles / 1e6:
        raise SystemExit(f"wanted: {WANTED_SECONDS} s and {WANTED_GB} GB per million tiles")


if __name__ == "__main__":
    main()
