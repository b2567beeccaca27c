"""`croissant.json`: its structure by hand, and its records as MLCommons' own library reads them."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from rsvqa.rsvqa_builder.dataset.records import TileRecord
from rsvqa.rsvqa_builder.dataset.rows import COLUMNS
from rsvqa.rsvqa_builder.dataset.shards import TileRows, plan_shards, write_shards
from rsvqa.rsvqa_builder.documents.card import CardFacts
from rsvqa.rsvqa_builder.documents.croissant import render_croissant
from rsvqa.rsvqa_builder.documents.losses import Losses
from rsvqa.rsvqa_builder.documents.statistics import dataset_statistics
from rsvqa.rsvqa_builder.losses import Loss
from tests.rsvqa_builder.make_records import make_jpeg, make_record, make_tile, square_footprint

IMAGE = make_jpeg(200, 100)
SIZES = {"tile": len(IMAGE)}
# the source of each scene is that of its tiles; the second one has no date and no licence
FIRST = make_tile(
    gsd=0.5, date="2021-05-01", scene_source="one", licence="CC-BY-4.0", images=SIZES, footprint=square_footprint()
)
SECOND = make_tile("b:0_0", scene="b", split="test", scene_source="two", images=SIZES)
EMPTY = make_tile("c:0_0", scene="c", scene_source="two", images=SIZES)
ROWS = (
    TileRows(FIRST, (make_record(FIRST), make_record(FIRST, "object_colour"), make_record(FIRST, number=2))),
    TileRows(SECOND, (make_record(SECOND),)),
    TileRows(EMPTY),
)
SOURCES: dict[str, dict[str, str | None]] = {
    "one": {"licence": "CC-BY-4.0", "link": "https://example.org/one"},
    "two": {"licence": None, "link": None},
}


def make_facts(**changes: Any) -> CardFacts:
    records = [record for rows in ROWS for record in rows.records]
    facts = CardFacts(
        name="my set",
        statistics=dataset_statistics(records, [rows.tile for rows in ROWS]),
        shards=(),
        scenes=(),
        settings={},
        versions={"rsvqa": "0.1.0"},
        fingerprint="0123abcd",
        sources=SOURCES,
        losses=(Losses("2 of 9 tiles dropped", (Loss(2, "all nodata", "a:1_1"),)),),
    )
    return dataclasses.replace(facts, **changes)


def write(folder: Path, **changes: Any) -> dict[str, Any]:
    """Write a data set of the rows with its `croissant.json` and return what that says."""

    def load_images(tile: TileRecord) -> dict[str, bytes]:
        return {"tile": IMAGE}

    shards = write_shards(folder, plan_shards(ROWS), load_images=load_images)
    text = render_croissant(make_facts(**{"shards": shards, **changes}))
    (folder / "croissant.json").write_text(text, "utf-8")
    return dict(json.loads(text))


def test_it_says_what_is_known_of_the_making_the_biases_and_the_limits(tmp_path: Path) -> None:
    told = write(tmp_path)
    assert told["conformsTo"] == ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"]
    assert told["license"] == ["CC-BY-4.0"]
    assert told["isBasedOn"] == [
        {"@type": "sc:Dataset", "name": "one", "license": "CC-BY-4.0", "url": "https://example.org/one"},
        {"@type": "sc:Dataset", "name": "two"},
    ]
    assert told["rai:dataCollection"] == (
        "Windows cut from 3 existing scenes of 2 sources (one, two); no image was taken for this data set."
    )
    assert told["rai:dataCollectionTimeFrame"] == ["2021-05-01", "2021-05-01"]
    assert told["rai:dataCollectionMissingData"] == "2 of 9 tiles dropped"
    # three of the four questions are about the first scene
    assert "75% of the questions are about the scene with the most of them, of 3." in told["rai:dataBiases"]
    assert "1 of 4 questions are about the source two." in told["rai:dataBiases"]
    assert "1 of 3 tiles have no question." in told["rai:dataLimitations"]
    assert told["rai:machineAnnotationTools"] == ["rsvqa 0.1.0"]
    assert told["rai:personalSensitiveInformation"] == [
        "None is recorded. The images show the ground from above; the finest has 0.5 m per pixel."
    ]


def test_models_and_people_are_named_where_they_took_part(tmp_path: Path) -> None:
    told = write(tmp_path, annotation={"settings": {"model": "writer", "verifier": "checker"}}, review={"questions": 1})
    assert told["rai:machineAnnotationTools"] == ["rsvqa 0.1.0", "checker", "writer"]
    assert len(told["rai:dataAnnotationProtocol"]) == 3


def test_what_is_not_known_is_left_out(tmp_path: Path) -> None:
    statistics = dataset_statistics([], [])
    told = write(tmp_path, statistics=statistics, sources={}, losses=(), shards=())
    missing = {"license", "inLanguage", "isBasedOn", "rai:dataCollectionTimeFrame", "rai:dataCollectionMissingData"}
    assert missing & set(told) == set()
    assert told["rai:personalSensitiveInformation"] == [
        "None is recorded. The images show the ground from above; how fine they are is not known."
    ]


def test_the_version_tells_contents_apart_and_the_citation_names_it(tmp_path: Path) -> None:
    told = write(tmp_path / "a")
    assert re.fullmatch(r"0\.1\.0\+[0-9a-f]{12}", told["version"])
    assert told["citeAs"] == (
        "@misc{my-set,\n  title = {my set},\n"
        f"  note = {{Version {told['version']}, built with rsvqa 0.1.0 from 2 sources (one, two)}}\n}}"
    )
    assert write(tmp_path / "b")["version"] == told["version"]
    # a review keeps the fingerprint of the build, and changes the statistics
    fewer = [record for rows in ROWS[:1] for record in rows.records]
    reviewed = write(tmp_path / "c", statistics=dataset_statistics(fewer, [rows.tile for rows in ROWS]))
    assert reviewed["version"] != told["version"]
    assert write(tmp_path / "d", fingerprint="other")["version"] != told["version"]


def test_a_citation_is_valid_bibtex_whatever_the_names(tmp_path: Path) -> None:
    told = write(tmp_path, name="50% {ships} & \\ports_#1", versions={"rsvqa": "0.2.0rc1"}, sources={})
    assert "version" not in told  # not three numbers
    assert told["citeAs"] == (
        "@misc{50-ships-ports_-1,\n  title = {50\\% ships \\& ports\\_\\#1},\n  note = {Built with rsvqa 0.2.0rc1}\n}"
    )


def test_the_publishers_licence_goes_before_those_of_the_sources(tmp_path: Path) -> None:
    assert write(tmp_path, licence="cc0-1.0")["license"] == ["cc0-1.0"]


def test_every_column_is_a_field_of_both_kinds_of_records(tmp_path: Path) -> None:
    splits, *kinds = write(tmp_path)["recordSet"]
    assert splits["data"] == [{"splits/name": "train"}, {"splits/name": "test"}]
    assert [kind["name"] for kind in kinds] == ["questions", "tiles_without_questions"]
    for kind in kinds:
        assert [field["name"] for field in kind["field"]] == ["split", *COLUMNS]
        types = {field["name"]: (field.get("dataType"), field.get("repeated", False)) for field in kind["field"]}
        expected = {
            "index": ("sc:Integer", False),
            "image": ("sc:ImageObject", True),
            "multi-choice options": ("sc:Text", True),
            "gsd": ("sc:Float", False),
            "bbox": ("sc:Float", True),
            "tile": (None, False),  # its parts have types
        }
        assert {name: types[name] for name in expected} == expected
        assert not any(" " in field["@id"] for field in kind["field"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # within rdflib and pandas, which it uses
def test_mlcroissant_finds_no_error_and_reads_every_record(tmp_path: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant", reason="comes with the extra 'dev'")
    write(tmp_path)
    dataset = mlcroissant.Dataset(str(tmp_path / "croissant.json"))
    assert set(dataset.metadata.ctx.issues.errors) == set()
    assert dataset.metadata.data_biases == json.loads((tmp_path / "croissant.json").read_text())["rai:dataBiases"]
    # what nobody knows before it is published
    (warning,) = dataset.metadata.ctx.issues.warnings
    assert "datePublished" in warning
    rows = {row["questions/question_id"].decode(): row for row in dataset.records("questions")}
    records = {record.question_id: record for tile in ROWS for record in tile.records}
    assert rows.keys() == records.keys()
    for question_id, row in rows.items():
        record = records[question_id]
        assert row["questions/question"].decode() == record.question
        assert row["questions/multi-choice_options"] == [option.encode() for option in record.options]
        assert row["questions/split"].decode() == record.tile.split
        assert [image.size for image in row["questions/image"]] == [(200, 100)]
        window = record.tile.window._asdict()
        assert row["questions/tile"] == {f"questions/tile/{name}": value for name, value in window.items()}
        assert (row["questions/gsd"], row["questions/footprint"]) == (record.tile.gsd, record.tile.footprint)
    (row,) = dataset.records("tiles_without_questions")
    assert (row["tiles_without_questions/scene"], row["tiles_without_questions/question"]) == (b"c", None)
