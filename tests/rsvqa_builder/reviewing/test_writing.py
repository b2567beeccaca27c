"""From a bare scene to a benchmark: people write questions, others judge them, shards come out and are scored."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsvqa.annotation.authoring.writing_queue import leave
from rsvqa.annotation.images import decode_image
from rsvqa.annotation.review.queue import QueueSettings
from rsvqa.annotation.review.store import ReviewStore
from rsvqa.rsvqa_builder.dataset.records import Record
from rsvqa.rsvqa_builder.dataset.stored_tiles import read_tiles
from rsvqa.rsvqa_builder.reviewing.apply import Undecided, apply_review, summary_lines
from rsvqa.rsvqa_builder.reviewing.serve import open_review
from rsvqa.rsvqa_builder.scenes.georeference import AffineCoefficients
from tests.annotation.review.running_server import Answer, Client, running
from tests.rsvqa_builder.make_rasters import make_pixels, write_raster
from tests.run_build import build, rsvqa

FREE = {
    "task": "overall_counting",
    "question": "How many tugs wait at the pier?",
    "options": ["1", "2", "3", "4"],
    "right": [2],
    "shapes": [{"form": "box", "points": [[10, 10], [60, 40]]}],
}
FROM_TEMPLATE = {
    "task": "object_colour",
    "template": "object_colour.question",
    "question": "What is the colour of the ship inside the bounding box? Image resolution: 512 x 512. "
    "Bounding box: [10, 10, 60, 40].",
    "options": ["red", "blue", "white", "black"],
    "right": [0],
    "box": [10, 10, 60, 40],
}
PLACE = AffineCoefficients(0.5, 0, 500_000, 0, -0.5, 4_000_000)
FIND = {"task": "fine_grained_grounding", "question": "Where is the tug?", "box": [128, 64, 256, 192]}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bare")
    (folder / "scenes").mkdir()
    write_raster(folder / "scenes" / "port.tif", make_pixels(3, 512, 512))
    assert build(folder / "scenes", folder / "superrs").code == 0
    return folder / "superrs"


@pytest.fixture
def data(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "superrs"))


@contextmanager
def serving(data: Path, *, sample: float = 0) -> Iterator[Client]:
    with (
        open_review(data, QueueSettings(sample=sample)) as review,
        running(
            review.store, pictures=review.pictures, drawings=review.drawings, views=review.views, places=review.places
        ) as client,
    ):
        yield client


def write(client: Client, key: str, content: Any, *, name: str = "ann", before: int = 0) -> int:
    """Write a question on the only tile and return its number."""
    tile = client.post("draw/tiles", {}).json["tiles"][0]["key"]
    body = {"reviewer": name, "tile": tile, "key": key, "before": before, "content": content}
    answer = client.post("draw/write", {**body, "request_id": f"write-{key}-{before:016d}"})
    assert answer.status == 200, answer.body
    return int(answer.json["numbers"][key])


def judge(client: Client, name: str, action: str, **changes: Any) -> str:
    """Judge the next question, its answer given first, and return its id."""
    shown = client.post("next", {"reviewer": name}).json
    assert shown["is_blind"]
    asked = {"reviewer": name, "question_id": shown["question"]["question_id"]}
    box = [0.1, 0.1, 0.2, 0.2] if shown["question"]["form"] == "box" else None
    shown = client.post("answer", {**asked, "answer": "" if box else "A", "bbox": box}).json
    body = {**asked, "action": action, "content": {**shown["question"]["content"], **changes}, "reason": "wrong answer"}
    assert (
        client.post("decide", {**body, "request_id": f"decision-{asked['question_id'].rpartition('-')[2]}"}).status
        == 200
    )
    return str(asked["question_id"])


def records(folder: Path) -> dict[str, Record]:
    return {record.task: record for tile in read_tiles(folder) for record in tile.rows.records}


def test_from_a_bare_scene_to_a_benchmark(data: Path, tmp_path: Path) -> None:
    with serving(data) as client:
        write(client, "free", FREE)
        write(client, "made", FROM_TEMPLATE)
        write(client, "find", FIND)
    report = apply_review(data, tmp_path / "made")
    assert report["written"] == {"questions": 3}
    assert summary_lines(report, tmp_path / "made") == [
        f"3 questions in {tmp_path / 'made'}: 0 accepted, 0 fixed, 3 undecided; people wrote 3 questions"
    ]
    card = (tmp_path / "made" / "README.md").read_text("utf-8")
    assert "People wrote 3 (`source` is human, and the rule `written_by_person`)." in card
    found = records(tmp_path / "made")
    assert {(record.source, record.review) for record in found.values()} == {("human", "none")}
    free, coloured = found["overall_counting"], found["object_colour"]
    assert (free.question, free.right_options) == ("How many tugs wait at the pier?", ("3",))
    assert free.evidence["rule"] == "written_by_person"
    assert free.evidence["values"] == {"origin": "person"}
    assert free.evidence["geometry"] == "POLYGON ((60 10, 60 40, 10 40, 10 10, 60 10))"
    assert coloured.evidence["values"] == {"origin": "person", "template": "object_colour.question"}
    # 128, 64, 256 and 192 of 512 px
    assert found["fine_grained_grounding"].answer == "[0.25, 0.125, 0.5, 0.375]"
    assert not any((tmp_path / "made" / "tiles").glob("*"))
    words = ["--data", tmp_path / "made", "--split", "train", "--out", tmp_path / "run", "--json"]
    done = rsvqa("bench", "--model", "majority", *words)
    assert done.code == 0, done.err
    assert json.loads(done.out)["num_questions"] == 3
    done = rsvqa("audit", tmp_path / "made", "--out", tmp_path / "audit")
    assert done.code == 0, done.err
    assert json.loads((tmp_path / "audit" / "audit.json").read_text())["defects"] == []


def test_a_second_persons_word_decides_what_is_written(data: Path, tmp_path: Path) -> None:
    with serving(data) as client:
        write(client, "free", FREE)
        judge(client, "ben", "save")
        write(client, "find", FIND)
        judge(client, "ben", "save", bbox=[0.5, 0.5, 0.75, 0.75])
    apply_review(data, tmp_path / "made")
    found = records(tmp_path / "made")
    assert found["overall_counting"].review == "accepted"
    assert found["fine_grained_grounding"].review == "needed"  # the two differ: held back until a third decides
    assert found["fine_grained_grounding"].answer == "[0.25, 0.125, 0.5, 0.375]"
    with serving(data) as client:
        shown = client.post("next", {"reviewer": "cleo"}).json
        assert len(shown["opinions"]) == 2
        asked = {"reviewer": "cleo", "question_id": shown["question"]["question_id"], "request_id": "c" * 20}
        assert client.post("decide", {**asked, "action": "reject", "reason": "not useful"}).status == 200
    report = apply_review(data, tmp_path / "settled")
    assert set(records(tmp_path / "settled")) == {"overall_counting"}
    assert report["rejected_reasons"] == {"not useful": 1}


def test_nobody_else_has_to_look_but_may_be_waited_for(data: Path, tmp_path: Path) -> None:
    with serving(data) as client:
        write(client, "free", FREE)
    report = apply_review(data, tmp_path / "made", undecided=Undecided.DROP)
    assert report["questions"]["dropped"] == 1
    assert records(tmp_path / "made") == {}


def test_what_is_written_into_a_data_set_is_not_written_twice(data: Path, tmp_path: Path) -> None:
    with serving(data) as client:
        write(client, "free", FREE)
    apply_review(data, tmp_path / "made")
    shutil.copy(data / "review.sqlite", tmp_path / "made" / "review.sqlite")
    with serving(tmp_path / "made", sample=1) as client:
        tile = client.post("draw/tiles", {}).json["tiles"][0]["key"]
        asked = {"reviewer": "ben", "tile": tile, "key": "new", "content": FREE}
        assert client.post("draw/check", asked).json["problems"] == ["this is asked about the tile already"]
    report = apply_review(tmp_path / "made", tmp_path / "again")
    assert "written" not in report
    assert len(records(tmp_path / "again")) == 1


def test_the_queue_is_made_anew_from_what_is_written(data: Path) -> None:
    with serving(data) as client:
        write(client, "free", FREE)
        question_id = client.post("next", {"reviewer": "ben"}).json["question"]["question_id"]
    with ReviewStore(data / "review.sqlite") as store:  # as if the server had ended between its two writes
        leave(store, store.question(question_id))
    with serving(data) as client:
        assert client.post("next", {"reviewer": "ben"}).json["question"]["question_id"] == question_id


def test_who_writes_first_and_when_leaves_no_trace_in_the_shards(template: Path, tmp_path: Path) -> None:
    files = []
    for turn, (first, second) in enumerate(((FREE, FIND), (FIND, FREE))):
        data = Path(shutil.copytree(template, tmp_path / str(turn) / "superrs"))
        with serving(data) as client:
            number = write(client, "one", {**first, "question": "Is this a draft?"}, name=f"ann{turn}")
            write(client, "two", second, name=f"ben{turn}")
            write(client, "one", first, name=f"ann{turn}", before=number)
        apply_review(data, tmp_path / str(turn) / "made")
        shards = sorted((tmp_path / str(turn) / "made" / "data").glob("*.parquet"))
        files.append([path.read_bytes() for path in shards])
    assert files[0]
    assert files[0] == files[1]


def test_a_guess_is_told_while_it_is_typed(data: Path) -> None:
    asked = {"task": "object_presence", "options": ["Yes", "No"]}
    with serving(data) as client:
        tile = client.post("draw/tiles", {}).json["tiles"][0]["key"]
        for number in range(9):
            right = [1] if number == 4 else [0]
            write(client, f"q{number}", {**asked, "question": f"Is there a ship at pier {number}?", "right": right})
        body = {"reviewer": "ann", "tile": tile, "key": "new"}
        content = {**asked, "question": "Is there a crane?", "right": [0]}
        answer = client.post("draw/check", {**body, "content": content}).json
        # eight of nine and this one: 9 of 10 are yes, of which the option stands first in all
        assert answer["problems"] == []
        assert answer["warnings"] == [
            "this can be guessed: 'yes' is right in 9 of 10 questions of the task that offer it",
            "this can be guessed: (A) is right in 9 of 10 questions of the task; put the right option elsewhere",
        ]
        turned = client.post("draw/check", {**body, "content": {**content, "right": [1]}}).json
        assert turned["warnings"] == []


# --- circles and two dates --------------------------------------------------------------------------------------------

CIRCLE = [256, 256, 60]
IN_CIRCLE: dict[str, dict[str, Any]] = {
    "regional_counting": {
        "question": "How many ships are inside circle 1?",
        "options": ["1", "2", "3", "4"],
        "right": [0],
    },
    "regional_land_use": {
        "question": "What is the land use inside circle 1?",
        "options": ["water", "forest", "farmland", "quarry"],
        "right": [0],
    },
    "regional_captioning": {
        "question": "Describe what is inside red circle 1.",
        "answer": "Water fills the area inside circle 1.",
        "template": "regional_captioning.question",
    },
    "change_counting": {
        "question": "How many more ships does circle 1 hold in the later image than in the earlier one?",
        "options": ["1", "2", "3", "4"],
        "right": [2],
    },
    "land_use_change": {
        "question": "What has become of the land inside circle 1 between the two dates?",
        "options": ["water to land", "land to water", "forest to farmland", "no change"],
        "right": [0],
    },
}


@pytest.fixture(scope="module")
def dated_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data set of two scenes of one place, the second one a year later and wholly red."""
    folder = tmp_path_factory.mktemp("dated")
    (folder / "scenes").mkdir()
    red = np.random.default_rng(1).integers(1, 6, (3, 512, 512), dtype=np.uint8)
    red[0] += 240
    for name, pixels in (("port_2019-06-14", make_pixels(3, 512, 512)), ("port_2020-06-14", red)):
        write_raster(folder / "scenes" / f"{name}.tif", pixels, transform=PLACE)
    assert build(folder / "scenes", folder / "superrs", "--dedup", "off").code == 0
    return folder / "superrs"


