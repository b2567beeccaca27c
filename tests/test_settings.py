"""One loader for the settings of every stage: the same words for what is unknown, missing or out of range."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomli_w
from pydantic import BaseModel

from rsvqa.annotation.review.queue import QueueSettings
from rsvqa.benchmark.settings import BenchSettings
from rsvqa.model.training_settings import TrainingSettings
from rsvqa.rsvqa_builder.annotating.settings import AnnotateSettings, JobSettings
from rsvqa.rsvqa_builder.config import SettingsError, load_settings
from rsvqa.rsvqa_builder.reviewing.settings import ServerSettings
from rsvqa.rsvqa_builder.settings import BuildSettings

NEEDED: dict[type[BaseModel], dict[str, Any]] = {
    BuildSettings: {"src": "scenes"},
    AnnotateSettings: {"model": "m"},
    JobSettings: {},
    TrainingSettings: {"data": ["set"], "init": "somewhere"},
    BenchSettings: {"model": "random"},
    QueueSettings: {},
    ServerSettings: {},
}

SHARE = "Input should be less than or equal to 1"
WRONG: list[tuple[type[BaseModel], dict[str, Any], str]] = [
    (BuildSettings, {"tilesize": 512}, "unknown setting 'tilesize'; did you mean 'tile_size'?"),
    (AnnotateSettings, {"step": "word"}, "unknown setting 'step'; did you mean 'steps'?"),
    (JobSettings, {"max_costs": 1}, "unknown setting 'max_costs'; did you mean 'max_cost'?"),
    (TrainingSettings, {"lr_towr": 1}, "unknown setting 'lr_towr'; did you mean 'lr_tower'?"),
    (TrainingSettings, {"tiny": {"widht": 64}}, "unknown setting 'widht'; did you mean 'width'?"),
    (BenchSettings, {"batchsize": 1}, "unknown setting 'batchsize'; did you mean 'batch_size'?"),
    (QueueSettings, {"samples": 1}, "unknown setting 'samples'; did you mean 'sample'?"),
    (ServerSettings, {"prt": 1}, "unknown setting 'prt'; did you mean 'port'?"),
    (BuildSettings, {"min_valid": 2}, f"`min_valid` = 2: {SHARE}"),
    (BuildSettings, {"min_valid": "2"}, f"`min_valid` = '2': {SHARE}"),
    (
        BuildSettings,
        {"crs": "EPSG:1"},
        "`crs` = 'EPSG:1': expected a coordinate reference system such as EPSG:32636",
    ),
    (
        BuildSettings,
        {"nodata": "black"},
        "`nodata` = 'black': Input should be a valid number, unable to parse string as a number or Input should be "
        "'auto' or 'none'",
    ),
    (BuildSettings, {"bands": "3;2;1"}, "`bands` = '3;2;1': expected 3 numbers separated by commas"),
    (BuildSettings, {"bands": [3, 2]}, "`bands` = [3, 2]: expected 3 numbers separated by commas"),
    (BuildSettings, {"bands": [3, 2, 1, 4]}, "`bands` = [3, 2, 1, 4]: expected 3 numbers separated by commas"),
    (AnnotateSettings, {"crop_px": 5}, "`crop_px` = 5: Input should be greater than or equal to 64"),
    (JobSettings, {"max_cost": -1}, "`max_cost` = -1: Input should be greater than or equal to 0"),
    (JobSettings, {"concurrency": 0}, "`concurrency` = 0: Input should be greater than or equal to 1"),
    (
        TrainingSettings,
        {"tokens_per_cell": 0},
        "`tokens_per_cell` = 0: Input should be greater than 0 or Input should be 'all'",
    ),
    (TrainingSettings, {"tiny": {"heads": 0}}, "`tiny.heads` = 0: Input should be greater than 0"),
    (
        TrainingSettings,
        {"freeze": ["tower", "head"]},
        "`freeze` = 'head': Input should be 'tower', 'projector' or 'llm'",
    ),
    (BenchSettings, {"dtype": "int8"}, "`dtype` = 'int8': Input should be 'auto', 'float32', 'bfloat16' or 'float16'"),
    (QueueSettings, {"sample": 1.5}, f"`sample` = 1.5: {SHARE}"),
    (ServerSettings, {"port": 70_000}, "`port` = 70000: Input should be less than or equal to 65535"),
    # several settings that do not go together: their values stand in the message
    (BuildSettings, {"tile_size": 512, "overlap": 512}, "overlap 512 px must be less than the tile's 512 px"),
]


@pytest.mark.parametrize(("model", "values", "message"), WRONG)
def test_what_is_wrong_is_said_in_one_way(model: type[BaseModel], values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(model, NEEDED[model] | values)
    assert str(caught.value) == message


@pytest.mark.parametrize(("model", "values", "message"), WRONG)
def test_a_file_is_named_and_its_settings_are_no_options(
    model: type[BaseModel], values: dict[str, Any], message: str, tmp_path: Path
) -> None:
    config = tmp_path / "my.toml"
    config.write_text(tomli_w.dumps(NEEDED[model] | values))
    with pytest.raises(SettingsError) as caught:
        load_settings(model, {}, config=config)
    assert str(caught.value).removeprefix(f"{config}: ") == message.replace("`", "")


@pytest.mark.parametrize(
    ("model", "name"),
    [(BuildSettings, "src"), (AnnotateSettings, "model"), (TrainingSettings, "data"), (BenchSettings, "model")],
)
def test_what_is_missing_is_named(model: type[BaseModel], name: str) -> None:
    with pytest.raises(SettingsError, match=f"^`{name}` is needed$"):
        load_settings(model, {key: value for key, value in NEEDED[model].items() if key != name})


def test_every_stage_is_in_the_table() -> None:
    assert {model for model, values, _ in WRONG if len(values) == 1} == set(NEEDED)


@pytest.mark.parametrize("model", NEEDED)
def test_settings_that_were_written_are_read_again(model: type[BaseModel], tmp_path: Path) -> None:
    settings = load_settings(model, NEEDED[model])
    config = tmp_path / "my.toml"
    config.write_text(tomli_w.dumps({"settings": settings.model_dump(mode="json", exclude_none=True)}))
    assert load_settings(model, {}, config=config) == settings


@pytest.mark.parametrize(("model", "name"), [(JobSettings, {}), (BenchSettings, {"model": "openai:x"})])
@pytest.mark.parametrize("url", ["http://me:hunter2@host/v1", "https://host/v1?key=hunter2", "hunter2"])
def test_a_password_in_an_address_is_not_repeated(model: type[BaseModel], name: dict[str, str], url: str) -> None:
    with pytest.raises(SettingsError, match=r"^`base_url`: ") as caught:
        load_settings(model, name | {"base_url": url})
    assert "hunter2" not in f"{caught.value} {caught.value.__cause__}"


def test_a_list_is_written_with_commas_or_as_a_list() -> None:
    for tasks in ("OC,OCL=0.5", ["OC", "OCL=0.5"]):
        assert load_settings(BuildSettings, {"src": "s", "tasks": tasks}).tasks == ("OC", "OCL=0.5")
    assert load_settings(BuildSettings, {"src": "s", "bands": "3,2,1"}).bands == (3, 2, 1)
    assert load_settings(AnnotateSettings, {"model": "m", "steps": "verify, word"}).steps == ("word", "verify")
    # a path may hold a comma
    assert load_settings(BuildSettings, {"src": "s", "labels": ["a,b.gpkg"]}).labels == ("a,b.gpkg",)
