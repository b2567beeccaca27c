"""Questions per real scene and task, how well rules guess them, what stops the rest; to be run on two versions.

    RSVQA_DATA=… python -m tests.perf.real_scenes [--only dubai] [--rsvqa …/bin/rsvqa] [--json yields.json]
    python -m tests.perf.real_scenes --compare before.json after.json

Each scene is built with its labels and the class table that fits them, in tiles of 1,024 px, by the command line of
`--rsvqa` (this version's, unless given). Then the questions of all scenes are audited as one data set, always by this
version, with whole scenes held out. With `--json` the tables are kept; `--compare` prints two of them side by side.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsvqa.benchmark.auditing.auditing import audit_data
from rsvqa.rsvqa_builder.auditing.settings import AuditSettings

DATA = Path(os.environ.get("RSVQA_DATA", Path(__file__).parents[3] / "shared" / "data"))
RSVQA = Path(sys.executable).with_name("rsvqa")

DUBAI_MASK = """\
[classes.unlabeled]
role = "ignored"
mask_values = [0]
[classes.water]
singular = "water"
plural = "water"
role = "area"
kind = "water"
mask_values = [1]
complete = true
[classes.unpaved_land]
singular = "unpaved land"
plural = "unpaved land"
role = "area"
kind = "bare"
mask_values = [2]
complete = true
[classes.road]
singular = "road surface"
plural = "road surface"
role = "area"
kind = "road"
mask_values = [3]
complete = true
[classes.building]
singular = "buildings"
plural = "buildings"
role = "area"
kind = "building"
mask_values = [4]
complete = true
[classes.vegetation]
singular = "vegetation"
plural = "vegetation"
role = "area"
kind = "grass"
mask_values = [5]
complete = true
"""
"""The legend of the data set; its masks were drawn by hand, every pixel of them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RealScene:
    """One build.

    Attributes:
        name: in the table.
        files: below `scenes/`, by the name that they get in the folder of sources: a label file has its scene's stem.
        classes: preset or text of a class table.
        options: of `rsvqa build`, beside these.
        guessed: audited with the others; False where the same picture is built twice, which would give it away.
    """

    name: str
    files: Mapping[str, str]
    classes: str = "auto"
    options: tuple[str, ...] = ()
    guessed: bool = True


def _beside(folder: str, *names: str) -> dict[str, str]:
    return {name: f"{folder}/{name}" for name in names}


SCENES = (
    RealScene(name="oam_buildings", files=_beside("oam_buildings", "scene.tif", "buildings.geojson")),
    RealScene(
        name="dubai polygons",
        files=_beside("dubai_tile8", "scene.tif", "landuse_polygons_pixel.geojson"),
        guessed=False,
    ),
    RealScene(
        name="dubai mask",
        files={"scene.tif": "dubai_tile8/scene.tif", "scene_mask.tif": "dubai_tile8/landuse_mask.tif"},
        classes=DUBAI_MASK,
    ),
    RealScene(
        name="dronetrees",
        files=_beside(
            "dronetrees_coco",
            "5b90f92da0d7280005fab355_4310.tif",
            "5dded5bc0140b80006d2e565_23.tif",
            "coco_sample_file.json",
        ),
    ),
    RealScene(name="osbs trees", files=_beside("neon_osbs_trees", "OSBS_029.tif", "OSBS_029.xml")),
    RealScene(
        name="atlanta",
        files=_beside("spacenet_atlanta_buildings", "scene_pan_uint16.tif", "buildings.geojson"),
        guessed=False,
    ),
    RealScene(
        name="atlanta complete",
        files=_beside("spacenet_atlanta_buildings", "scene_pan_uint16.tif", "buildings.geojson"),
        options=("--complete", "yes"),
    ),
    RealScene(name="vegas roads", files=_beside("spacenet_vegas_roads_pan", "scene_pan_uint16.tif", "roads.geojson")),
    RealScene(name="alexandria", files=_beside("dsm_buildings_alexandria", "dsm.tif", "buildings.geojson")),
    RealScene(
        name="tree crown",
        files=_beside("tree_crown_australia", *(f"australia.{end}" for end in ("tif", "shp", "shx", "dbf", "prj"))),
    ),
    RealScene(
        name="black marble",
        files=_beside("black_marble_europe", "scene.tif", "countries.geojson"),
        options=("--tile-size", "2048"),
    ),
)


def build(scene: RealScene, rsvqa: Path, folder: Path) -> dict[str, Any]:
    """Build the scene into `folder/data`, and return the report of the build."""
    sources = folder / "sources"
    sources.mkdir(parents=True)
    for name, path in scene.files.items():
        (sources / name).symlink_to(DATA / "scenes" / path)
    classes = scene.classes
    if "\n" in classes:
        (folder / "classes.toml").write_text(classes, "utf-8")
        classes = str(folder / "classes.toml")
    command = [rsvqa, "build", "--src", sources, "--out", folder / "data", "--classes", classes]
    sizes = () if "--tile-size" in scene.options else ("--tile-size", "1024")
    command += [*sizes, *scene.options, "--workers", "1"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1]}
    return dict(json.loads((folder / "data" / "report.json").read_text("utf-8")))