@pytest.fixture
def dated(dated_template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(dated_template, tmp_path / "superrs"))


def tiles_of(client: Client) -> dict[str, str]:
    """Return the keys of the tiles by the year of their scene."""
    return {tile["scene"][5:9]: tile["key"] for tile in client.post("draw/tiles", {}).json["tiles"]}


def write_on(client: Client, tile: str, task: str, **changes: Any) -> Answer:
    content = {"task": task, "circle": CIRCLE, **IN_CIRCLE[task], **changes}
    about = {"reviewer": "ann", "tile": tile, "key": task.replace("_", "-"), "content": content}
    return client.post("draw/write", {**about, "request_id": f"write-{task}-{len(changes):08d}".replace("_", "-")})


def redness(image: bytes, x: int, y: int) -> tuple[bool, bool]:
    """Return whether a pixel is red, and whether it is as red as the second date everywhere."""
    red, green, blue = decode_image(image)[y, x].tolist()
    return red > 200 and green < 60 and blue < 60, 235 <= red <= 252


def test_each_of_the_22_tasks_can_be_written(dated: Path) -> None:
    with serving(dated) as client:
        tile = {"reviewer": "ann", "tile": tiles_of(client)["2019"]}
        tasks = client.post("draw/templates", tile).json["tasks"]
        assert len(tasks) == 22
        assert all(task["is_open"] and task["templates"] for task in tasks)


