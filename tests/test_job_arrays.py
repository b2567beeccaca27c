"""`--shard-of`: the ranks of a job array and one command at the end give the bytes of a single build."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from rsvqa.rsvqa_builder.scenes import staging
from rsvqa.rsvqa_builder.scenes.rasters import SceneError
from rsvqa.rsvqa_builder.scenes.scene import Scene
from rsvqa.rsvqa_builder.tiles.executors import Failure
from rsvqa.rsvqa_builder.tiles.tile_work import TileJob, do_tile
from tests.make_sources import FARM, make_scene, make_sources
from tests.run_build import RSVQA, Run, build, read_report, tree_digest

OPTIONS = ("--complete", "yes", "--tasks", "OC,RC,OCC,RIC,LUC", "--split-shares", "0.6,0.2,0.2")
NUM_TILES = 12


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sources(tmp_path_factory.mktemp("sources") / "scenes")


@pytest.fixture(scope="module")
def undisturbed(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    out = tmp_path_factory.mktemp("undisturbed") / "set"
    assert build(sources, out, *OPTIONS).code == 0
    return tree_digest(out)


def rank(sources: Path, out: Path, shard_of: str, *words: object) -> Run:
    return build(sources, out, *OPTIONS, "--shard-of", shard_of, *words)


def done_tiles(out: Path) -> set[str]:
    return {path.name.partition(".")[0] for path in (out / ".rsvqa" / "tiles").rglob("*.json")}


def test_ranks_in_any_order_and_one_of_them_twice_give_the_bytes_of_a_single_build(
    sources: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "set"
    own: dict[str, set[str]] = {}
    for shard_of in ("2/4", "0/4", "3/4", "0/4", "1/4"):
        before = done_tiles(out)
        run = rank(sources, out, shard_of)
        assert (run.code, run.err) == (
            0,
            "" if shard_of not in own else f"{len(own[shard_of])} of {len(own[shard_of])} tiles are done already\n",
        )
        own.setdefault(shard_of, done_tiles(out) - before)
        assert run.out == (
            f"rank {shard_of} has done its {len(own[shard_of])} tiles; once all ranks have ended, the same command "
            f"without --shard-of finishes {out}\n"
        )
        assert [path.name for path in out.iterdir()] == [".rsvqa"]
    assert sorted(map(len, own.values())) == [3, 3, 3, 3]
    run = build(sources, out, *OPTIONS)
    assert (run.code, run.err) == (0, f"{NUM_TILES} of {NUM_TILES} tiles are done already\n")
    assert tree_digest(out) == undisturbed
    assert rank(sources, out, "1/4").out == f"{out} is finished already, with the same settings and inputs\n"
    assert tree_digest(out) == undisturbed


def test_assembling_makes_no_tile(sources: Path, undisturbed: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "set"
    nothing = build(sources, out, *OPTIONS, "--assemble")
    assert (nothing.code, len(nothing.lines)) == (1, 1)
    assert nothing.err.startswith("rsvqa: 12 of 12 tiles are not done, ")
    for shard_of in ("0/3", "2/3"):
        assert rank(sources, out, shard_of).code == 0
    before = tree_digest(out)
    for words, said in (
        (("--assemble",), "4 of 12 tiles are not done, "),
        (("--assemble", "--seed", 1), "holds an unfinished build made otherwise: seed was 0, is 1"),
        (("--assemble", "--overwrite"), "--assemble finishes what is there, and --overwrite removes it: choose one"),
        (("--assemble", "--shard-of", "1/3"), "a rank makes tiles and --assemble makes none"),
    ):
        run = build(sources, out, *OPTIONS, *words)
        assert run.code in (1, 2)
        assert said in run.err
        assert tree_digest(out) == before
    assert rank(sources, out, "1/3").code == 0
    run = build(sources, out, *OPTIONS, "--assemble")
    assert (run.code, run.err) == (0, "12 of 12 tiles are done already\n")
    assert tree_digest(out) == undisturbed
    again = build(sources, out, *OPTIONS, "--assemble")
    assert again.code == 0
    assert "is finished already" in again.out


def test_ranks_at_the_same_time_and_what_none_has_done(
    sources: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "set"
    words = [RSVQA, "build", "--src", str(sources), "--out", str(out), "--tile-size", "512", "--workers", "0", *OPTIONS]
    running = [
        subprocess.Popen([*words, "--shard-of", shard_of], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for shard_of in ("0/4", "0/4", "2/4")
    ]
    ended = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], ended
    assert len(done_tiles(out)) == NUM_TILES // 2
    assert build(sources, out, *OPTIONS).code == 0
    assert tree_digest(out) == undisturbed


def test_a_build_waits_for_the_ranks_and_they_for_it(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "set"
    seen: dict[str, Run] = {}

    def do_once(job: TileJob) -> int | Failure:
        if not seen:
            seen["build"] = build(sources, out, *OPTIONS)
        return do_tile(job)

    monkeypatch.setattr("rsvqa.rsvqa_builder.build.do_tile", do_once)
    assert rank(sources, out, "0/4").code == 0
    assert (seen["build"].code, len(seen["build"].lines)) == (1, 1)
    assert "another build is writing into" in seen["build"].err
    seen.clear()

    def refused(job: TileJob) -> int | Failure:
        if not seen:
            seen["rank"] = rank(sources, out, "1/4")
        return do_tile(job)

    monkeypatch.setattr("rsvqa.rsvqa_builder.build.do_tile", refused)
    assert build(sources, out, *OPTIONS).code == 0
    assert (seen["rank"].code, len(seen["rank"].lines)) == (1, 1)
    assert "another build is writing into" in seen["rank"].err


def test_a_rank_of_other_settings_or_with_overwrite_removes_nothing(sources: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    assert rank(sources, out, "0/4").code == 0
    before = done_tiles(out)
    other = rank(sources, out, "1/4", "--seed", 1)
    assert (other.code, other.lines) == (
        1,
        [
            f"rsvqa: {out} holds an unfinished build made otherwise: seed was 0, is 1. Repeat with the old settings "
            f"and inputs, choose another --out, or remove {out / '.rsvqa'} to begin anew"
        ],
    )
    overwriting = rank(sources, out, "1/4", "--overwrite")
    assert overwriting.code == 2
    assert "a rank removes nothing" in overwriting.err
    assert done_tiles(out) == before


def test_a_rank_leaves_a_folder_with_other_things_alone(sources: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    run = rank(sources, tmp_path, "0/2")
    assert (run.code, len(run.lines)) == (1, 1)
    assert "is not empty and holds no data set of rsvqa" in run.err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_more_ranks_than_tiles_and_a_scene_that_cannot_be_read(tmp_path: Path) -> None:
    scenes = tmp_path / "scenes"
    place = FARM._replace(width=400, height=300)
    make_scene(scenes, place, labelled=True)
    (scenes / "torn.tif").write_bytes(b"II*\0")
    outs = tmp_path / "alone", tmp_path / "set"
    counts = []
    for shard_of in ("0/3", "1/3", "2/3"):
        run = rank(scenes, outs[1], shard_of, "--json")
        assert run.code == 0
        assert [line.partition(": ")[0] for line in run.lines] == [f"left out {scenes / 'torn.tif'}"]
        counts.append(json.loads(run.out)["tiles"])
    assert sorted(counts) == [0, 0, 1]
    assert [build(scenes, out, *OPTIONS).code for out in outs] == [0, 0]
    assert tree_digest(outs[1]) == tree_digest(outs[0])


@pytest.fixture
def striped(tmp_path: Path) -> Path:
    """Two scenes of strips, of which any tile decodes whole rows: 3 x 2 tiles each."""
    for number in range(2):
        place = FARM._replace(name=f"farm{number}", width=1500, height=900, easting=FARM.easting + 5000 * number)
        make_scene(tmp_path / "striped", place, blockysize=16, compress="deflate")
    return tmp_path / "striped"


def copied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return where the names of scenes will stand of which a tiled copy is made."""
    names: list[str] = []
    copy = staging._copy

    def noting(scene: Scene, target: Path) -> None:
        names.append(scene.scene_id)
        copy(scene, target)

    monkeypatch.setattr(staging, "_copy", noting)
    return names


