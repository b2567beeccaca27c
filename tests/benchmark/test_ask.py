"""`rsvqa ask`: the model is shown what a build would show, and its replies are printed."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from rsvqa import api
from rsvqa.annotation.images import decode_image
from rsvqa.benchmark.ask import read_image
from rsvqa.benchmark.errors import BenchmarkDataError
from rsvqa.benchmark.models import Reply
from rsvqa.benchmark.reports.printing import AskResult
from rsvqa.benchmark.settings import AskModelSettings
from tests.run_build import rsvqa
from tests.scripted_endpoint import Body, ScriptedEndpoint, always, text_of

SIZE = (70, 90)  # rows, columns


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """Return a GeoTIFF of 16 bits with values from 1,000 on, of which two pixels are nodata."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    pixels = np.stack([1000 + 10 * rows, 1000 + 10 * columns, 1000 + 5 * (rows + columns)]).astype(np.uint16)
    pixels[:, 0, :2] = 0
    path = tmp_path / "scene.tif"
    place = {"crs": "EPSG:32636", "transform": Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000), "nodata": 0}
    with rasterio.open(
        path, "w", driver="GTiff", height=SIZE[0], width=SIZE[1], count=3, dtype="uint16", photometric="RGB", **place
    ) as file:
        file.write(pixels)
    return path


def settings(**changes: Any) -> AskModelSettings:
    return AskModelSettings(**{"model": "openai:x", **changes})


def test_an_image_is_stretched_as_a_build_does_and_cut_to_its_window(scene: Path) -> None:
    shown = read_image(scene, settings())
    assert shown.rgb.shape == (*SIZE, 3)
    assert shown.rgb[0, 0].tolist() == [0, 0, 0]  # nodata
    assert shown.rgb[..., 0].min() == 0
    assert shown.rgb[..., 0].max() == 255
    assert np.array_equal(decode_image(shown.encoded), shown.rgb)
    # the stretch is that of the whole scene, so a window is a part of the same picture
    part = read_image(scene, settings(window=(20, 10, 30, 40)))
    assert np.array_equal(part.rgb, shown.rgb[10:50, 20:50])


def test_what_cannot_be_shown_is_named(scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BenchmarkDataError, match=r"scene\.tif: it has 90 × 70 px; the window 80,0,11,5 reaches beyond"):
        read_image(scene, settings(window=(80, 0, 11, 5)))
    monkeypatch.setattr("rsvqa.benchmark.ask.MAX_PIXELS", 90 * 70 - 1)
    with pytest.raises(BenchmarkDataError, match="90 × 70 px are more than a model is shown; give a part of it by"):
        read_image(scene, settings())
    assert read_image(scene, settings(window=(0, 0, 9, 9))).rgb.shape == (9, 9, 3)