def test_questions_about_a_circle_and_about_two_dates_come_out_as_shards(dated: Path, tmp_path: Path) -> None:
    with serving(dated) as client:
        tile = tiles_of(client)["2019"]
        for task in IN_CIRCLE:
            answer = write_on(client, tile, task)
            assert answer.status == 200, answer.body
        shown = client.post("next", {"reviewer": "ben"}).json["question"]
        assert shown["region"] == {"number": 1, "x": 256, "y": 256, "radius": 60}
    report = apply_review(dated, tmp_path / "made")
    assert report["written"] == {"questions": 5}
    (stored,) = [found for found in read_tiles(tmp_path / "made") if found.rows.tile.scene == "port_2019-06-14"]
    images = stored.load_images()
    found = {record.task: record for record in stored.rows.records}
    assert set(found) == set(IN_CIRCLE)
    assert stored.rows.tile.later_date == "2020-06-14"
    for task, record in found.items():
        assert record.question == IN_CIRCLE[task]["question"]
        assert (record.source, record.review) == ("human", "none")
        assert record.evidence["region"] == {"number": 1, "x": 256, "y": 256, "radius": 60}
        first, *second = (images[key] for key in record.images)
        # the ring lies just outside the radius: red in both images, and the earlier one is as it was at its middle
        assert redness(first, 256 + 60 + 3, 256)[0]
        assert not redness(first, 256, 256)[0]
        assert len(second) == (task in ("change_counting", "land_use_change"))
        for image in second:
            assert redness(image, 256, 256) == (True, True)
            white = decode_image(image)[256, 256 + 60]  # the white rim of the ring; all else is red
            assert white.min() > 100
    assert found["change_counting"].answer == "C"
    assert found["regional_captioning"].answer == "Water fills the area inside circle 1."
    # the same circle is drawn once, on each of the two dates
    assert len({key for record in found.values() for key in record.images}) == 2
    done = rsvqa("audit", tmp_path / "made", "--out", tmp_path / "audit")
    assert done.code == 0, done.err
    assert json.loads((tmp_path / "audit" / "audit.json").read_text())["defects"] == []
    words = ["--data", tmp_path / "made", "--split", stored.rows.tile.split, "--out", tmp_path / "run", "--json"]
    done = rsvqa("bench", "--model", "majority", *words)
    assert done.code == 0, done.err
    assert json.loads(done.out)["num_questions"] == 5
    again = apply_review(dated, tmp_path / "again")
    assert again == report
    for one, other in zip(
        sorted((tmp_path / "made").rglob("*.parquet")), sorted((tmp_path / "again").rglob("*.parquet")), strict=True
    ):
        assert one.read_bytes() == other.read_bytes()


