"""From an unlabelled scene to a benchmark run: people draw, the rules ask, people accept, shards come out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsvqa.annotation.review.queue import QueueSettings
from rsvqa.rsvqa_builder.dataset.stored_tiles import read_tiles
from rsvqa.rsvqa_builder.reviewing.apply import apply_review
from rsvqa.rsvqa_builder.reviewing.serve import open_review
from tests.annotation.review.running_server import Client, running
from tests.rsvqa_builder.make_rasters import make_pixels, write_raster
from tests.rsvqa_builder.make_review import write_data_set
from tests.run_build import build, rsvqa

SHIPS = [[40 + 100 * i, 60, 80 + 100 * i, 90] for i in range(4)]
"""Four boxes of 40 x 30 px in a row, tile pixels."""


def ship(object_id: str, box: list[int], **changes: Any) -> dict[str, Any]:
    """Return the change that draws a box around a ship."""
    content = {"class_name": "ship", "form": "box", "points": [box[:2], box[2:]], **changes}
    return {"object_id": object_id, "content": content}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bare")
    (folder / "scenes").mkdir()
    write_raster(folder / "scenes" / "port.tif", make_pixels(3, 512, 512))
    done = build(folder / "scenes", folder / "superrs")
    assert done.code == 0
    assert "1 tiles without a question are in tiles/: `rsvqa review` opens them" in done.out
    return folder / "superrs"


@pytest.fixture
def data(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "superrs"))


@pytest.fixture
def client(data: Path) -> Iterator[Client]:
    with (
        open_review(data, QueueSettings()) as review,
        running(review.store, pictures=review.pictures, drawings=review.drawings) as client,
    ):
        yield client


class Person:
    """Draws on the only tile of a data set."""

    def __init__(self, client: Client, name: str = "ann") -> None:
        self._client, self._name = client, name
        self._count = 0
        self.tile = client.post("draw/tiles", {}).json["tiles"][0]

    def rename(self, name: str) -> None:
        """Give somebody else's work a name of its own."""
        self._name = name

    def post(self, path: str, **body: Any) -> Any:
        self._count += 1
        identity = {"reviewer": self._name, "tile": self.tile["key"]}
        if path in ("draw/change", "draw/judge"):
            identity["request_id"] = f"request-of-{self._name}-{self._count:06d}"
        answer = self._client.post(path, {**identity, **body})
        assert answer.status == 200, answer.body
        return answer.json


def test_a_tile_without_questions_is_shown_in_pixels_of_its_scene(client: Client) -> None:
    person = Person(client)
    assert person.tile["num_questions"] == 0
    tile = person.post("draw/tile")
    assert (tile["width"], tile["height"], tile["gsd"], tile["objects"]) == (512, 512, 1.0, [])
    assert {"name": "ship", "singular": "ship", "role": "object", "kind": "ship"} in tile["classes"]
    assert client.get(f"tiles/{tile['picture']}/9/0_0.jpg").status == 200


def test_counts_are_asked_only_where_a_person_declares_the_class_complete(client: Client) -> None:
    person = Person(client)
    person.post("draw/change", objects=[ship(f"s{i}", box) for i, box in enumerate(SHIPS)])
    before = person.post("draw/questions")
    assert "overall_counting" not in {question["task"] for question in before["questions"]}
    person.post("draw/change", complete=[{"class_name": "ship", "is_complete": True}])
    counting = [q for q in person.post("draw/questions")["questions"] if q["task"] == "overall_counting"]
    assert counting
    for question in counting:
        content = question["content"]
        right = [option for option in content["options"] if option[1] == content["answer"]]
        assert right[0].endswith(" 4")  # four were drawn
        assert sorted(question["objects"]) == ["s0", "s1", "s2", "s3"]


def test_from_a_bare_scene_to_a_benchmark(client: Client, data: Path, tmp_path: Path) -> None:
    person = Person(client)
    person.post(
        "draw/change",
        objects=[ship(f"s{i}", box) for i, box in enumerate(SHIPS)],
        complete=[{"class_name": "ship", "is_complete": True}],
    )
    found = person.post("draw/questions")["questions"]
    counting = next(question for question in found if question["task"] == "overall_counting")
    others = [question for question in found if question is not counting]
    person.post("draw/judge", question_id=counting["question_id"], verdict="accepted")
    person.post("draw/judge", question_id=others[0]["question_id"], verdict="discarded")
    report = apply_review(data, tmp_path / "reviewed")
    assert report["drawn"] == {"questions": 1, "outdated": []}
    ((record,),) = (tile.rows.records for tile in read_tiles(tmp_path / "reviewed"))
    assert (record.question_id, record.review, record.source) == (counting["question_id"], "accepted", "rule")
    assert list(record.options) == counting["content"]["options"]
    assert record.right_options == ("4",)
    assert not any((tmp_path / "reviewed" / "tiles").glob("*"))
    words = ["--data", tmp_path / "reviewed", "--split", "train", "--out", tmp_path / "run", "--json"]
    done = rsvqa("bench", "--model", "majority", *words)
    assert done.code == 0, done.err
    assert json.loads(done.out)["num_questions"] == 1


