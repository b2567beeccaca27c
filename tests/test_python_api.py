"""`import rsvqa`: every function of docs/python-api.md, silent, typed, and the same thing that the commands do."""

from __future__ import annotations

import ast
import inspect
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import rsvqa
from rsvqa.rsvqa_builder.config import fill_settings
from tests.run_build import RSVQA, build, tree_digest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "python-api.md"
CALL = 'rsvqa.build(src="scenes", out="set", classes="demo", tile_size=512, workers=2, tasks="OC,OP", audit=False)'


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small demo scenes, as the page begins with."""
    folder = tmp_path_factory.mktemp("api")
    subprocess.run([RSVQA, "demo-scenes", "--out", "scenes", "--size", "512", "--count", "2"], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def built(place: Path) -> Path:
    """A data set of these scenes."""
    shares = (0.5, 0.0, 0.5)
    rsvqa.build(
        src=place / "scenes", out=place / "built", classes="demo", tile_size=512, workers=0, split_shares=shares
    )
    return place / "built"


def test_all_public_names_are_there_and_known_to_type_checkers() -> None:
    known = next(node for node in ast.parse((ROOT / "__init__.py").read_text()).body if isinstance(node, ast.If))
    told = {alias.asname for node in known.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert told == {*rsvqa.__all__} - {"__version__"}
    assert len(rsvqa.__all__) == len(set(rsvqa.__all__))
    for name in rsvqa.__all__:
        assert getattr(rsvqa, name) is not None
    functions = {name for name in rsvqa.__all__ if inspect.isfunction(getattr(rsvqa, name))}
    assert functions >= {"build", "read", "labels", "audit", "annotate", "select", "train", "bench", "ask", "compare"}
    public = {name for name, found in vars(import_module("rsvqa.api")).items() if inspect.isfunction(found)}
    assert functions <= public
    assert set(dir(rsvqa)) >= set(rsvqa.__all__)
    with pytest.raises(AttributeError, match="module 'rsvqa' has no attribute 'buidl'"):
        rsvqa.buidl  # type: ignore[attr-defined]  # noqa: B018


def test_a_function_says_nothing_and_writes_what_the_command_writes(
    place: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words: dict[str, Any] = {"classes": "demo", "tasks": "OC,OP", "tile_size": 512}
    done = rsvqa.build(src=place / "scenes", out=tmp_path / "python", workers=0, **words)
    assert capfd.readouterr() == ("", "")
    run = build(place / "scenes", tmp_path / "command", "--classes", "demo", "--tasks", "OC,OP")
    assert run.code == 0
    assert tree_digest(tmp_path / "python") == tree_digest(tmp_path / "command")
    # what is shown is what the command prints
    assert str(done).splitlines()[-1] == f"preview: {tmp_path}/python/preview.html"
    assert {line for line in run.out.splitlines() if "place(s)" in line} < set(str(done).splitlines())
    assert done.report["questions"] == len(rsvqa.read(done.out))


def test_progress_is_told_on_request(place: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (place / "scenes" / "broken.tif").write_bytes(b"no raster")
    words: dict[str, Any] = {"src": place / "scenes", "classes": "demo", "tasks": "OC", "tile_size": 512, "workers": 0}
    done = rsvqa.build(out=tmp_path / "set", progress=True, **words)
    (place / "scenes" / "broken.tif").unlink()
    out, err = capfd.readouterr()
    assert out == ""
    assert "left out" in err
    assert "broken.tif" in err
    # and without a word it is in the result
    assert [Path(entry["path"]).name for entry in done.report["left_out"]] == ["broken.tif"]


def test_settings_are_keywords_objects_or_a_file_and_keywords_go_first(place: Path, tmp_path: Path) -> None:
    source = str(place / "scenes")
    settings = rsvqa.BuildSettings(src=source, name="Farm <7>", classes="demo", tasks=("OC",), tile_size=256)
    one = rsvqa.build(settings, out=tmp_path / "one", execution=rsvqa.ExecutionSettings(workers=0), tile_size=512)
    assert one.report["tiles"]["kept"] == 3
    again = rsvqa.build(config=tmp_path / "one" / "build.toml", out=tmp_path / "two", workers=0)
    assert tree_digest(tmp_path / "one") == tree_digest(tmp_path / "two")
    assert again.report["tiles"]["kept"] == 3
    assert "<h1>Farm &lt;7&gt;</h1>" in (tmp_path / "two" / "preview.html").read_text("utf-8")
    assert '\npretty_name: "Farm <7>"\n' in (tmp_path / "two" / "README.md").read_text("utf-8")
    assert json.loads((tmp_path / "two" / "croissant.json").read_text("utf-8"))["name"] == "Farm <7>"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"srcs": "scenes"}, r"^unknown setting 'srcs'; did you mean 'src'\?$"),
        ({"src": "scenes", "worker": 2}, r"^unknown setting 'worker'; did you mean 'workers'\?$"),
        ({}, "^`src` is needed$"),
        ({"src": "scenes", "tile_size": 1}, "^`tile_size` = 1: Input should be greater than or equal to 64$"),
        ({"src": "nowhere/"}, "nowhere"),
        ({"src": ""}, "^`src` = .*: expected a path or an address, found an empty text$"),
        ({"src": ("scenes", "")}, "^`src` = .*: expected a path or an address, found an empty text$"),
        ({"settings": "scenes/"}, "^expected BuildSettings, found 'scenes/': give single settings as keywords$"),
        ({"src": "scenes", "execution": 2}, "^expected ExecutionSettings, found 2: give single settings as keywords$"),
    ],
)
def test_what_is_wrong_is_one_line_of_one_kind_of_error(tmp_path: Path, words: dict[str, Any], message: str) -> None:
    with pytest.raises(rsvqa.RsvqaError, match=message) as caught:
        rsvqa.build(out=tmp_path / "set", **words)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda _: rsvqa.build(src="scenes", out=None), "^expected a path, found None$"),  # type: ignore[arg-type]
        (lambda _: rsvqa.read(7), "^expected a path, found 7$"),  # type: ignore[arg-type]
        (lambda _: rsvqa.compare("a", None), "^expected a path, found None$"),  # type: ignore[arg-type]
        (lambda _: rsvqa.labels(src="scenes", workers=-1), "^`workers` = -1: expected a whole number from 0$"),
        (lambda data: rsvqa.export(data, None, format="xlrs"), "^expected a path, found None$"),  # type: ignore[arg-type]
        (
            lambda data: rsvqa.export(data, "out", format="swift", model=3),  # type: ignore[arg-type]
            "^`for` \\(in Python model=\\) = 3: expected a family of models, or a checkpoint's name$",
        ),
        (
            lambda data: rsvqa.export(data, "out", format="swift", model="qwen3-vl", max_pixels=True),
            "^`max_pixels` = True: expected a whole number above 0$",
        ),
    ],
)
def test_what_is_no_path_or_no_number_is_one_line_too(built: Path, call: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(rsvqa.RsvqaError, match=message):
        call(built)


def test_a_data_set_outlives_a_change_of_folder(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(built.parent)
    data = rsvqa.read(built.name)
    monkeypatch.chdir(tmp_path)
    assert data[0].question_id == next(iter(rsvqa.read(built))).question_id


def test_a_slice_is_a_list_of_questions(built: Path) -> None:
    data = rsvqa.read(built).filter(tasks="OC,OP")
    ids = [question.question_id for question in data]
    assert len(ids) > 5
    for which in (slice(0, 3), slice(2, None, 2), slice(-2, None), slice(None, None, -3), slice(4, 1, -1), slice(3, 3)):
        assert [question.question_id for question in data[which]] == ids[which]
    with pytest.raises(TypeError):
        data[1.5]  # type: ignore[call-overload]


@pytest.mark.parametrize("how", ["script", "stdin", "command"])
def test_workers_do_not_run_the_program_again_that_started_them(place: Path, tmp_path: Path, how: str) -> None:
    # a script without `if __name__ == "__main__"`, a notebook or stdin, and `python -c`
    program = f"import rsvqa\nprint('once')\n{CALL}\n"
    (tmp_path / "scenes").symlink_to(place / "scenes")
    (tmp_path / "program.py").write_text(program)
    words = {"script": ["program.py"], "stdin": ["-"], "command": ["-c", program]}[how]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=tmp_path,
        input=program if how == "stdin" else None,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("once\n", "", 0)
    report = json.loads((tmp_path / "set" / "report.json").read_text())
    assert report["left_out"] == []
    assert report["questions"] == len(rsvqa.read(tmp_path / "set")) > 0


# --- a data set -------------------------------------------------------------------------------------------------------


def test_a_data_set_is_read_by_number_by_id_and_in_order(built: Path) -> None:
    data = rsvqa.read(built)
    every = list(data)
    assert [question.stored.index for question in every] == list(range(len(data)))
    assert {question.split for question in every} == {"train", "test"}
    for place in (0, 7, len(data) - 1, -1):
        assert data[place].question_id == every[place].question_id
        assert data[every[place].question_id].question == every[place].question
    assert (every[0].images[0].size, every[0].images[0].mode) == ((512, 512), "RGB")
    with pytest.raises(rsvqa.RsvqaError, match=f"no question {len(data)}: it has {len(data)}, numbered from 0"):
        data[len(data)]
    with pytest.raises(LookupError, match="no question 'place_00/nothing'"):
        data["place_00/nothing"]


def test_a_data_set_is_narrowed_to_tasks_and_splits(built: Path) -> None:
    data = rsvqa.read(built)
    counting = data.filter(tasks="Counting")
    expected = [question.question_id for question in data if question.task in ("overall_counting", "regional_counting")]
    assert [question.question_id for question in counting] == expected
    assert len(counting) == len(expected) > 3
    assert [counting[place].question_id for place in range(len(expected))] == expected
    both = counting.filter(split="test").filter(tasks=["OC", "OP"])
    assert {(question.task, question.split) for question in both} == {("overall_counting", "test")}
    nothing = counting.filter(tasks="OP")
    assert (len(nothing), list(nothing), nothing.num_questions) == (0, [], {})
    other = next(question for question in data if question.task == "object_presence")
    with pytest.raises(LookupError):
        counting[other.question_id]
    with pytest.raises(rsvqa.RsvqaError, match="did you mean 'overall_counting'"):
        data.filter(tasks="overall_counting_")
    with pytest.raises(rsvqa.RsvqaError, match="unknown split 'tests': expected one of train, val, test"):
        data.filter(split="tests")


def test_a_data_set_is_a_table_of_pandas(built: Path) -> None:
    data = rsvqa.read(built)
    frame = data.to_pandas()
    assert len(frame) == len(data)
    assert frame["question_id"].tolist() == [question.question_id for question in data]
    assert "image" not in frame.columns
    few = data.filter(tasks="OC").to_pandas(["answer", "task"])
    assert list(few.columns) == ["answer", "task", "split"]
    assert set(few["task"]) == {"overall_counting"}
    with pytest.raises(rsvqa.RsvqaError, match="no column 'anser'"):
        data.to_pandas(["anser"])


def test_a_folder_that_holds_no_data_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(rsvqa.RsvqaError, match=f"{tmp_path / 'nothing'}: no such folder"):
        rsvqa.read(tmp_path / "nothing")


# --- in a notebook ----------------------------------------------------------------------------------------------------


def test_a_question_shows_its_picture_with_its_evidence(built: Path) -> None:
    data = rsvqa.read(built)
    question = data.filter(tasks="FVG")[0]
    page = question._repr_html_()
    assert page.count('src="data:') + page.count('href="data:image/jpeg') >= 1
    assert '<rect class="box"' in page
    assert question.question.split()[0] in page
    # two on one page do not show each other's pictures
    other = data.filter(tasks="OP")[0]._repr_html_()
    ids = [set(re.findall(r'<image id="([^"]+)"', one)) for one in (page, other)]
    assert ids[0]
    assert ids[1]
    assert not ids[0] & ids[1]
    assert set(re.findall(r'use href="#([^"]+)"', page)) == ids[0]


def test_results_and_data_sets_show_themselves(built: Path) -> None:
    data = rsvqa.read(built)
    page = data._repr_html_()
    total = len(data.filter(tasks="OC", split="train"))
    assert f"<caption>built: {len(data)} questions of {len(data.num_questions)} tasks</caption>" in page
    assert f'<tr><td>overall_counting</td><td>OC</td><td class="rsvqa-right">{total}</td>' in page
    assert data.num_questions["overall_counting"]["train"] == total
    assert repr(data) == f"<DataSet {built}: {len(data)} questions>"


def test_what_is_shown_is_escaped() -> None:
    from rsvqa.rsvqa_builder.shown import Part, ShownResult, TextTable

    class Odd(ShownResult):
        def parts(self) -> list[Part]:
            return [
                "<script>x</script>",
                "",
                "  car    2",
                TextTable([("<b>", "n"), ("a", "1")]),
                TextTable([("alone",)]),
            ]

    assert "<script>" not in Odd()._repr_html_()
    assert "<td>a</td>" in Odd()._repr_html_()
    assert "alone" not in Odd()._repr_html_()
    assert '<p class="rsvqa-columns">  car    2</p>' in Odd()._repr_html_()  # in a font that keeps columns
    assert str(Odd()) == "<script>x</script>\n\n  car    2\n<b>  n\na    1"


# --- the page ---------------------------------------------------------------------------------------------------------


def examples(text: str) -> list[str]:
    """Return the blocks of Python of a page that are to be run: all but those that say what they need."""
    return re.findall(r"^```python$\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_the_page_opens_with_six_lines() -> None:
    first = examples(PAGE.read_text())[0]
    assert len([line for line in first.splitlines() if line.strip()]) == 6
    assert PAGE.read_text().index("```python") < 400


def test_every_example_of_the_page_runs(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "scenes").symlink_to(place / "scenes")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for example in examples(PAGE.read_text()):
        exec(compile(example, str(PAGE), "exec"), names)  # noqa: S102  the page is ours
    assert capfd.readouterr().err == ""
    assert names["data"].path == Path("superrs/")
    # figures are tables in a notebook
    assert "<td>Overall counting</td>" in names["run"]._repr_html_()
    assert "<td>Overall counting</td>" in names["compared"]._repr_html_()
    assert "<caption>superrs: " in names["audit"]._repr_html_()
    assert "place_01: 512 × 512 px" in names["found"]._repr_html_()


def test_calls_that_need_a_model_have_settings_that_exist() -> None:
    (block,) = re.findall(r"^```text$\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    settings: dict[str, list[type[BaseModel]]] = {
        "ask": [rsvqa.AskModelSettings],
        "estimate": [rsvqa.AnnotateSettings, rsvqa.JobSettings],
        "annotate": [rsvqa.AnnotateSettings, rsvqa.JobSettings],
        "train": [rsvqa.TrainingSettings],
        "select": [rsvqa.SelectionSettings],
    }
    called = set()
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name = node.func.attr
            called.add(name)
            given = {word.arg: ast.literal_eval(word.value) for word in node.keywords if word.arg}
            bound = inspect.signature(getattr(rsvqa, name)).bind(*map(ast.literal_eval, node.args), **given)
            fill_settings([(model, None) for model in settings[name]], bound.arguments["keywords"])
    assert called == settings.keys()


def test_every_function_and_setting_of_the_page_is_there() -> None:
    text = PAGE.read_text()
    named = set(re.findall(r"rsvqa\.(\w+)", text))
    assert named - {*rsvqa.__all__, "api"} == set()
    assert {name for name in rsvqa.__all__ if name.islower() and name[0] != "_"} <= named


def test_nothing_reaches_stdout_when_a_result_is_silent() -> None:
    stream = io.StringIO()
    from rsvqa.rsvqa_builder.progress import QuietReporter, SilentReporter, reporter_of

    with reporter_of(False) as silent:
        assert isinstance(silent, SilentReporter)
    given = QuietReporter(stream)
    with reporter_of(given) as same:
        assert same is given