def test_circles_and_dates_are_checked_while_somebody_writes(dated: Path) -> None:
    with serving(dated) as client:
        tiles = tiles_of(client)

        def problems(task: str, *, tile: str = "2019", **changes: Any) -> list[str]:
            content = {"task": task, "circle": CIRCLE, **IN_CIRCLE.get(task, {}), **changes}
            about = {"reviewer": "ann", "tile": tiles[tile], "key": "k1", "content": content}
            found: list[str] = client.post("draw/check", about).json["problems"]
            return found

        assert problems("regional_counting") == []
        assert problems("regional_counting", circle=None) == ["draw the circle that the question is about"]
        assert problems("regional_counting", circle=[256, 256, 15]) == [
            "the circle has a radius of 15 px: expected 16 or more"
        ]
        assert problems("regional_counting", circle=[500, 256, 60]) == ["region outside the image"]
        assert problems("regional_counting", circle=[256, 256, -60])
        assert problems("regional_counting", question="How many ships are there?") == [
            'name the circle in the question: "circle 1"'
        ]
        assert problems("object_presence", question="Is there a ship?", options=["Yes", "No"], right=[0]) == [
            "Object presence is about no circle"
        ]
        assert problems("land_use_change", tile="2020") == [
            "Land use change shows two dates: no scene of a later date that covers the whole tile is at hand"
        ]
        tasks = client.post("draw/templates", {"reviewer": "ann", "tile": tiles["2020"]}).json["tasks"]
        assert [(task["name"], task["why_not"]) for task in tasks if not task["is_open"]] == [
            ("change_counting", "no scene of a later date that covers the whole tile is at hand"),
            ("land_use_change", "no scene of a later date that covers the whole tile is at hand"),
        ]
        # the same words about another circle are another question
        assert write_on(client, tiles["2019"], "regional_counting").status == 200
        assert problems("regional_counting", question=IN_CIRCLE["regional_counting"]["question"]) == [
            "this is asked about the tile already"
        ]
        assert problems("regional_counting", circle=[100, 100, 60]) == []


def test_the_second_date_is_shown_and_what_lost_it_is_left_out(dated: Path, tmp_path: Path) -> None:
    with serving(dated) as client:
        assert write_on(client, tiles_of(client)["2019"], "land_use_change").status == 200
        first, second = client.post("next", {"reviewer": "ben"}).json["question"]["pictures"]
        assert (first["date"], second["date"]) == ("2019-06-14", "2020-06-14")
        later = client.get(f"tiles/{second['key']}/9/0_0.jpg")
        assert later.status == 200
        assert redness(later.body, 256, 256) == (True, True)
    settings = (dated / "build.toml").read_text("utf-8")
    gone = tmp_path / "gone"
    gone.mkdir()
    (dated / "build.toml").write_text(
        settings.replace(str(Path(settings.split('src = "')[1].split('"')[0])), str(gone))
    )
    report = apply_review(dated, tmp_path / "made")
    assert report["written"]["questions"] == 0
    (lost,) = report["written"]["without_second_date"]
    lines = summary_lines(report, tmp_path / "made")
    assert f"second date that they are about is not at hand: 1 questions, e.g. {lost}" in "".join(lines)