def guess_all(folders: Sequence[Path], together: Path) -> dict[str, Any]:
    """Return the best guess per task and answer form of all that was built into folders; nothing without a shard."""
    together.mkdir()
    shards = [shard for folder in folders for shard in sorted(folder.glob("data/data/*.parquet"))]
    for number, shard in enumerate(shards):
        (together / f"train-{number:05d}-of-{len(shards):05d}.parquet").symlink_to(shard)
    if not shards:
        return {}
    report = audit_data(together, AuditSettings(images=False))
    kept = ("chance", "best", "guessed", "by")
    return {
        f"{one['task']} {one['form']}": {key: one[key] for key in kept}
        for one in report["shortcuts"]
        if one["form"] != "text"
    }


def yields(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the table tells of a report: questions by task, and why the others are not asked."""
    if "error" in report:
        return {"error": report["error"]}
    tasks = {name: found["questions"] for name, found in report["tasks"].items()}
    reasons = {
        name: max(found["not_asked"], key=found["not_asked"].get)
        for name, found in report["tasks"].items()
        if not found["questions"] and found["not_asked"]
    }
    labels = sum(sum(scene["labels"]["by_class"].values()) for scene in report["scenes"].values())
    return {"tiles": report["tiles"]["kept"], "labels": labels, "tasks": tasks, "reasons": reasons}


def print_table(found: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the questions per scene and task, and why a task asks nothing."""
    for name, scene in found.items():
        if "error" in scene:
            print(f"{name}: {scene['error']}")
            continue
        asked = {task: count for task, count in scene["tasks"].items() if count}
        print(
            f"{name}: {sum(asked.values())} questions of {len(asked)} tasks;"
            f" {scene['labels']} labels, {scene['tiles']} tiles"
        )
        print("   ", ", ".join(f"{task} {count}" for task, count in asked.items()) or "-")
        for task, reason in scene["reasons"].items():
            print(f"    not {task}: {reason}")


def print_guesses(*tables: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the best guesses without the image in per cent, with their intervals, beside chance."""
    for task in sorted({task for table in tables for task in table}):
        told = (_told(table.get(task)) for table in tables)
        print(f"{task}: {' → '.join(told)}")


def _told(one: Mapping[str, Any] | None) -> str:
    if one is None:
        return "not asked"
    if one["best"] is None:
        return f"too few ({one['guessed']})"
    best = one["best"]
    return (
        f"{100 * best['value']:.0f} ({100 * best['low']:.0f} to {100 * best['high']:.0f}) of {one['guessed']},"
        f" chance {100 * one['chance']:.0f}, by {one['by']}"
    )


def compare(before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the tasks of each scene whose questions differ in number."""
    for name, scene in after.items():
        old, new = before.get(name, {}).get("tasks", {}), scene.get("tasks", {})
        tasks = [task for task in new if old.get(task, 0) != new[task]]
        changes = ", ".join(f"{task} {old.get(task, 0)} → {new[task]}" for task in tasks)
        totals = [f"{sum(counts.values())} of {sum(map(bool, counts.values()))} tasks" for counts in (old, new)]
        print(f"{name}: {totals[0]} → {totals[1]}; {changes or 'the same'}")


def main() -> None:
    """Build the scenes and print the table, or compare two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="scenes whose name holds this")
    parser.add_argument("--rsvqa", type=Path, default=RSVQA, help="the command to measure")
    parser.add_argument("--json", type=Path, help="file to write the table to")
    parser.add_argument("--compare", nargs=2, type=Path, metavar=("BEFORE", "AFTER"))
    options = parser.parse_args()
    if options.compare:
        before, after = (json.loads(path.read_text("utf-8")) for path in options.compare)
        compare(before["scenes"], after["scenes"])
        print_guesses(before["guesses"], after["guesses"])
        return
    if not (DATA / "scenes").is_dir():
        sys.exit(f"no real scenes: {DATA / 'scenes'} does not exist (RSVQA_DATA names the folder)")
    with tempfile.TemporaryDirectory() as folder:
        scenes = [scene for scene in SCENES if options.only in scene.name]
        places = {one: Path(folder) / str(number) for number, one in enumerate(scenes)}
        found = {one.name: yields(build(one, options.rsvqa, place)) for one, place in places.items()}
        guesses = guess_all([place for one, place in places.items() if one.guessed], Path(folder) / "together")
    print_table(found)
    print_guesses(guesses)
    if options.json is not None:
        options.json.write_text(json.dumps({"scenes": found, "guesses": guesses}, indent=1), "utf-8")


if __name__ == "__main__":
    main()
