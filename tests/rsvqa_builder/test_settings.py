"""Settings from the command line and from files."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsvqa.rsvqa_builder.config import SettingsError, load_settings
from rsvqa.rsvqa_builder.settings import BuildSettings, Profile


def test_the_default_profile_keeps_scenes_of_10000_px_whole() -> None:
    settings = load_settings(BuildSettings, {"src": "scenes"})
    assert (settings.tile_px, settings.whole_up_to) == (8192, 10_000)


def test_a_tile_size_of_ones_own_cuts_everything_larger() -> None:
    settings = load_settings(BuildSettings, {"src": "scenes", "tile_size": 4096})
    assert (settings.tile_px, settings.whole_up_to) == (4096, 4096)


def test_a_weight_is_a_share_of_the_questions_per_task() -> None:
    settings = load_settings(BuildSettings, {"src": "s", "tasks": ("OC", "object_colour=0.5", "rp=2"), "per_task": 3})
    # 0.5 × 3 = 1.5, rounded up
    assert settings.task_limits == {"overall_counting": 3, "object_colour": 2, "route_planning": 6}


def test_a_config_file_is_overridden_by_the_command_line(tmp_path: Path) -> None:
    config = tmp_path / "build.toml"
    config.write_text('[settings]\nsrc = "a"\nseed = 7\nsplit = [0.5, 0.25, 0.25]\n[versions]\nrsvqa = "0"\n')
    settings = load_settings(BuildSettings, {"src": "b"}, config=config)
    assert (settings.src, settings.seed, settings.split_shares) == ("b", 7, (0.5, 0.25, 0.25))


def test_an_unknown_key_names_the_nearest(tmp_path: Path) -> None:
    config = tmp_path / "build.toml"
    config.write_text('src = "a"\ntilesize = 7\n')
    with pytest.raises(SettingsError, match=r"build.toml: unknown setting 'tilesize'; did you mean 'tile_size'"):
        load_settings(BuildSettings, {}, config=config)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"split_shares": (0.5, 0.5, 0.5)}, "`split_shares` = .*sum to 1"),
        ({"overlap": 8192}, "overlap 8192 px must be less than the tile's 8192 px"),
        ({"quality": 0}, "`quality` = 0: .*greater than or equal to 1"),
        ({"tile_size": 70_000}, "`tile_size` = 70000: .*less than or equal to 65500"),
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_settings(BuildSettings, {"src": "s", **values})


@pytest.mark.parametrize(
    ("src", "name"),
    [
        ("/data/harbours/", "harbours"),
        ("../scenes", "scenes"),
        ("s3://bucket/alps/", "alps"),
        ("superrs.toml", "superrs"),
        ("/data/alps/*.tif", "alps"),
        (("a", "b", "/x/a"), "a + b"),
        (("a", "b", "c", "d", "e"), "a + b + c + 2 more"),
        ("/", "highrs"),
    ],
)
def test_a_data_set_is_called_by_its_sources_or_as_it_is_told(src: str | tuple[str, ...], name: str) -> None:
    assert BuildSettings(src=src, profile=Profile.HIGHRS).data_set_name == name
    assert BuildSettings(src=src, name="Häfen «1»").data_set_name == "Häfen «1»"


def test_a_folder_has_one_name_however_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "alps" / "out").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "alps" / "out")
    assert [BuildSettings(src=src).data_set_name for src in ("..", "../../alps", str(tmp_path / "alps"))] == [
        "alps"
    ] * 3


@pytest.mark.parametrize("name", ["", " ", "a\nb", " a", "x" * 101])
def test_a_name_that_is_no_line_of_text_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="`name`"):
        load_settings(BuildSettings, {"src": "s", "name": name})
