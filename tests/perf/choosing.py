"""Time and memory of what is decided over a whole data set, by step.

    python -m tests.perf.choosing [--tiles 100000] [--candidates 20] [--workers 0] [--looks]

The tiles are made up, and so are the results in their journal: counts and measures with pools, conclusions with eight
wrong options, yes and no, and sets, of 40 classes. Scenes have 100 tiles each and do not touch. Seconds are those of
processors, of this process and of its workers, so that a busy machine disturbs little. Memory is the most of this
process so far.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from pyproj import CRS

from rsvqa.annotation.asking import AskSettings
from rsvqa.annotation.choosing import Result, Weighed
from rsvqa.annotation.dealing import LetterDealer
from rsvqa.annotation.questions import Evidence, Option, Question
from rsvqa.annotation.tasks.distractors import COUNT_RATIO, MEASURE_RATIO, round_measure
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.rsvqa_builder.build import _MOST_IN_WORK
from rsvqa.rsvqa_builder.documents.overview import Overview, ShardOverview
from rsvqa.rsvqa_builder.scenes.georeference import AffineCoefficients, window_footprints
from rsvqa.rsvqa_builder.scenes.scene import Scene
from rsvqa.rsvqa_builder.scenes.tiling import Window
from rsvqa.rsvqa_builder.settings import BuildSettings, ImageFormat
from rsvqa.rsvqa_builder.tiles.asked_tiles import AskedTiles, rows_of
from rsvqa.rsvqa_builder.tiles.assembly import choose_questions, read_tiles, select_tiles
from rsvqa.rsvqa_builder.tiles.dedup import LOOK_CELLS, ExcludedImages, ImagePrint
from rsvqa.rsvqa_builder.tiles.executors import Failure, make_executor, run_within
from rsvqa.rsvqa_builder.tiles.journal import Candidate, Journal, TileResult
from rsvqa.rsvqa_builder.tiles.shard_work import plan_shard_work
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


@dataclass(frozen=True, slots=True)
class MadeUpStore(FolderStore):
    """A store of results that are made when they are asked for, each with a digest and, if wanted, a look."""

    has_looks: bool = False

    def list(self, prefix: str) -> Mapping[str, int]:  # noqa: ARG002  nothing is listed
        return {}

    def get(self, key: str) -> bytes:
        job = key.rpartition("/")[2].partition(".")[0]
        number = int(job[:8], 16)
        before, between, after = read_samples(self.root)[number % NUM_SAMPLES]
        look = b"null"
        if self.has_looks:
            noise = np.random.default_rng(number).normal(0, 32, LOOK_CELLS).clip(-127, 127).astype(np.int8)
            look = b'"%b"' % base64.b64encode(noise.tobytes())
        return before + job.encode() + between + look + after


@cache
def read_samples(folder: Path) -> Sequence[Sequence[bytes]]:
    """Return the results as a worker stores them, cut where the digest of the content and the look stand."""
    found: Sequence[Sequence[bytes]] = [
        [base64.b64decode(part) for part in sample] for sample in json.loads((folder / "samples").read_text())
    ]
    return found


def make_samples(num_candidates: int, folder: Path) -> None:
    """Write what `read_samples` returns."""
    rng = random.Random(0)
    journal = Journal(FolderStore(folder))
    samples = []
    for number in range(NUM_SAMPLES):
        candidates = tuple(as_candidate(made_up(rng, place)) for place in range(num_candidates))
        result = TileResult(
            valid_share=1.0,
            job="0" * 64,
            digest="DIGEST",
            prints={"tile": ImagePrint(encoded="0" * 64, pixels=("1" * 64, "2" * 64), look="LOOK")},
            images={"tile": 30_000_000},
            candidates=candidates,
            not_asked={f"task {task}": {"there is none of it": 1} for task in range(8)},
        )
        name = f"{number:064x}"
        journal.write(name, result, {})
        before, _, rest = b"\n".join(journal._get(name)).partition(b"DIGEST")
        between, _, after = rest.partition(b'"LOOK"')
        samples.append([base64.b64encode(part).decode() for part in (before, between, after)])
    (folder / "samples").write_text(json.dumps(samples))


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
def step(name: str, total: list[float]) -> Iterator[None]:
    """Print how long a step takes in this process and in others, by the clock, and the most memory so far."""
    start = [time.process_time(), children().ru_utime + children().ru_stime, time.perf_counter()]
    yield
    end = [time.process_time(), children().ru_utime + children().ru_stime, time.perf_counter()]
    seconds = [after - before for before, after in zip(start, end, strict=True)]
    if not name.startswith(("of which", "records")):
        total[:] = [before + more for before, more in zip(total, seconds, strict=True)]
    print_line(name, seconds)


def print_line(name: str, seconds: Sequence[float]) -> None:
    """Print what a step took."""
    here, elsewhere, clock = seconds
    print(
        f"{name:<28}{here:>8.1f} s{elsewhere:>8.1f} s elsewhere{clock:>8.1f} s by the clock{peak_gb():>7.2f} GB",
        flush=True,
    )


def children() -> resource.struct_rusage:
    """Return what ended worker processes took."""
    return resource.getrusage(resource.RUSAGE_CHILDREN)


def peak_gb() -> float:
    """Return the most memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiles", type=int, default=100_000)
    parser.add_argument("--candidates", type=int, default=20, help="per tile")
    parser.add_argument("--workers", type=int, default=0, help="processes that read and choose; 0 works in this one")
    parser.add_argument("--looks", action="store_true", help="every tile has a look; they are noise")
    options = parser.parse_args()
    settings = BuildSettings.model_validate({"src": "scenes"})
    total = [0.0, 0.0, 0.0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_samples(options.candidates, folder)
        store = MadeUpStore(folder, has_looks=options.looks)
        journal = Journal(store)
        jobs = make_jobs(options.tiles, store)
        journal._checks = dict.fromkeys((job.digest for job in jobs), "0")

        def run(function: Callable[[Weighed], Result], items: Sequence[Weighed]) -> list[Result]:
            with step(f"of which {function.__name__}", total), make_executor(options.workers) as executor:
                found = dict(run_within(executor, function, items, lambda item: item.weight, most=_MOST_IN_WORK))
            done = [found.pop(index) for index in range(len(items))]
            return [one for one in done if not isinstance(one, Failure)]

        print_line(f"{options.tiles:,} tiles", (0, 0, 0))
        with step("reading results", total):
            tiles = read_tiles(jobs, journal, {}, ExcludedImages(), run)
        with step("tiles, places, splits", total):
            selection = select_tiles(jobs, tiles, {}, {}, settings)
        with step("questions", total):
            asked = choose_questions(jobs, tiles, selection, settings, {"made up": None}, run)
        with step("letters, shards", total):
            made = AskedTiles(jobs, journal, asked.offered, asked.choices, settings, run)
        with step("plans of shards", total):
            plan_shard_work(made, journal, partial(ShardOverview, seed=0, has_audit=True), seed=0, language="en")
        overview = Overview(seed=0)
        with step("counting tiles", total):
            for tile, num_questions in zip(made.tiles(), made.num_questions(), strict=True):
                overview.add_tile(tile, num_questions)
        with step("records of 1,000 tiles", total):
            shard = ShardOverview(seed=0, has_audit=True)
            for place in range(min(1000, len(made))):
                shard.look(rows_of(made.asked_tile(place), journal, LetterDealer(settings.seed), language="en"))
        with step("records told: as many", total):
            overview.join(json.loads(json.dumps(shard.told())))
    print_line("all", total)
    print(f"{len(asked.choices.asked_of(np.arange(len(asked.offered.tasks)))):,} asked, {len(made.runs):,} shards")
    print(f"largest worker: {children().ru_maxrss * 1024 / 1e9:.2f} GB")
    print(f"wanted for a million: {WANTED_SECONDS} s by the clock, {WANTED_GB} GB")


if __name__ == "__main__":
    from tests.perf import choosing  # what workers are sent is named by its module

    choosing.main()
