"""Red, green and blue in a file each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rsvqa.rsvqa_builder.config import load_settings
from rsvqa.rsvqa_builder.label_check import check_labels
from rsvqa.rsvqa_builder.progress import QuietReporter
from rsvqa.rsvqa_builder.scenes.georeference import AffineCoefficients
from rsvqa.rsvqa_builder.scenes.rasters import SceneError
from rsvqa.rsvqa_builder.scenes.rendering import open_raster, read_raw
from rsvqa.rsvqa_builder.scenes.scene_files import SceneFile
from rsvqa.rsvqa_builder.scenes.scenes_file import ScenesFileError
from rsvqa.rsvqa_builder.scenes.stacks import BandStack, describe_stack, open_stack, stack_bands
from rsvqa.rsvqa_builder.scenes.tiling import Window
from rsvqa.rsvqa_builder.settings import BuildSettings
from tests.rsvqa_builder.make_rasters import NORTH_UP_1M, make_pixels, write_raster

LANDSAT = "LC08_L2SP_006066_20180704_20200831_02_T1"
SENTINEL = "T31UFU_20200101T105441"


def found_in(names: list[str]) -> dict[str, list[str]]:
    """Return the files that each scene is made of, by its id."""
    files = [SceneFile(f"{name}.tif", name) for name in sorted(names)]
    return {
        file.scene_id: [Path(path).stem for path in stack.paths] if stack else [Path(file.path).stem]
        for file, stack in stack_bands(files, "src")
    }


@pytest.mark.parametrize(
    ("names", "scene_id", "bands"),
    [
        ([f"{LANDSAT}_SR_B{n}" for n in range(1, 8)], f"{LANDSAT}_SR", [f"{LANDSAT}_SR_B{n}" for n in (4, 3, 2)]),
        (["LE07_L1TP_006066_20000704_20200831_02_T1_" + b for b in ("B1", "B2", "B3", "B6_VCID_1", "QA_PIXEL")],
         "LE07_L1TP_006066_20000704_20200831_02_T1",
         [f"LE07_L1TP_006066_20000704_20200831_02_T1_B{n}" for n in (3, 2, 1)]),
        ([f"LC80060662018001LGN00_B{n}" for n in (2, 3, 4)], "LC80060662018001LGN00",
         [f"LC80060662018001LGN00_B{n}" for n in (4, 3, 2)]),
        ([f"{SENTINEL}_B0{n}" for n in (2, 3, 4, 8)], SENTINEL, [f"{SENTINEL}_B0{n}" for n in (4, 3, 2)]),
        ([f"R{s}m/{SENTINEL}_B0{n}_{s}m" for n in (2, 3, 4) for s in (10, 20, 60)], f"R10m/{SENTINEL}_10m",
         [f"{SENTINEL}_B0{n}_10m" for n in (4, 3, 2)]),
    ],
)  # fmt: skip
def test_products_are_known_by_their_names(names: list[str], scene_id: str, bands: list[str]) -> None:
    assert found_in(names) == {scene_id: bands}


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["a_B4", "a_B3", "a_B2"],  # whose bands are these?
        [f"{LANDSAT}_B4", f"{LANDSAT}_B3"],
        [f"{LANDSAT}_B4", f"{LANDSAT}_B3", "LC08_L2SP_006066_20190704_20200831_02_T1_B2"],
        [f"a/{LANDSAT}_B4", f"b/{LANDSAT}_B3", f"b/{LANDSAT}_B2"],
        [*(f"{SENTINEL}_B0{n}_10m" for n in (2, 3, 4)), f"{SENTINEL}_TCI_10m"],
        [*(f"{LANDSAT}_B{n}" for n in (2, 3, 4)), LANDSAT],
    ],
)
def test_other_files_stay_as_they_are(names: list[str]) -> None:
    assert found_in(names) == {name: [Path(name).name] for name in sorted(names)}


def write_bands(folder: Path, names: tuple[str, str, str]) -> list[np.ndarray]:
    folder.mkdir(exist_ok=True)
    pixels = [make_pixels(1, 70, 90, dtype="uint16", seed=seed) for seed in range(3)]
    for name, band in zip(names, pixels, strict=True):
        write_raster(folder / name, band, nodata=0)
    return pixels


def test_a_stack_reads_the_pixels_of_its_files(tmp_path: Path) -> None:
    red, green, blue = write_bands(tmp_path, ("r.tif", "g.tif", "b.tif"))
    paths = (str(tmp_path / "r.tif"), str(tmp_path / "g.tif"), str(tmp_path / "b.tif"))
    described = describe_stack(BandStack(paths, "as told"), "town")
    assert (described.bands, described.is_true_colour, described.path) == ((1, 2, 3), True, paths[0])
    assert described.notes == ("as told",)
    scene = open_stack(described, tmp_path / "work")
    with open_raster(scene.path) as dataset:
        assert [colour.name for colour in dataset.colorinterp] == ["red", "green", "blue"]
        pixels, _ = read_raw(dataset, scene, Window(0, 0, 90, 70))
    np.testing.assert_array_equal(pixels, np.concatenate([red, green, blue]))


@pytest.mark.parametrize(
    ("what", "pixels", "profile"),
    [
        ("size", make_pixels(1, 140, 180, dtype="uint16"), {}),
        ("georeference", make_pixels(1, 70, 90, dtype="uint16"), {"transform": NORTH_UP_1M._replace(c=500_001.0)}),
        ("data type", make_pixels(1, 70, 90), {}),
        ("nodata value", make_pixels(1, 70, 90, dtype="uint16"), {"nodata": 9}),
    ],
)
def test_bands_that_do_not_fit_together_are_refused(
    tmp_path: Path, what: str, pixels: np.ndarray, profile: dict[str, AffineCoefficients | int]
) -> None:
    write_bands(tmp_path, ("r.tif", "g.tif", "b.tif"))
    write_raster(tmp_path / "g.tif", pixels, **{"nodata": 0, **profile})  # type: ignore[arg-type]
    paths = (str(tmp_path / "r.tif"), str(tmp_path / "g.tif"), str(tmp_path / "b.tif"))
    with pytest.raises(SceneError, match=rf"its bands r\.tif and g\.tif differ in {what}: bring them to one grid"):
        describe_stack(BandStack(paths, ""), "town")


def test_a_scenes_file_stacks_any_bands_and_the_dry_run_shows_it(tmp_path: Path) -> None:
    write_bands(tmp_path, ("r.tif", "g.tif", "b.tif"))
    (tmp_path / "scenes.toml").write_text('[[stack]]\nred = "r.tif"\ngreen = "g.tif"\nblue = "b.tif"\n')
    (tmp_path / "r.txt").write_text("10 20 30 20 30 40 10 40 plane 0\n")
    settings = load_settings(BuildSettings, {"src": str(tmp_path), "classes": "dota"})
    report = check_labels(settings, num_workers=0, reporter=QuietReporter(), out=tmp_path / "page")
    assert list(report["scenes"]) == ["r"]
    assert report["scenes"]["r"]["labels"]["by_class"] == {"plane": 1}
    assert "red, green and blue are r.tif, g.tif and b.tif, as scenes.toml says" in report["scenes"]["r"]["notes"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('red = "r.tif"\ngreen = "g.tif"\nblue = "no.tif"', "'no.tif' does not exist"),
        ('red = "r.tif"\ngreen = "r.tif"\nblue = "b.tif"', "'r.tif' is in two places of a stack"),
        ('red = "r.tif"\ngreen = "g.tif"', "stack.1.blue: field required"),
        ('red = "r.tif"\ngreen = "g.tif"\nbleu = "b.tif"', "field required"),
    ],
)
def test_a_wrong_stack_is_explained(tmp_path: Path, text: str, message: str) -> None:
    write_bands(tmp_path, ("r.tif", "g.tif", "b.tif"))
    (tmp_path / "scenes.toml").write_text(f"[[stack]]\n{text}\n")
    files = [SceneFile(str(tmp_path / f"{name}.tif"), name) for name in "bgr"]
    with pytest.raises(ScenesFileError, match=r"scenes\.toml: ") as raised:
        stack_bands(files, str(tmp_path))
    assert message in str(raised.value)
