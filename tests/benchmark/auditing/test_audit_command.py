"""`rsvqa audit` on miniature files of every maker: each defect is found and counted, and the exit code follows."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import simplejpeg

from rsvqa.rsvqa_builder.dataset.shards import TileRows, plan_shards, write_shards
from tests.rsvqa_builder.make_records import make_jpeg, make_record, make_tile
from tests.run_build import Run, rsvqa


def jpeg(grey: int, width: int = 64, height: int = 32) -> bytes:
    encoded: bytes = simplejpeg.encode_jpeg(np.full((height, width, 3), grey, np.uint8))
    return encoded


def audit(data: Path, *words: object) -> dict[str, Any]:
    run = rsvqa("audit", data, "--json", *words)
    assert run.code == 0, run.err
    return dict(json.loads(run.out))


def defects(report: dict[str, Any]) -> dict[str, int]:
    return {f"{one['of']}: {one['kind']}": one["count"] for one in report["defects"]}


def write_json(path: Path, rows: object) -> Path:
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    return path


def said(question: str, reply: str, image: object = "a.jpg", **values: Any) -> dict[str, Any]:
    turns = [{"from": "human", "value": f"<image>\n{question}"}, {"from": "gpt", "value": reply}]
    return {"image": image, "conversations": turns, **values}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.jpg").write_bytes(jpeg(10))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "b.jpg").write_bytes(jpeg(20))
    return tmp_path


# --- LLaVA and ShareGPT ---

CHOICE = "What is it?\n(A) a ship\n(B) a car\n(C) a ship\nAnswer with the letter."


def test_llava_questions_have_their_options_and_boxes(folder: Path) -> None:
    rows = [
        said("What is it?\nA. a ship\nB. a car\nAnswer with the option's letter.", "B", id=1),
        said("Where is the ship?", "[0.1, 0.2, 0.3, 0.4]", "b.jpg", id=2),
        said("Is there a ship?", "Yes", id=3),
        said("Describe it.", "A grey field.", id=4),
    ]
    report = audit(write_json(folder / "train.json", rows))
    assert report["data"] == {
        "name": "train.json",
        "layout": "json",
        "questions": 4,
        "images": 2,
        "splits": {"train": 4},
    }
    assert {(one["form"], one["questions"]) for one in report["shortcuts"]} == {
        ("one_of", 1), ("box", 1), ("yes_no", 1), ("text", 1)
    }  # fmt: skip
    assert defects(report) == {}
    assert report["resolution"] == {"all": {"boxes": 1, "under_8_px": 1, "under_3_px": 0, "under_1_px": 0}}


def test_defects_of_llava_rows_are_counted(folder: Path) -> None:
    rows = [
        said(CHOICE, "A", id="twice"),
        said("What?\n(A) x\n(B) y", "E", id="no option"),
        # 64 x 32 px: within 1,000, and beyond any scale
        said("Where?", "[100, 50, 300, 200]", id="ten"),
        said("Where is it?", "[100, 50, 9000, 200]", id="far"),
        said("And where?", "[30, 10, 20, 20]", id="turned"),
        said("Where then?", "[30, 10, 30, 20]", id="flat"),
        said("Who?", "me", "gone.jpg", id="gone"),
        {"image": "a.jpg", "conversations": [], "id": "silent"},
        said("<image> Two?", "one", id="places"),
    ]
    report = audit(write_json(folder / "train.json", rows))
    assert defects(report) == {
        "questions: two options say the same": 1,
        "questions: the key names no option": 1,
        "questions: box outside the image, inside if they are 0 to 1,000": 1,
        "questions: box outside the image": 1,
        "questions: box of which x_max < x_min or y_max < y_min": 1,
        "questions: box without area": 1,
        "images: missing": 1,
        "questions: no question": 1,
        "questions: as many images as places for them are expected, and are not there": 1,
    }
    assert [one["examples"] for one in report["defects"] if one["kind"] == "missing"] == [["gone.jpg"]]


def test_coordinates_times_ten_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(10, 400, 400))
    path = write_json(tmp_path / "train.json", [said("Where?", "[2500, 3000, 2600, 3100]")])
    assert defects(audit(path)) == {"questions: box outside the image, inside when divided by 10": 1}


def test_turns_are_questions_of_their_own(folder: Path) -> None:
    row = said("First?", "yes")
    row["conversations"] += [{"from": "human", "value": "Second?"}, {"from": "gpt", "value": "no"}]
    report = audit(write_json(folder / "t.json", [row]))
    assert report["data"]["questions"] == 2
    assert report["data"]["images"] == 1


# --- swift ---


def test_swift_lines_have_boxes_beside_the_text(folder: Path) -> None:
    def line(bbox: list[float], kind: str = "real") -> str:
        return json.dumps(
            {
                "messages": [
                    {"role": "user", "content": "<image>Where is the <ref-object>?"},
                    {"role": "assistant", "content": "<bbox>"},
                ],
                "images": [str(folder / "a.jpg")],
                "objects": {"ref": ["ship"], "bbox": [bbox], "bbox_type": kind},
            }
        )

    path = folder / "train.jsonl"
    path.write_text(
        "\n".join([line([10, 10, 20, 20]), line([10, 10, 99, 20]), line([0.1, 0.1, 0.2, 1.2], "norm1"), "{"])
    )
    report = audit(path)
    assert report["data"]["questions"] == 4
    assert defects(report) == {
        "questions: box outside the image, inside if they are 0 to 1,000": 1,
        "questions: box outside the image": 1,
        "questions: a line is no JSON object": 1,
        "questions: asked twice of an image, with another answer": 2,
    }


# --- VLMEvalKit and lmms-eval ---


def test_vlmevalkit_tables_are_read(tmp_path: Path) -> None:
    picture = base64.b64encode(jpeg(5, 512, 512) * 2).decode()
    lines = ["index\tquestion\tA\tB\tC\tanswer\tcategory\timage"]
    lines += [f"{n}\tWhat is {n}?\toak\telm\tash\t{'ABC'[n % 3]}\ttrees\t{picture}" for n in range(12)]
    (tmp_path / "bench.tsv").write_text("\n".join(lines))
    report = audit(tmp_path)
    (found,) = report["shortcuts"]
    assert (found["task"], found["form"], found["questions"]) == ("trees", "one_of", 12)
    assert report["data"]["images"] == 1
    assert defects(report) == {}


def xlrs_table(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def xlrs_row(number: int, **values: Any) -> dict[str, Any]:
    return {
        "index": number,
        "image": [{"bytes": jpeg(number), "path": f"{number}.png"}],
        "question": f"How many are there in {number}?",
        "multi-choice options": ["(A) 1", "(B) 2", "(C) 3", "(D) 4"],
        "answer": "A",
        "category": "Counting/Overall counting",
        "l2-category": "Counting",
    } | values


def test_xlrs_copies_are_read_and_a_wrong_key_is_a_defect(tmp_path: Path) -> None:
    rows = [*(xlrs_row(number) for number in range(12)), xlrs_row(12, answer="F")]
    report = audit(xlrs_table(tmp_path / "test.parquet", rows))
    counts = {one["task"]: one["questions"] for one in report["shortcuts"]}
    assert counts == {"overall_counting": 12, "Counting/Overall counting": 1}
    assert defects(report) == {"questions: the key names no option": 1}
    # always the first and lowest number, on images that were not seen
    assert report["shortcuts"][0]["best"]["value"] == 1.0


def test_lmms_eval_tables_of_other_benchmarks_are_read(tmp_path: Path) -> None:
    row = {"Text": "Which colour?", "Answer choices": ["(A) red", "(B) blue"], "Ground truth": "B", "Subtask": "RS"}
    rows = [{**row, "image": {"bytes": jpeg(n), "path": None}} for n in range(3)]
    report = audit(xlrs_table(tmp_path / "mme" / "train-00000-of-00001.parquet", rows).parent)
    assert report["data"]["splits"] == {"train": 3}
    assert [(one["task"], one["form"]) for one in report["shortcuts"]] == [("RS", "one_of")]


# --- COCO ---


def test_coco_boxes_and_sizes_are_checked(folder: Path) -> None:
    content = {
        "images": [
            {"id": 1, "file_name": "a.jpg", "width": 64, "height": 32},
            {"id": 2, "file_name": "b.jpg", "width": 640, "height": 32},
            {"id": 3, "file_name": "gone.jpg", "width": 64, "height": 32},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 10]},
            {"id": 2, "image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 10]},
            {"id": 3, "image_id": 2, "category_id": 1, "bbox": [0, 0, 10, 0]},
            {"id": 4, "image_id": 3, "category_id": 1, "bbox": [60, 0, 10, 10]},
            {"id": 5, "image_id": 9, "category_id": 1, "bbox": [60, 0, 10, 10]},
            {"id": 6, "image_id": 3, "category_id": 1, "bbox": []},
        ],
        "categories": [{"id": 1, "name": "ship"}],
    }
    report = audit(write_json(folder / "coco.json", content))
    assert defects(report) == {
        "questions: asked twice of an image": 1,
        "questions: box without area": 1,
        "questions: box outside the image": 1,
        "questions: an annotation of no image": 1,
        "questions: an annotation without a box of four numbers, or an image without a size": 1,
        "images: not of the stated size": 1,
        "images: missing": 1,
    }


# --- images ---


def test_defects_of_images_are_found(tmp_path: Path) -> None:
    (tmp_path / "whole.jpg").write_bytes(jpeg(10))
    (tmp_path / "cut.jpg").write_bytes(jpeg(20)[:-20])
    (tmp_path / "text.jpg").write_bytes(b"not an image")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "twin.jpg").write_bytes(jpeg(10))
    names = ["whole.jpg", "cut.jpg", "text.jpg", "empty.jpg", "twin.jpg"]
    report = audit(write_json(tmp_path / "train.json", [said("What?", "x", name) for name in names]))
    assert defects(report) == {
        "images: cut off": 1,
        "images: unreadable": 2,
        "images: the same under two names": 1,
    }
    assert defects(audit(tmp_path / "train.json", "--no-images")) == {}


def test_what_two_splits_share_is_found(folder: Path) -> None:
    write_json(folder / "train.json", [said("What?", "x"), said("Other?", "x")])
    write_json(folder / "test.json", [said("What?", "x"), said("New?", "x", "b.jpg")])
    report = audit(folder)
    assert report["data"]["splits"] == {"test": 2, "train": 2}
    assert defects(report) == {
        "images: the same in two splits": 1,
        "questions: asked of the same image in two splits": 1,
        "questions: asked twice of an image": 1,
    }


def test_images_of_a_benchmark_are_found(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    benchmark = tmp_path_factory.mktemp("benchmark")
    pixels = np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    (folder / "c.jpg").write_bytes(simplejpeg.encode_jpeg(pixels, quality=70))  # compressed anew
    (benchmark / "secret.jpg").write_bytes(simplejpeg.encode_jpeg(pixels, quality=95))
    (benchmark / "same.jpg").write_bytes(jpeg(10))
    path = write_json(folder / "train.json", [said("What?", "x", name) for name in ("a.jpg", "b.jpg", "c.jpg")])
    report = audit(path, "--against", benchmark)
    assert defects(report) == {"images: also in what they must not repeat": 2}
    assert [text.split()[0] for text in report["defects"][0]["examples"]] == ["a.jpg", "c.jpg"]


def test_a_benchmark_that_is_not_there_is_named(folder: Path) -> None:
    path = write_json(folder / "train.json", [said("What?", "x")])
    run = rsvqa("audit", path, "--against", folder / "nowhere")
    assert (run.code, run.lines) == (2, [f"rsvqa: --against {folder / 'nowhere'}: no such file or folder"])


# --- shards, exit codes, output ---


def make_set(folder: Path, answer: str = "A", *, num_tiles: int = 12) -> Path:
    """Write a data set in which the lowest number is always right, or always the option of a letter."""
    tiles = []
    for number in range(num_tiles):
        image = make_jpeg(200, 100)
        tile = make_tile(f"s{number}/0_0", scene=f"s{number}", images={"tile": len(image)})
        tiles.append(TileRows(tile, tuple(make_record(tile, number=n, answer=answer) for n in range(3))))
    write_shards(folder, plan_shards(tiles), load_images=lambda _: {"tile": make_jpeg(200, 100)})
    return folder


def test_a_built_set_is_audited_by_place(tmp_path: Path) -> None:
    report = audit(make_set(tmp_path))
    (found,) = report["shortcuts"]
    assert report["data"]["layout"] == "rsvqa build"
    assert (found["held_out"], found["groups"], found["questions"]) == ("place", 12, 36)
    assert (found["best"]["value"], found["chance"], found["majority"]) == (1.0, 0.25, 1.0)
    assert found["give_aways"][0] == {"wording": "", "option": "3", "offered": 36, "right": 36, "expected": 9.0}


def failing(tmp_path: Path, *words: object) -> Run:
    return rsvqa("audit", make_set(tmp_path / "set"), *words)


def test_exit_codes(tmp_path: Path, folder: Path) -> None:
    assert failing(tmp_path).code == 0
    run = failing(tmp_path, "--fail-over", 3)
    assert run.code == 3
    # 36 of 36 on 12 places: 36 / (36 + t²) with t of 11 degrees (2.204) is 0.881, 63 points above a quarter
    assert "fails: overall_counting: 63.1 points above chance are sure, 3 are allowed" in run.out
    assert failing(tmp_path, "--fail-over", 80).code == 0
    fine = write_json(folder / "fine.json", [said("What?", "x")])
    run = rsvqa("audit", fine, "--fail-over", 3)
    assert run.code == 0
    assert "passes: no defect, and no task is surely more than 3 points above chance" in run.out
    broken = write_json(folder / "broken.json", [said("What?", "x", "gone.jpg")])
    assert (rsvqa("audit", broken, "--fail-over", 99).code, rsvqa("audit", broken).code) == (3, 0)


def test_remarks_do_not_fail(folder: Path) -> None:
    twice = write_json(folder / "t.json", [said("What?", "x"), said("What?", "x")])
    assert defects(audit(twice)) == {"questions: asked twice of an image": 1}
    assert rsvqa("audit", twice, "--fail-over", 3).code == 0


def test_the_folder_holds_a_page_and_equal_bytes(tmp_path: Path) -> None:
    data = make_set(tmp_path / "set")
    for name in ("one", "two"):
        run = rsvqa("audit", data, "--out", tmp_path / name)
        assert run.code == 0
        assert f"page: {tmp_path / name / 'audit.html'}" in run.out
    one, two = ((tmp_path / name / "audit.json").read_bytes() for name in ("one", "two"))
    assert one == two
    assert str(tmp_path).encode() not in one
    page = (tmp_path / "one" / "audit.html").read_text()
    assert "overall_counting" in page
    assert "right 36 of 36 times, 9 would be even" in page


def test_the_page_escapes_what_files_say(folder: Path) -> None:
    rows = [said("<b>What</b>?\n(A) <script>\n(B) no", "A", f"{n}.jpg", category="<i>") for n in range(12)]
    rsvqa("audit", write_json(folder / "<x>.json", rows), "--out", folder / "out")
    page = (folder / "out" / "audit.html").read_text()
    assert "<script>" not in page
    assert "<b>What" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("nothing.json", "[]", "nothing.json holds no question"),
        ("empty.jsonl", "", "empty.jsonl holds no question"),
        ("empty.tsv", "", "empty.tsv holds no question"),
        ("broken.json", "{", "not readable JSON"),
        ("number.json", "3", "expected a JSON list of objects, or COCO"),
        ("notes.txt", "", "holds no data: expected files that end in .arrow, .parquet, .jsonl, .json, .tsv, .csv"),
    ],
)
def test_nothing_to_audit_is_one_line(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    run = rsvqa("audit", tmp_path / name)
    assert run.code in (1, 2)
    assert len(run.lines) == 1
    assert message in run.lines[0]


def test_a_missing_path_is_one_line(tmp_path: Path) -> None:
    run = rsvqa("audit", tmp_path / "no")
    assert run.lines == [f"rsvqa: no data at {tmp_path / 'no'}: expected a folder or a file"]


def test_one_broken_file_of_several_is_a_defect(folder: Path) -> None:
    write_json(folder / "good.json", [said("What?", "x")])
    (folder / "bad.json").write_text("{")
    report = audit(folder)
    assert report["data"]["questions"] == 1
    assert defects(report) == {"files: not read": 1}
    assert str(folder) not in json.dumps(report)


def test_json_goes_to_stdout_alone(tmp_path: Path) -> None:
    run = rsvqa("audit", make_set(tmp_path), "--json")
    assert json.loads(run.out)["schema_version"] == 1


def test_without_scikit_learn_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_set(tmp_path)
    monkeypatch.setattr("rsvqa.rsvqa_builder.auditing.audit.has_classifiers", lambda: False)
    run = rsvqa("audit", data)
    assert "without scikit-learn only rules guessed" in run.out
    assert json.loads(rsvqa("audit", data, "--json").out)["method"]["scikit_learn"] is None
