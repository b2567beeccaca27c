"""The card: its metadata as the Hub's own library reads it, and snippets that run."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsvqa.annotation.taxonomy import TASKS
from rsvqa.rsvqa_builder.dataset.records import TileRecord
from rsvqa.rsvqa_builder.dataset.shards import ShardInfo, TileRows, plan_shards, write_shards
from rsvqa.rsvqa_builder.documents.card import CardFacts, Completeness, render_card
from rsvqa.rsvqa_builder.documents.card_metadata import to_yaml
from rsvqa.rsvqa_builder.documents.statistics import dataset_statistics
from rsvqa.rsvqa_builder.scenes.scene import Scene
from tests.rsvqa_builder.make_records import make_jpeg, make_record, make_tile

yaml = pytest.importorskip("yaml", reason="comes with the extra 'dev'")

IMAGE = make_jpeg(200, 100)
TRAIN = make_tile(gsd=0.5, crs="EPSG:32631", images={"tile": len(IMAGE)})
TEST = make_tile("b:0_0", scene="b", split="test", images={"tile": len(IMAGE)})
EMPTY = make_tile("c:0_0", scene="c", images={"tile": len(IMAGE)})
ROWS = (
    TileRows(TRAIN, (make_record(TRAIN), make_record(TRAIN, "object_colour"))),
    TileRows(TEST, (make_record(TEST),)),
    TileRows(EMPTY),
)
SHARDS = (
    ShardInfo("data/train-00000-of-00001.parquet", "train", 2, 1, 3000),
    ShardInfo("data/test-00000-of-00001.parquet", "test", 1, 1, 2000),
    ShardInfo("tiles/train-00000-of-00001.parquet", "train", 1, 1, 500),
)


def make_facts(**changes: Any) -> CardFacts:
    records = [record for rows in ROWS for record in rows.records]
    facts = CardFacts(
        name="my-set",
        statistics=dataset_statistics(records, [rows.tile for rows in ROWS]),
        shards=SHARDS,
        scenes=[
            Scene(scene_id=scene, path=f"/home/me/{scene}.tif", width=4000, height=3000, bands=(1, 2, 3), dtype="uint8")
            for scene in "abc"
        ],
        settings={"src": "/home/me/scenes", "seed": 3, "labels": ["C:\\labels\\a.gpkg"], "bands": None, "exclude": []},
        versions={"rsvqa": "0.1.0", "GDAL": "3.10.3"},
        fingerprint="0123abcd",
    )
    return dataclasses.replace(facts, **changes)


def metadata_of(card: str) -> dict[str, Any]:
    content = re.match(r"---\n(.*?)---\n", card, re.DOTALL)
    assert content is not None
    metadata: dict[str, Any] = yaml.safe_load(content[1])
    return metadata


def test_metadata_names_what_is_there() -> None:
    metadata = metadata_of(render_card(make_facts()))
    assert (metadata["license"], metadata["license_name"]) == ("other", "set-by-the-publisher")
    assert metadata["language"] == ["en"]
    assert metadata["task_categories"] == ["visual-question-answering"]
    assert metadata["size_categories"] == ["n<1K"]
    assert metadata["configs"] == [
        {
            "config_name": "default",
            "data_files": [
                {"split": "train", "path": "data/train-*.parquet"},
                {"split": "test", "path": "data/test-*.parquet"},
            ],
        },
        {"config_name": "tiles", "data_files": [{"split": "train", "path": "tiles/train-*.parquet"}]},
    ]
    default, tiles = metadata["dataset_info"]
    assert default["splits"] == [
        {"name": "train", "num_bytes": 3000, "num_examples": 2},
        {"name": "test", "num_bytes": 2000, "num_examples": 1},
    ]
    assert (default["dataset_size"], tiles["dataset_size"]) == (5000, 500)
    columns = {feature["name"]: feature for feature in default["features"]}
    assert columns["image"] == {"name": "image", "list": "image"}
    assert columns["gsd"] == {"name": "gsd", "dtype": "float64"}
    assert [feature["name"] for feature in columns["tile"]["struct"]] == ["x", "y", "width", "height"]


def test_a_preview_is_the_first_configuration() -> None:
    preview = ShardInfo("preview/preview.parquet", "preview", 22, 1, 700)
    metadata = metadata_of(render_card(make_facts(preview=preview)))
    assert [config["config_name"] for config in metadata["configs"]] == ["preview", "default", "tiles"]
    assert metadata["configs"][0]["data_files"] == [{"split": "preview", "path": "preview/preview.parquet"}]
    assert metadata["dataset_info"][0]["splits"] == [{"name": "preview", "num_bytes": 700, "num_examples": 22}]


@pytest.mark.parametrize(
    ("num_questions", "category"),
    [(999, "n<1K"), (1_000, "1K<n<10K"), (99_999, "10K<n<100K"), (5_000_000, "1M<n<10M"), (10**9, "n>100M")],
)
def test_size_category(num_questions: int, category: str) -> None:
    statistics = dataclasses.replace(make_facts().statistics, num_questions=num_questions)
    assert metadata_of(render_card(make_facts(statistics=statistics)))["size_categories"] == [category]


def test_a_licence_can_be_given() -> None:
    metadata = metadata_of(render_card(make_facts(licence="cc-by-4.0")))
    assert metadata["license"] == "cc-by-4.0"
    assert "license_name" not in metadata


def test_the_hubs_library_reads_the_card() -> None:
    hub = pytest.importorskip("huggingface_hub", reason="comes with the extra 'dev'")
    card = hub.DatasetCard(render_card(make_facts()))
    assert card.data.pretty_name == "my-set"
    assert card.text.lstrip().startswith("# my-set\n")


def test_snippets_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets", reason="comes with the extra 'dev'")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))

    def load_images(tile: TileRecord) -> dict[str, bytes]:
        return {"tile": IMAGE}

    folder = tmp_path / "my-set"
    facts = make_facts(shards=write_shards(folder, plan_shards(ROWS), load_images=load_images))
    card = render_card(facts)
    (folder / "README.md").write_text(card, "utf-8")
    for config in metadata_of(card)["configs"]:
        for files in config["data_files"]:
            assert len(list(folder.glob(files["path"]))) == 1
    monkeypatch.chdir(tmp_path)
    datasets_snippet, pyarrow_snippet = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    found: dict[str, Any] = {}
    exec(datasets_snippet, found)  # noqa: S102  what a reader of the card would paste
    assert (
        capsys.readouterr().out == f"{ROWS[0].records[0].question} ['(A) 3', '(B) 4', '(C) 5', '(D) 6'] A (200, 100)\n"
    )
    assert {split: len(rows) for split, rows in found["dataset"].items()} == {"train": 2, "test": 1}
    exec(pyarrow_snippet, found)  # noqa: S102
    assert found["image"].size == (200, 100)
    tiles = datasets.load_dataset("my-set", "tiles")
    assert tiles["train"]["image_id"][0] == "c:0_0"


def test_a_data_set_of_tiles_alone_loads_its_tiles() -> None:
    card = render_card(make_facts(shards=SHARDS[2:], statistics=dataset_statistics([], [EMPTY])))
    metadata = metadata_of(card)
    assert [config["config_name"] for config in metadata["configs"]] == ["tiles"]
    assert "language" not in metadata
    assert 'load_dataset("my-set", "tiles")' in card


def test_tasks_with_their_counts() -> None:
    card = render_card(make_facts(not_asked={"route_planning": {"no roads": 2, "too short": 3}}))
    assert "| Perception | Counting | Overall counting | OC | one of | 1 | 1 | 25 % | 100 % |" in card
    assert "| Route planning | RP | too short (× 3), no roads (× 2) |" in card
    assert card.count("no reason recorded") == len(TASKS) - 3


def test_scenes_with_what_is_known_of_them() -> None:
    card = render_card(make_facts())
    assert "| `a` | 4,000 × 3,000 | EPSG:32631 | 0.5 | unknown | 1 | 2 |" in card
    assert "| `b` | 4,000 × 3,000 | none | unknown | unknown | 1 | 1 |" in card


def test_a_crs_without_a_code_is_named() -> None:
    tile = make_tile(crs='PROJCRS["My | Albers",BASEGEOGCRS["NAD83"]]')
    card = render_card(make_facts(statistics=dataset_statistics([], [tile])))
    assert "| My \\| Albers |" in card


def test_many_scenes_are_cut_with_their_number() -> None:
    tiles = [make_tile(f"{n}:0_0", scene=f"{n:03d}") for n in range(203)]
    scenes = [
        Scene(scene_id=tile.scene, path="x.tif", width=200, height=100, bands=(1,), dtype="uint8") for tile in tiles
    ]
    card = render_card(make_facts(statistics=dataset_statistics([], tiles), scenes=scenes))
    assert "| `199` |" in card
    assert "| `200` |" not in card
    assert "… and 3 more, listed in `report.json`." in card


def test_no_absolute_path_is_published() -> None:
    card = render_card(make_facts())
    assert not re.search(r"/home|\\\\labels|C:", card)
    assert 'src = "scenes"' in card
    assert 'labels = ["a.gpkg"]' in card
    assert "bands" not in card  # TOML has no null


def test_limits_name_what_is_missing() -> None:
    card = render_card(make_facts())
    assert "- 3 of 3 tiles have no georeference" in card  # no footprint, though one has a GSD
    assert "- 1 of 3 tiles have no question." in card
    assert "- No questions in: val." in card


def test_a_language_model_is_owned_up_to() -> None:
    drafted = make_record(TRAIN, source="llm", review="needed")
    assert "no language model took part" in render_card(make_facts())
    assert "no language model" not in render_card(make_facts(statistics=dataset_statistics([drafted], [TRAIN])))


def test_texts_from_outside_stay_texts() -> None:
    completeness = {"<b>a|b*c</b>\n| x": Completeness(1, 2)}
    card = render_card(make_facts(name='x: "y" # <z>', completeness=completeness))
    assert "| &lt;b&gt;a\\|b\\*c&lt;/b&gt; \\| x | 1 of 2 |" in card
    assert metadata_of(card)["pretty_name"] == 'x: "y" # <z>'


def test_the_card_says_why_a_class_is_complete_or_not() -> None:
    judged = [(True, "the class table says so")] * 2 + [(False, "12 labels cover 3.0% of the scene")]
    card = render_card(make_facts(completeness={"car": Completeness.of_scenes(judged)}))
    why = "2 x yes: the class table says so; 1 x no: 12 labels cover 3.0% of the scene"
    assert f"| car | 2 of 3 | {why} |" in card
    assert Completeness.of_scenes(judged[:2]) == Completeness(2, 2, ("yes: the class table says so",))


def test_the_same_facts_give_the_same_card() -> None:
    assert render_card(make_facts()) == render_card(make_facts())


TEXTS = st.text("aN y0-:#'\"{}[],&*!|>%@`\\/~?.é漢😀", max_size=8)
SCALARS = TEXTS | st.integers()
ITEMS = st.lists(SCALARS, min_size=1) | st.lists(st.dictionaries(TEXTS, SCALARS, min_size=1), min_size=1)


@given(st.dictionaries(TEXTS, SCALARS | ITEMS, min_size=1))
@settings(max_examples=25)
def test_yaml_is_read_back_as_it_was(value: dict[str, Any]) -> None:
    assert yaml.safe_load(to_yaml(value)) == value


@pytest.mark.parametrize(
    "text", ["no", "Null", "1e3", "0x1f", "2020-01-02", "- a", "a: b", "a #b", "", " a ", "'", "~"]
)
def test_texts_that_yaml_could_misread_stay_texts(text: str) -> None:
    assert yaml.safe_load(to_yaml({"key": text})) == {"key": text}