def test_the_build_that_finishes_copies_no_scene_whose_tiles_are_done(
    striped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = copied(monkeypatch)
    assert build(striped, tmp_path / "alone", *OPTIONS).code == 0
    assert sorted(names) == ["farm0", "farm1"]
    out = tmp_path / "set"
    assert [rank(striped, out, shard_of).code for shard_of in ("0/2", "1/2")] == [0, 0]
    shutil.rmtree(out / ".rsvqa" / "staged", ignore_errors=True)  # as on another machine, with a bucket
    del names[:]
    assert build(striped, out, *OPTIONS).code == 0
    assert names == []
    assert tree_digest(out) == tree_digest(tmp_path / "alone")


def test_a_restart_copies_only_scenes_of_which_tiles_are_missing(
    striped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = copied(monkeypatch)
    calls = iter(range(100))

    def do_six(job: TileJob) -> int | Failure:
        if next(calls) == 6:  # all tiles of the first scene are done
            raise KeyboardInterrupt
        return do_tile(job)

    with monkeypatch.context() as patch:
        patch.setattr("rsvqa.rsvqa_builder.build.do_tile", do_six)
        assert build(striped, tmp_path / "set", *OPTIONS).code == 130
    shutil.rmtree(tmp_path / "set" / ".rsvqa" / "staged")
    del names[:]
    assert build(striped, tmp_path / "set", *OPTIONS).code == 0
    assert names == ["farm1"]


def test_a_scene_for_whose_copy_there_is_no_room_is_left_out_under_its_own_name(
    striped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(scene: Scene, _: Path) -> None:
        if scene.scene_id == "farm1":
            raise SceneError("no room")

    monkeypatch.setattr(staging, "_require_room", no_room)
    run = build(striped, tmp_path / "set", *OPTIONS)
    assert (run.code, run.lines[0]) == (0, f"left out {striped / 'farm1.tif'}: no room")
    report = read_report(tmp_path / "set")
    assert list(report["scenes"]) == ["farm0"]
    assert report["tiles"]["planned"] == 6
    assert report["left_out"] == [{"path": str(striped / "farm1.tif"), "reason": "no room"}]


@pytest.mark.parametrize("shard_of", ["4/4", "1", "-1/4", "a/b", "0/0", "1/4/8"])
def test_what_is_no_rank_is_refused(shard_of: str, tmp_path: Path) -> None:
    run = rank(tmp_path, tmp_path / "set", f"{shard_of}")
    assert (run.code, run.lines) == (
        2,
        [f"rsvqa: --shard-of = {shard_of!r}: expected I/N with I from 0 to N-1, such as 0/4"],
    )


def test_a_rank_on_a_machine_that_would_write_other_bytes_is_refused(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "set"
    assert rank(sources, out, "0/4").code == 0
    before = done_tiles(out)
    monkeypatch.setattr("rsvqa.rsvqa_builder.build.machine_traits", lambda: {"python": "3.9"})
    run = rank(sources, out, "1/4")
    assert (run.code, len(run.lines)) == (1, 1)
    assert "made otherwise: JPEG decoder of GDAL was " in run.err
    assert "; python was 3." in run.err
    assert done_tiles(out) == before


# --- the scripts in docs/cluster ---

CLUSTER = Path(__file__).parents[1] / "docs" / "cluster"


def words_of_script(command: list[str], folder: Path, **variables: str) -> list[str]:
    """Return the words that a script calls `rsvqa` with."""
    for name, content in {"srun": 'exec "$@"', "rsvqa": 'printf "%s\\n" "$@"'}.items():
        (folder / name).write_text(f"#!/bin/sh\n{content}\n")
        (folder / name).chmod(0o755)
    path = f"{folder}:{os.environ['PATH']}"
    run = subprocess.run(command, env={"PATH": path, **variables}, capture_output=True, text=True, check=True)
    return run.stdout.splitlines()


def test_the_scripts_for_slurm_start_ranks_and_the_build_that_finishes(tmp_path: Path) -> None:
    given = {"SRC": "/scenes of mine", "OUT": "/set", "SLURM_CPUS_PER_TASK": "8"}
    finish = ["build", "--src", "/scenes of mine", "--out", "/set", "--workers", "8"]
    ranks = ["bash", str(CLUSTER / "ranks.sbatch")]
    assert words_of_script(ranks, tmp_path, **given, RANKS="32", SLURM_ARRAY_TASK_ID="7") == [
        *finish,
        *("--log-json", "--shard-of", "7/32"),
    ]
    assert words_of_script(["bash", str(CLUSTER / "finish.sbatch")], tmp_path, **given) == [*finish, "--log-json"]
    with_config = words_of_script(["bash", str(CLUSTER / "finish.sbatch")], tmp_path, **given, CONFIG="my build.toml")
    assert with_config == ["build", "--config", "my build.toml", *finish[1:], "--log-json"]


def test_the_job_for_aws_batch_is_a_rank_where_there_are_ranks(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    job = yaml.safe_load((CLUSTER / "aws-batch.yaml").read_text())["containerProperties"]
    given = {variable["name"]: variable["value"] for variable in job["environment"]}
    finish = ["build", "--src", "/data/scenes", "--out", "/data/set", "--workers", "8", "--log-json"]
    assert words_of_script(job["command"], tmp_path, **given) == finish
    of_rank = words_of_script(job["command"], tmp_path, **given, RANKS="32", AWS_BATCH_JOB_ARRAY_INDEX="7")
    assert of_rank == [*finish, "--shard-of", "7/32"]


def test_the_jobs_for_kubernetes_do_the_same_build() -> None:
    yaml = pytest.importorskip("yaml")
    ranks, finish = yaml.safe_load_all((CLUSTER / "kubernetes.yaml").read_text())
    commands = [job["spec"]["template"]["spec"]["containers"][0]["command"] for job in (ranks, finish)]
    total = ranks["spec"]["completions"]
    assert commands[0] == [*commands[1], "--shard-of", f"$(JOB_COMPLETION_INDEX)/{total}"]
