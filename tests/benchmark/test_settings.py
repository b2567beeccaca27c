"""Settings of a run: one loader for file and flags, nothing unknown, nothing secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.benchmark.settings import BenchSettings
from rsvqa.rsvqa_builder.config import SettingsError, load_settings


def test_flags_override_the_file(tmp_path: Path) -> None:
    config = tmp_path / "bench.toml"
    config.write_text('model = "ckpt"\nlimit = 5\ntasks = ["OCL"]\n')
    settings = load_settings(BenchSettings, {"limit": 7}, config=config)
    assert (settings.model, settings.limit, settings.task_names) == ("ckpt", 7, ("object_colour",))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"modell": "x"}, "unknown setting 'modell'; did you mean 'model'?"),
        ({}, "`model` is needed"),
        ({"model": "x", "limit": 0}, "`limit` = 0: Input should be greater than 0"),
        ({"model": "x", "tasks": ["colour"]}, "unknown task 'colour'; did you mean '"),
        ({"model": "x", "dtype": "int8"}, "`dtype` = 'int8': Input should be 'auto', 'float32'"),
        ({"model": "x", "base_url": "http://a/v1"}, "`base_url` is for models named openai:NAME, not for 'x'"),
        ({"model": "openai:x", "base_url": "a/v1"}, "`base_url`: expected an address like http://127.0.0.1:8000/v1"),
    ],
)
def test_what_is_wrong_is_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(BenchSettings, values)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://me:hunter2@host/v1", "https://host/v1?key=hunter2"])
def test_a_password_in_a_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(SettingsError, match="set OPENAI_API_KEY in the environment") as caught:
        load_settings(BenchSettings, {"model": "openai:x", "base_url": url})
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in str(caught.value.__cause__)


def test_replies_have_bounds_by_their_form() -> None:
    settings = load_settings(BenchSettings, {"model": "x", "max_new_tokens": 5})
    assert [settings.max_new_tokens_of(form) for form in (AnswerForm.ONE_OF, AnswerForm.TEXT, AnswerForm.BOX)] == [
        5,
        1024,
        128,
    ]


@pytest.mark.parametrize(
    ("model", "shows_images", "is_checkpoint"),
    [
        ("ckpt/", True, True),
        ("blind:ckpt/", False, True),
        ("openai:gpt", True, False),
        ("blind:openai:gpt", False, False),
        ("random", False, False),
        ("fake:a.jsonl", True, False),
    ],
)
def test_what_a_model_name_says(model: str, shows_images: bool, is_checkpoint: bool) -> None:
    settings = load_settings(BenchSettings, {"model": model})
    assert (settings.shows_images, settings.is_checkpoint) == (shows_images, is_checkpoint)


def test_what_is_asked_and_how_fast_does_not_bear_on_a_reply() -> None:
    base = load_settings(BenchSettings, {"model": "x"}).bearing_on_replies()
    same: dict[str, Any] = {
        "batch_size": 1,
        "concurrency": 1,
        "reuse": False,
        "limit": 1,
        "per_task": 1,
        "seed": 1,
        "tasks": ["OCL"],
    }
    same |= {"data": "elsewhere", "split": "val"}
    assert load_settings(BenchSettings, {"model": "x", **same}).bearing_on_replies() == base
    for name, value in {"max_pixels": 1, "dtype": "float16", "circular": True, "max_new_tokens": 1}.items():
        assert load_settings(BenchSettings, {"model": "x", name: value}).bearing_on_replies() != base, name


@pytest.mark.parametrize(
    ("model", "data", "folder"),
    [
        ("ckpt/", "xlrs-lite", "runs/ckpt-xlrs-lite"),
        ("initiacms/GeoLLaVA-8K", "../superrs/", "runs/GeoLLaVA-8K-superrs"),
        ("blind:models/ckpt", "xlrs-lite", "runs/blind-ckpt-xlrs-lite"),
        ("openai:gpt-4o", "xlrs-lite", "runs/openai-gpt-4o-xlrs-lite"),
        (".", "xlrs-lite", "runs/here-xlrs-lite"),
    ],
)
def test_a_run_has_a_folder_of_its_own(model: str, data: str, folder: str) -> None:
    assert load_settings(BenchSettings, {"model": model, "data": data}).run_folder == Path(folder)


def test_later_settings_change_what_a_run_is_known_by_only_when_they_are_set() -> None:
    assert "box_units" not in BenchSettings(model="random").bearing_on_replies()
    assert BenchSettings(model="openai:x", box_units="0-1000").bearing_on_replies()["box_units"] == "0-1000"
    with pytest.raises(ValueError, match="`box_units` view_pixels is for checkpoints"):
        BenchSettings(model="openai:x", box_units="view_pixels")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "random", "system": "Be brief."}, "`system` is for models that read prompts"),
        ({"model": "some/checkpoint", "extra_body": "{}"}, "`extra_body` is for models named openai:NAME"),
        ({"model": "openai:x", "extra_body": '{"messages": []}'}, "`extra_body` must not hold messages"),
        ({"model": "openai:x", "extra_body": "[1]"}, "expected a JSON object like"),
        ({"model": "openai:x", "template_args": "{"}, "template_args"),
    ],
)
def test_what_is_told_to_a_model_fits_its_kind(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BenchSettings.model_validate(settings)


def test_tables_are_recorded_in_one_form() -> None:
    written = {'{"b": 1, "a": {}}', '{"a":{},"b":1}'}
    found = {
        str(BenchSettings(model="openai:x", extra_body=text).bearing_on_replies()["extra_body"]) for text in written
    }
    assert found == {'{"a": {}, "b": 1}'}
    table = BenchSettings.model_validate({"model": "openai:x", "extra_body": {"b": 1, "a": {}}})
    assert table.extra_body == '{"a": {}, "b": 1}'