def test_questions_are_put_to_an_endpoint_one_by_one(scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    seen: list[Body] = []

    def answer(body: Body) -> str:
        seen.append(body)
        return "Twelve." if "How many" in text_of(body) else "Red."

    with ScriptedEndpoint(answer=answer) as endpoint:
        asked = ("--model", "openai:x", "--base-url", endpoint.base_url)
        done = rsvqa("ask", *asked, scene, "How many ships?", "Which colour?")
        assert (done.code, done.err) == (0, "")
        assert done.out == "How many ships?\nTwelve.\n\nWhich colour?\nRed.\n\n"
        assert rsvqa("ask", *asked, scene, "Which colour?").out == "Red.\n"
        found = json.loads(rsvqa("ask", *asked, scene, "How many ships?", "--json").out)
    assert [(entry["question"], entry["reply"], entry["ended"]) for entry in found] == [
        ("How many ships?", "Twelve.", True)
    ]
    [url] = [part["image_url"]["url"] for part in seen[0]["messages"][-1]["content"] if part["type"] == "image_url"]
    assert np.array_equal(decode_image(base64.b64decode(url.partition(",")[2])), read_image(scene, settings()).rgb)


def test_an_endpoint_may_look_before_it_answers(scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    seen: list[list[tuple[int, ...]]] = []

    def answer(body: Body) -> str:
        content = body["messages"][-1]["content"]
        urls = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
        seen.append([decode_image(base64.b64decode(url.partition(",")[2])).shape for url in urls])
        return "[0.5, 0.5, 0.6, 0.6]" if "Do not answer" in text_of(body) else "Seven."

    with ScriptedEndpoint(answer=answer) as endpoint:
        asked = ("--model", "openai:x", "--base-url", endpoint.base_url, "--look", "fovea", "--look-side", 45)
        found = json.loads(rsvqa("ask", *asked, scene, "How many ships?", "--json").out)
    assert seen == [[(35, 45, 3)], [(35, 45, 3), (45, 45, 3)]]
    # the box is 45 to 54 of 90 and 35 to 42 of 70 px; 45 px are shown around its centre
    assert [(entry["reply"], entry["looked_at"]) for entry in found] == [("Seven.", [[27, 16, 45, 45]])]


def test_a_refused_question_is_told_and_no_success(scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with ScriptedEndpoint(always("400")) as endpoint:
        done = rsvqa("ask", "--model", "openai:x", "--base-url", endpoint.base_url, scene, "How many?")
    assert done.code != 0
    assert "How many?" in done.err or "400" in done.err
    assert done.out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "random", "SCENE", "What?"], "'random' cannot be asked freely; expected a checkpoint, vllm"),
        (["--model", "openai:x", "SCENE", " "], "expected at least one question, and none that is empty"),
        (["--model", "openai:x", "nothing.tif", "What?"], "nothing.tif: cannot be opened: No such file or directory"),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    scene: Path, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    done = rsvqa("ask", *(str(scene) if word == "SCENE" else word for word in arguments))
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err


def test_a_checkpoint_replies(scene: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the extra rsvqa[model]")
    from tests.benchmark.make_checkpoints import make_geollava

    checkpoint = make_geollava(tmp_path / "ckpt")
    done = rsvqa("ask", "--model", checkpoint, scene, "What is it?", "--json", "--max-new-tokens", 3)
    assert done.code == 0, done.err
    [entry] = json.loads(done.out)
    assert entry["num_visual_tokens"] > 0
    assert entry["num_new_tokens"] <= 3
    blind = rsvqa("ask", "--model", f"blind:{checkpoint}", scene, "What is it?", "--json", "--max-new-tokens", 3)
    assert json.loads(blind.out)[0]["num_visual_tokens"] == 0


def test_a_checkpoint_is_shown_the_whole_and_its_quarters(scene: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the extra rsvqa[model]")
    from tests.benchmark.make_checkpoints import make_geollava

    folder = make_geollava(tmp_path / "ckpt")
    plain, tiles = (
        json.loads(rsvqa("ask", "--model", folder, scene, "How many ships?", "--json", *look).out)[0]
        for look in ((), ("--look", "tiles", "--look-side", "45"))
    )
    assert "looked_at" not in plain
    assert tiles["looked_at"] == [[0, 0, 45, 35], [45, 0, 45, 35], [0, 35, 45, 35], [45, 35, 45, 35]]
    assert tiles["num_visual_tokens"] > plain["num_visual_tokens"]


def test_the_kept_tokens_of_one_image_and_of_two_are_shown_on_a_page(scene: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the extra rsvqa[model]")
    from tests.benchmark.make_checkpoints import make_geollava

    checkpoint, page = make_geollava(tmp_path / "ckpt"), tmp_path / "tokens.html"
    asked = ("ask", "--model", checkpoint, "--max-new-tokens", 3, "--json", "--show", page)
    shown = []
    for more in ([], ["--later", scene]):
        done = rsvqa(*asked, scene, "What <is> it?", *more)
        assert done.code == 0, done.err
        text = page.read_text("utf-8")
        [data] = re.findall(r'id="pictures">(.*?)</script>', text, re.DOTALL)
        pictures = json.loads(data)
        # as many tokens on the page as the model was given for the reply
        assert sum(len(one["rows"]) for one in pictures) == json.loads(done.out)[0]["num_visual_tokens"]
        assert [(one["width"], one["height"]) for one in pictures] == [(SIZE[1], SIZE[0])] * len(pictures)
        assert "What &lt;is&gt; it?" in text
        shown.append(len(pictures))
    assert shown == [1, 2]


def test_in_python_nothing_is_printed_while_a_checkpoint_is_loaded(
    scene: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="needs the extra rsvqa[model]")
    from tests.benchmark.make_checkpoints import make_geollava

    checkpoint = make_geollava(tmp_path / "ckpt")
    capfd.readouterr()
    assert len(api.ask(scene, ["What?", "Where?"], model=str(checkpoint), max_new_tokens=3).replies) == 2
    assert capfd.readouterr() == ("", "")


def test_kept_tokens_are_not_shown_of_other_models(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    page = tmp_path / "tokens.html"
    for model in ("openai:x", "blind:somewhere"):
        done = rsvqa("ask", "--model", model, scene, "What?", "--show", page)
        assert (done.code, done.out) == (1, "")
        assert f"kept tokens can be shown of a GeoLLaVA that sees images, not of '{model}'" in done.err
    pytest.importorskip("torch", reason="needs the extra rsvqa[model]")
    from tests.benchmark.make_checkpoints import make_llava

    done = rsvqa("ask", "--model", make_llava(tmp_path / "other"), scene, "What?", "--show", page)
    assert (done.code, done.out) == (1, "")
    assert "kept tokens can be shown of a GeoLLaVA checkpoint; other is of type 'llava'" in done.err
    assert not page.exists()


def test_an_empty_reply_is_told_of() -> None:
    replies = (Reply(key="0", text="Red."), Reply(key="1", text=" \n"), Reply(key="2", text="", ended=False))
    assert AskResult(("a", "b", "c"), replies).faults == (
        "b: the reply is empty",
        "c: the reply was cut at the bound of new tokens",
    )
