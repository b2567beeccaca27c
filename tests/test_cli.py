"""The command line: quick help, one line for every mistake, and what goes to stdout and to stderr."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest

from rsvqa.cli import with_flags
from rsvqa.rsvqa_builder import build as build_run
from rsvqa.rsvqa_builder.tiles.executors import Failure
from tests.make_sources import FARM, SHORE, make_scene
from tests.run_build import RSVQA, build, rsvqa, times_of_change, tree_digest

HEAVY = {"datasets", "numpy", "openai", "pandas", "pyarrow", "pyproj", "rasterio", "shapely", "torch", "transformers"}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a labelled scene of one tile and one without labels of four."""
    folder = tmp_path_factory.mktemp("scenes")
    make_scene(folder, FARM)
    make_scene(folder, SHORE, labelled=False)
    return folder


@pytest.mark.parametrize("words", [["--help"], ["build", "--help"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    show = "import sys; print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    start = "import atexit, sys; from rsvqa import cli"
    code = f"{start}; sys.argv[1:] = {words!r}; atexit.register(lambda: exec({show!r})); cli.main()"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "Usage: " in run.stdout
    assert "typer" in run.stderr.split()
    assert not set(run.stderr.split()) & HEAVY


def test_a_benchmark_starts_without_what_builds_data_sets() -> None:
    code = "import sys, rsvqa.benchmark.bench; print(*{name.partition('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not set(run.stdout.split()) & {"torch", "transformers", "openai", "rasterio", "networkx", "pandas"}


def test_the_first_question_does_not_wait_for_the_reports() -> None:
    code = "import sys, rsvqa.benchmark.bench; print(*(name for name in sys.modules if 'report_page' in name))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "\n"


def test_a_process_that_ends_looks_for_no_garbage() -> None:
    start = "import atexit, gc, sys; from rsvqa import cli; atexit.register(lambda: print(gc.get_freeze_count()))"
    code = f"{start}; sys.argv[1:] = ['--version']; cli.main()"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert int(run.stdout.split()[-1]) > 10_000


def test_the_console_script_hands_on_the_exit_code(tmp_path: Path) -> None:
    run = subprocess.run(
        [RSVQA, "build", "--src", str(tmp_path / "nothing"), "--out", str(tmp_path / "set")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == f"rsvqa: --src {tmp_path / 'nothing'}: no such file or folder (looked in {tmp_path})\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--profile", "supers"], "--profile = 'supers': Input should be 'superrs' or 'highrs'"),
        (["--stretch", "percent"], "--stretch = 'percent': Input should be 'none', 'percentile' or 'minmax'"),
        (["--image-format", "gif"], "Input should be 'jpeg' or 'png'"),
        (["--dedup", "yes"], "Input should be 'identical', 'near' or 'off'"),
        (["--quality", "0"], "--quality = '0': Input should be greater than or equal to 1"),
        (["--min-valid", "1.5"], "--min-valid = '1.5': Input should be less than or equal to 1"),
        (["--min-valid", "nan"], "--min-valid = 'nan'"),
        (["--tile-size", "8"], "--tile-size = '8': Input should be greater than or equal to 64"),
        (["--tile-size", "512", "--overlap", "512"], "overlap 512 px must be less than the tile's 512 px"),
        (["--split-shares", "0.9,0.2,0.1"], "sum to 1, e.g. 0.9,0.05,0.05"),
        (["--split-shares", "nan,nan,nan"], "sum to 1, e.g. 0.9,0.05,0.05"),
        (["--split-shares", "1,0"], "split"),
        (["--tile-size", "big"], "--tile-size = 'big': Input should be a valid integer"),
        (["--split-shares", "all"], "--split-shares = 'all': expected 3 numbers separated by commas"),
        (["--bands", "3;2;1"], "--bands = '3;2;1': expected 3 numbers separated by commas"),
        (["--tasks", "OC,object_colr"], "unknown task 'object_colr'; did you mean 'object_colour'?"),
        (["--tasks", "OC=many"], "task 'OC=many': expected a weight of 0 or more after '=', e.g. object_colour=0.5"),
        (["--classes", "dotta"], "class table 'dotta': no such preset or file; presets are auto, coco"),
        (["--config", "missing.toml"], "cannot read the settings file missing.toml"),
        (["--labels", "missing.gpkg"], "--labels missing.gpkg: no such file or folder"),
        (["--exclude", "missing"], "--exclude missing: no such file or folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_bad_value_is_one_line_that_says_what_was_expected(
    scenes: Path, tmp_path: Path, words: list[str], expected: str
) -> None:
    run = rsvqa("build", "--src", scenes, "--out", tmp_path / "set", "--workers", 0, *words)
    assert (run.code, run.out, len(run.lines)) == (2, "", 1)
    assert run.err.startswith("rsvqa: ")
    assert expected in run.err
    assert not (tmp_path / "set" / ".rsvqa").exists()


def test_a_source_must_be_named(tmp_path: Path) -> None:
    run = rsvqa("build", "--out", tmp_path / "set")
    assert (run.code, run.err) == (2, "rsvqa: --src is needed\n")


def test_an_unknown_key_of_a_settings_file_names_the_nearest(scenes: Path, tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text("[settings]\ntilesize = 512\n")
    run = rsvqa("build", "--src", scenes, "--out", tmp_path / "set", "--config", tmp_path / "my.toml")
    assert (run.code, len(run.lines)) == (2, 1)
    assert f"{tmp_path / 'my.toml'}: unknown setting 'tilesize'; did you mean 'tile_size'?" in run.err


@pytest.mark.parametrize(
    ("words", "expected"), [(["build", "--tile-sise", "512"], "--tile-size"), (["biuld"], "Did you mean 'build'?")]
)
def test_a_mistyped_word_names_the_nearest(words: list[str], expected: str) -> None:
    run = rsvqa(*words)
    assert run.code == 2
    assert expected in run.err
    assert "Traceback" not in run.err


def test_debug_shows_where_an_error_was_raised(tmp_path: Path) -> None:
    run = subprocess.run(
        [RSVQA, "--debug", "build", "--src", str(tmp_path / "nothing"), "--out", str(tmp_path / "set")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "Traceback" in run.stderr
    assert "SourceError" in run.stderr


def test_away_from_a_terminal_a_good_run_says_nothing_on_stderr(scenes: Path, tmp_path: Path) -> None:
    run = build(scenes, tmp_path / "set")
    assert (run.code, run.err) == (0, "")
    assert f"preview: {tmp_path / 'set' / 'preview.html'}" in run.out.splitlines()
    assert "questions; 5 tile(s)" in run.out
    assert "\x1b" not in run.out


def test_the_log_for_machines_counts_scenes_and_tiles(scenes: Path, tmp_path: Path) -> None:
    (tmp_path / "scenes").mkdir()
    for path in scenes.iterdir():
        (tmp_path / "scenes" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "scenes" / "broken.tif").write_bytes(b"")
    run = build(tmp_path / "scenes", tmp_path / "set", "--log-json")
    events = [json.loads(line) for line in run.lines]
    (tiles,) = [event for event in events if event["event"] == "start" and event["step"] == "tiles"]
    assert tiles["total"] == 5
    progress = [event for event in events if event["event"] == "progress" and event["step"] == "tiles"]
    assert [event["done"] for event in progress] == [1, 2, 3, 4, 5]
    assert {event["total"] for event in progress} == {5}
    assert all(event["mpix_per_s"] > 0 for event in progress)
    (left_out,) = [event for event in events if event["event"] == "left_out"]
    assert left_out["path"] == str(tmp_path / "scenes" / "broken.tif")
    assert "cannot be opened" in left_out["reason"]


def test_json_is_one_object_on_stdout(scenes: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    for state in ("new", "complete"):
        run = build(scenes, out, "--json")
        result = json.loads(run.out)
        assert (run.code, run.err, result["state"], result["out"]) == (0, "", state, str(out))
        report = json.loads((out / "report.json").read_text("utf-8"))
        assert {key: value for key, value in result.items() if key not in ("state", "out")} == report


def test_a_settings_file_is_overridden_by_options(scenes: Path, tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(f"src = {str(scenes)!r}\ntile_size = 256\nseed = 3\ntasks = ['OC']\n")
    words = ["--config", tmp_path / "my.toml", "--workers", 0]
    assert rsvqa("build", "--out", tmp_path / "one", *words, "--tile-size", 512).code == 0
    assert build(scenes, tmp_path / "two", "--seed", "3", "--tasks", "OC").code == 0
    assert tree_digest(tmp_path / "one") == tree_digest(tmp_path / "two")


def test_ctrl_c_says_how_to_go_on(scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(build_run, "do_tile", interrupt)
    run = build(scenes, tmp_path / "set")
    assert (run.code, len(run.lines)) == (130, 1)
    assert "the same command goes on from here" in run.err
    monkeypatch.undo()
    assert build(scenes, tmp_path / "set").code == 0


def test_a_full_disk_is_one_line(scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "set/data/train.parquet")

    monkeypatch.setattr(build_run, "do_shard", no_room)
    run = build(scenes, tmp_path / "set")
    assert (run.code, len(run.lines)) == (1, 1)
    assert "No space left on device (set/data/train.parquet); mend it and repeat the command" in run.err


def test_a_shard_that_no_worker_can_write_is_one_line(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_run, "do_shard", lambda _: Failure("its process died, twice"))
    run = build(scenes, tmp_path / "set")
    assert (run.code, run.lines[-1]) == (
        1,
        "rsvqa: cannot write tiles/train-00000-of-00001.parquet: its process died, twice; what is done is kept: repeat "
        "the command",
    )
    assert not (tmp_path / "set" / "build.toml").exists()
    monkeypatch.undo()
    assert build(scenes, tmp_path / "set").code == 0


def test_demo_scenes_prints_the_files_it_made(tmp_path: Path) -> None:
    run = rsvqa("demo-scenes", "--out", tmp_path / "demo", "--size", 512, "--count", 1)
    assert run.code == 0
    made = [Path(line) for line in run.out.splitlines()]
    assert made
    assert all(path.is_file() for path in made)


@pytest.mark.parametrize("name", ["llava", "xlrs", "coco", "coco-asked"])
def test_a_built_data_set_is_exported(scenes: Path, tmp_path: Path, name: str) -> None:
    assert build(scenes, tmp_path / "set", "--tasks", "OCC,FVG", "--complete", "yes").code == 0
    before = times_of_change(tmp_path / "set")
    words = ["export", "--data", tmp_path / "set", "--out", tmp_path / "exported", "--format", name]
    run = rsvqa(*words, "--json")
    assert run.code == 0
    assert isinstance(json.loads(run.out), dict)
    assert any(path.is_file() for path in (tmp_path / "exported").rglob("*"))
    assert times_of_change(tmp_path / "set") == before
    again = rsvqa(*words)
    assert (again.code, len(again.lines)) == (1, 1)


def test_an_unknown_export_format_is_one_line(tmp_path: Path) -> None:
    run = rsvqa("export", "--data", tmp_path, "--out", tmp_path / "exported", "--format", "llawa")
    assert (run.code, len(run.lines)) == (1, 1)
    assert "llava" in run.err


def test_settings_in_backticks_become_options_and_nothing_else_does() -> None:
    message = "`min_valid` = 2: pass `overwrite`, see `build.toml`, run `rsvqa bench`; `tile` and `jobs` are no options"
    assert with_flags(message) == (
        "--min-valid = 2: pass --overwrite, see `build.toml`, run `rsvqa bench`; `tile` and `jobs` are no options"
    )
