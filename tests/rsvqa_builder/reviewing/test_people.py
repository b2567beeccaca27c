"""People are read from a file and given links; what is wrong with the file is told in one line."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import shapely

from rsvqa.annotation.review.people import People, PersonSettings
from rsvqa.annotation.review.store import ReviewStore
from rsvqa.rsvqa_builder.dataset.shards import ShardError
from rsvqa.rsvqa_builder.reviewing.people import invitation_lines, invite, read_people
from rsvqa.rsvqa_builder.reviewing.serve import ReviewError
from tests.rsvqa_builder.make_review import write_data_set
from tests.rsvqa_builder.reviewing.test_drawn_labels import IN_DEGREES, make_data
from tests.run_build import rsvqa

ROOT = Path(__file__).parents[3]
FILE = """
[ann]
tasks = ["overall_counting"]
scenes = ["a*"]

["Eva Müller"]
role = "expert"
"""


def written(folder: Path, text: str) -> Path:
    (folder / "people.toml").write_text(text, "utf-8")
    return folder / "people.toml"


def test_people_are_tables(tmp_path: Path) -> None:
    assert read_people(written(tmp_path, FILE)) == {
        "ann": PersonSettings(tasks=("overall_counting",), scenes=("a*",)),
        "Eva Müller": PersonSettings(role="expert"),
    }
    assert read_people(written(tmp_path, "")) == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[ann", "no TOML: "),
        ("ann = 1", "ann: Input should be a valid dictionary or instance of PersonSettings"),
        ('[ann]\nrole = "king"', "ann.role: Input should be 'annotator', 'expert' or 'lead'"),
        ('[ann]\ntasks = ["cars"]', "ann.tasks.0: no task 'cars'; expected one of overall_counting"),
        ("[ann]\nrule = 1", "ann.rule: Extra inputs are not permitted"),
        ('["a\\nb"]', "expected printable characters"),
        ('[" "]', "String should have at least 1 character"),
    ],
)
def test_a_file_of_another_kind_is_refused_in_one_line(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ReviewError) as refused:
        read_people(written(tmp_path, text))
    assert problem in str(refused.value)
    assert str(refused.value).startswith(str(tmp_path / "people.toml"))


def areas(src: Path) -> dict[str, tuple[str, ...]]:
    with ReviewStore(src / "review.sqlite") as store:
        return {person.name: person.duty.tiles for person in People(store.database).all()}


def test_an_area_is_the_tiles_whose_middles_lie_in_it(tmp_path: Path) -> None:
    # two tiles of 512 px of a millionth of a degree, side by side: their middles are at 7.000256° and 7.000768° east
    src = make_data(tmp_path, **IN_DEGREES)
    text = "[ann]\narea = [7.0, 44.9, 7.0005, 45.1]\n[bob]\narea = 'east.gpkg'\n[eva]\n"
    pyogrio.raw.write(
        tmp_path / "east.gpkg",
        shapely.to_wkb(np.array([shapely.box(7.0005, 44.9, 8, 45.1)])),
        [],
        [],
        geometry_type="Polygon",
        crs="EPSG:4326",
    )
    invite(src, read_people(written(tmp_path, text)))
    assert areas(src) == {"ann": ("port/0_0",), "bob": ("port/512_0",), "eva": ()}
    with pytest.raises(ReviewError, match=r"ann\.area: no tile of .* lies in it; 2 tiles have a footprint"):
        invite(src, {"ann": PersonSettings(area=(0, 0, 1, 1))})
    with pytest.raises(ReviewError, match=r"ann\.area: cannot read .*none\.gpkg"):
        invite(src, {"ann": PersonSettings(area=str(tmp_path / "none.gpkg"))})


def test_links_are_told_once(tmp_path: Path) -> None:
    src = write_data_set(tmp_path / "superrs")
    people = read_people(written(tmp_path, FILE))
    tokens = invite(src, people)
    assert list(invitation_lines(people, tokens, "http://box:8417/")) == [
        f"ann\tannotator\thttp://box:8417/{tokens['ann']}/",
        f"Eva Müller\texpert\thttp://box:8417/{tokens['Eva Müller']}/",
    ]
    assert invite(src, people) == {}
    assert next(invitation_lines(people, {}, "http://box:8417")) == "ann\tannotator\t(has a link)"
    with pytest.raises(ReviewError, match="`renew` bob: expected one of the people, ann, Eva Müller"):
        invite(src, people, renew=["bob"])
    with pytest.raises(ShardError):
        invite(tmp_path / "nothing", people)
    assert not (tmp_path / "nothing").exists()
    assert list(invitation_lines({}, invite(src, {}), "x")) == [
        "nobody has a link any more: whoever opens the review types a name"
    ]


def test_a_link_of_the_command_opens_the_review(tmp_path: Path) -> None:
    src = write_data_set(tmp_path / "superrs")
    run = rsvqa("review", "people", "--data", str(src), "--people", str(written(tmp_path, FILE)))
    path = run.out.splitlines()[0].split("/")[3]
    command = [sys.executable, "-m", "rsvqa", "review", "serve", "--data", str(src), "--sample", "1", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.count("/") == 3  # nobody's token
        with urllib.request.urlopen(f"{url}{path}/", timeout=20) as page:  # noqa: S310  our own address
            assert b"<title>Review</title>" in page.read()
        process.terminate()
        _, messages = process.communicate(timeout=20)
    assert "each person opens the link" in messages


@pytest.mark.parametrize(("one", "other"), [("ann", " ann "), ("Jos\u00e9", "Jose\u0301")])
def test_two_people_of_one_name_are_refused(tmp_path: Path, one: str, other: str) -> None:
    file = tmp_path / "people.toml"
    file.write_text(f'["{one}"]\n["{other}"]\nrole = "lead"\n', "utf-8")
    with pytest.raises(ReviewError, match="stands for two people: give each a name of his own"):
        read_people(file)
