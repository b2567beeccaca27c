"""Which scene a name means."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsvqa.rsvqa_builder.label_files.identity import Identity, ImageNames, ScenePaths
from rsvqa.rsvqa_builder.labels.raw import LabelError

A, B = "/set/a/0001.png", "/set/b/0001.png"


def scenes_of(paths: tuple[str, ...], name: str, folder: str = "/set") -> tuple[str, ...]:
    return ScenePaths(paths).find_image(name, Path(folder)).scenes


@pytest.mark.parametrize(
    "name", ["a/0001.png", "a/0001.tif", "a/0001", "./a/0001.png", "b/../a/0001.png", "D:\\a\\0001.jpg"]
)
def test_names_are_compared_from_their_ends(name: str) -> None:
    assert scenes_of((A, B), name) == (A,)


def test_a_name_starts_in_the_folder_of_its_file() -> None:
    assert scenes_of((A, B), "0001.png", "/set/b") == (B,)
    assert scenes_of((A, B), "../a/0001.png", "/set/b") == (A,)


def test_a_bare_stem_that_scenes_share_means_none_of_them_alone() -> None:
    assert scenes_of((A, B), "0001.png") == (A, B)
    assert scenes_of((A, B), "c/0001.png") == (A, B)
    assert scenes_of((A,), "c/0001.png") == (A,)
    assert scenes_of((A, B), "0002.png") == ()


def test_case_is_as_on_disk_where_that_tells_scenes_apart() -> None:
    assert scenes_of(("/set/P1.png", "/set/p1.png"), "p1.png") == ("/set/p1.png",)
    assert scenes_of(("/set/P1.png",), "p1.PNG") == ("/set/P1.png",)


def test_layout_folders_do_not_hide_the_part_of_the_set() -> None:
    paths = ("/set/train/images/1.png", "/set/val/images/1.png")
    found = ScenePaths(paths).find_labelled(Path("/set/val/labels/1.txt"), "1")
    assert found.scenes == paths[1:]


def test_of_several_names_the_nearest_is_the_scenes() -> None:
    names = ImageNames.of(["a/0001.png", "b/0001.png", "b/0002.png"])
    assert Identity(A).images(names, Path("/set")) == {"a/0001.png"}
    assert Identity(B, (A,)).images(names, Path("/elsewhere")) == {"b/0001.png"}


def test_what_stays_open_is_refused_by_name() -> None:
    with pytest.raises(LabelError, match=r"its image '0001.png' may be /set/a/0001.png or /set/b/0001.png"):
        Identity(A, (B,)).images(ImageNames.of(["0001.png"]), Path("/set"))
    with pytest.raises(LabelError, match=r"its images 'a/0001.png' and 'b/0001.png' may both be the scene /flat"):
        Identity("/flat/0001.png").images(ImageNames.of(["a/0001.png", "b/0001.png"]), Path("/flat"))


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=3), st.lists(st.sampled_from("abc"), max_size=2))
def test_a_scene_is_found_by_its_own_path_among_any_others(folders: list[str], other: list[str]) -> None:
    own, rival = "/set/" + "/".join([*folders, "1.png"]), "/set/" + "/".join([*other, "1.png"])
    paths = tuple(dict.fromkeys((own, rival)))
    assert scenes_of(paths, "/".join([*folders, "1.png"])) == (own,)