def test_an_accepted_question_goes_when_its_objects_change(client: Client, data: Path, tmp_path: Path) -> None:
    person = Person(client)
    complete = [{"class_name": "ship", "is_complete": True}]
    numbers = person.post("draw/change", objects=[ship(f"s{i}", b) for i, b in enumerate(SHIPS)], complete=complete)
    question = next(q for q in person.post("draw/questions")["questions"] if q["task"] == "overall_counting")
    person.post("draw/judge", question_id=question["question_id"], verdict="accepted")
    person.post("draw/change", objects=[{"object_id": "s0", "before": numbers["numbers"]["s0"]}])
    assert person.post("draw/questions")["outdated"] == 1
    report = apply_review(data, tmp_path / "reviewed")
    assert report["drawn"] == {"questions": 0, "outdated": [question["question_id"]]}


def test_who_draws_first_leaves_no_trace_in_the_shards(template: Path, tmp_path: Path) -> None:
    digests = []
    for turn, order in enumerate(([0, 1, 2, 3], [3, 1, 0, 2])):
        data = Path(shutil.copytree(template, tmp_path / str(turn) / "superrs"))
        with (
            open_review(data, QueueSettings()) as review,
            running(review.store, pictures=review.pictures, drawings=review.drawings) as client,
        ):
            for index in order:
                person = Person(client, f"person-{index}{turn}")
                person.post("draw/change", objects=[ship(f"s{index}", SHIPS[index])])
            person.post("draw/change", complete=[{"class_name": "ship", "is_complete": True}])
            for question in sorted(person.post("draw/questions")["questions"], key=lambda q: (turn, q["task"])):
                person.post("draw/judge", question_id=question["question_id"], verdict="accepted")
        apply_review(data, tmp_path / str(turn) / "out")
        shards = sorted((tmp_path / str(turn) / "out" / "data").glob("*.parquet"))
        digests.append([path.read_bytes() for path in shards])
    assert digests[0]
    assert digests[0] == digests[1]


def test_colours_are_asked_of_true_colour_scenes_only(tmp_path: Path) -> None:
    red = np.full((3, 512, 512), 40, np.uint8)
    red[0, 60:100, 60:120] = 220
    asked = {}
    for name, photometric in {"rgb": "rgb", "grey": "minisblack"}.items():
        (tmp_path / name).mkdir()
        write_raster(tmp_path / name / "port.tif", red, photometric=photometric)
        assert build(tmp_path / name, tmp_path / f"{name}-set").code == 0
        with (
            open_review(tmp_path / f"{name}-set", QueueSettings()) as review,
            running(review.store, pictures=review.pictures, drawings=review.drawings) as client,
        ):
            person = Person(client)
            outline = [[60, 60], [120, 60], [120, 100], [60, 100]]
            drawn = ship("s", [0, 0, 0, 0], form="polygon", points=outline, attributes={"colour": "red"})
            person.post("draw/change", objects=[drawn])
            asked[name] = {question["task"] for question in person.post("draw/questions")["questions"]}
    assert "object_colour" in asked["rgb"]
    assert "object_colour" not in asked["grey"]


def test_a_data_set_whose_tiles_all_have_questions_opens_for_questions(tmp_path: Path) -> None:
    data = write_data_set(tmp_path / "superrs")
    with open_review(data, QueueSettings(sample=1)) as review:
        assert [tile.num_questions for tile in review.drawings.tiles.values()] == [4, 4, 4]


def test_what_was_drawn_on_another_picture_is_kept_and_not_shown(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        open_review(data, QueueSettings()) as review,
        running(review.store, pictures=review.pictures, drawings=review.drawings) as client,
    ):
        Person(client).post("draw/change", objects=[ship("s0", SHIPS[0])])
    (tmp_path / "others").mkdir()
    write_raster(tmp_path / "others" / "port.tif", make_pixels(3, 512, 512, seed=1))
    assert build(tmp_path / "others", tmp_path / "new").code == 0
    with (
        open_review(tmp_path / "new", QueueSettings(), store=data / "review.sqlite") as review,
        running(review.store, pictures=review.pictures, drawings=review.drawings) as client,
    ):
        assert Person(client).post("draw/tile")["objects"] == []
    assert "1 tiles that somebody has drawn on are not in the data set as they were" in capsys.readouterr().err
