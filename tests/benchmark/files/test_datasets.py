"""Every layout gives the same samples; what cannot be asked is left out with its reason, never in silence."""

from __future__ import annotations

import base64
import io
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from rsvqa.annotation.images import decode_image
from rsvqa.annotation.taxonomy import TASKS, AnswerForm
from rsvqa.benchmark.errors import BenchmarkDataError
from rsvqa.benchmark.files.datasets import Dataset, open_dataset
from rsvqa.benchmark.files.run_record import UnaskedRow
from rsvqa.benchmark.samples import Sample
from rsvqa.benchmark.settings import BenchSettings
from rsvqa.rsvqa_builder.config import load_settings
from tests.benchmark.make_xlrs import (
    OPTIONS,
    Row,
    caption_row,
    grounding_row,
    jpeg,
    make_built,
    make_pixels,
    png,
    two_date_row,
    vqa_row,
    vqa_rows,
    write_arrow,
    write_jsonl,
    write_parquet,
)

Write = Callable[[Path, Sequence[Row]], Path]

LAYOUTS: dict[str, Write] = {
    "arrow": lambda folder, rows: write_arrow(folder / "set", rows),
    "arrow in shards below a split": lambda folder, rows: write_arrow(folder / "set/train", rows, num_shards=3).parent,
    "parquet": lambda folder, rows: write_parquet(folder / "set.parquet", rows),
    "parquet in row groups": lambda folder, rows: (
        write_parquet(folder / "set/train-00000-of-00001.parquet", rows, row_group=3).parent
    ),
    "jsonl": lambda folder, rows: write_jsonl(folder / "set/part_0.jsonl", rows).parent,
}


def open_data(data: Path | str, **changes: Any) -> Dataset:
    return open_dataset(load_settings(BenchSettings, {"model": "random", "data": str(data), **changes}))


def without_reading(samples: Sequence[Sample]) -> list[tuple[object, ...]]:
    """Return what is asked, with the bytes of the images in place of how to read them."""
    return [
        (s.sample_id, s.task, s.category, s.l2_category, s.language, s.form, s.question, s.options, s.answer, images)
        for s in samples
        for images in [[image.read() for image in s.images]]
    ]


# --- layouts ---


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_gives_the_same_samples(tmp_path: Path, layout: str) -> None:
    rows = [*vqa_rows(8), two_date_row(8)]
    data = open_data(LAYOUTS[layout](tmp_path, rows))
    expected = [
        (
            str(i),
            "object_colour",
            "Object properties/Object color",
            "Object properties",
            "en",
            AnswerForm.ONE_OF,
            f"Which colour has thing {i}?",
            tuple(OPTIONS),
            "ABCD"[i % 4],
            [jpeg(0) if i < 4 else png(1)],  # four rows per image, see vqa_row
        )
        for i in range(8)
    ]
    change = "Counting/Counting with changing detection"
    asked = "Which colour has thing 8?"
    dates = [jpeg(108), jpeg(109)]
    expected.append(
        ("8", "change_counting", change, "Counting", "en", AnswerForm.ONE_OF, asked, tuple(OPTIONS), "A", dates)
    )
    assert without_reading(data.samples) == expected
    assert data.record.num_rows == 9
    assert data.record.num_images == 4  # two shared by four rows each, and two dates
    assert data.record.left_out == {}


def test_all_layouts_of_one_data_set_have_one_fingerprint(tmp_path: Path) -> None:
    found = {
        open_data(write(tmp_path / str(n), vqa_rows())).record.fingerprint for n, write in enumerate(LAYOUTS.values())
    }
    assert len(found) == 1
    other = write_jsonl(tmp_path / "other.jsonl", [*vqa_rows(7), vqa_row(7, answer="A")])
    assert open_data(other).record.fingerprint not in found


def test_images_can_be_read_in_any_order(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", vqa_rows(40), row_group=20)
    samples = open_data(path).samples
    assert [samples[i].images[0].read() for i in (39, 0, 20, 4)] == [png(9), jpeg(0), png(5), png(1)]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("(A) like (B) or (C)\n(B) green\n\nSelect the best answer", ("(A) like (B) or (C)", "(B) green")),
        ("(A) like (C) (B) green", ("(A) like (C)", "(B) green")),  # one line: only the next letter begins an option
        ("\n (A) 1\n (B) 2", ("(A) 1", "(B) 2")),
        (
            "The choices are listed below:\n(A) red\n(B) green\nSelect the best answer for …\nThe answer is:",
            ("(A) red", "(B) green"),
        ),
        ("The choices are listed below:(A) red (B) green", ("(A) red", "(B) green")),
        ("(A) ratio: (A) to (B)\n(B) 3", ("(A) ratio: (A) to (B)", "(B) 3")),
    ],
)
def test_options_in_one_text_are_cut_at_their_letters(tmp_path: Path, text: str, options: tuple[str, ...]) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [vqa_row(0) | {"multi-choice options": [text]}])
    [sample] = open_data(path).samples
    assert sample.options == options


def write_lines(path: Path, *rows: Row) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def json_row(index: int, **changes: Any) -> Row:
    """Return a row whose image is base64 and whose other cells are as they are given."""
    return vqa_row(index, image=base64.b64encode(jpeg(0)).decode()) | changes


@pytest.mark.parametrize(
    ("answer", "letters"),
    [
        ('["A", "C"]', "AC"),
        ("['A', 'C']", "AC"),
        ("{'A', 'C'}", "AC"),
        (["C", "A"], "AC"),
        ("【A】、【C】", "AC"),
        ("“C”", "C"),
        ("\ufeffB\u200b", "B"),
        ("（Ｂ）", "B"),
    ],
)
def test_answers_are_read_in_any_spelling_of_their_letters(tmp_path: Path, answer: object, letters: str) -> None:
    row = json_row(0, category="Land use classification/Overall Land use classification", answer=answer)
    [sample] = open_data(write_lines(tmp_path / "a.jsonl", row)).samples
    assert sample.answer == letters


@pytest.mark.parametrize("answer", ["В", 2, True, None, float("nan"), [], {"answer": "B"}, ["B", 2], "B B", "green"])
def test_answers_that_are_no_letters_are_not_guessed(tmp_path: Path, answer: object) -> None:
    path = write_lines(tmp_path / "a.jsonl", json_row(0), json_row(1, answer=answer))  # the first is a Cyrillic letter
    assert open_data(path).record.left_out == {"answer is not among the options": 1}


@pytest.mark.parametrize(
    "options",
    [
        "['(A) red', '(B) green']",
        '["(A) red", "(B) green"]',
        {"B": "green", "A": "red"},
        {"A": "red", "B": "green", "C": None, "D": ""},
        "{'A': 'red', 'B': 'green'}",
        ["Ａ．red", "Ｂ．green"],
        "(A) red\\n(B) green",
    ],
)
def test_options_of_tables_and_full_width_letters(tmp_path: Path, options: object) -> None:
    path = write_lines(tmp_path / "a.jsonl", json_row(0) | {"multi-choice options": options})
    [sample] = open_data(path).samples
    assert sample.options == ("(A) red", "(B) green")


@pytest.mark.parametrize("options", [{"A": "red", "B": None, "C": "green"}, {"A": ["red"], "B": ["green"]}])
def test_letters_with_a_gap_or_a_list_for_a_text_cost_their_row(tmp_path: Path, options: object) -> None:
    path = write_lines(tmp_path / "a.jsonl", json_row(0), json_row(1) | {"multi-choice options": options})
    record = open_data(path).record
    assert (record.num_samples, record.left_out) == (1, {"fewer than two options": 1})


@pytest.mark.parametrize("options", [{"A": "red", "C": "green"}, "['(A) red'", "[1, 2]", "{}", "{'A': 'red'}"])
def test_options_that_are_not_understood_cost_their_row(tmp_path: Path, options: object) -> None:
    path = write_lines(tmp_path / "a.jsonl", json_row(0), json_row(1) | {"multi-choice options": options})
    record = open_data(path).record
    assert (record.num_samples, sum(record.left_out.values())) == (1, 1)


def test_a_category_may_have_spaces_around_its_slash(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", json_row(0, category="Object properties / Object color"))
    [sample] = open_data(path).samples
    assert (sample.task, sample.category) == ("object_colour", "Object properties / Object color")


@pytest.mark.parametrize(
    "image",
    [
        base64.encodebytes(jpeg(0)).decode(),  # in lines of 76 characters
        {"bytes": base64.b64encode(jpeg(0)).decode(), "path": "0.png"},
        [{"bytes": base64.b64encode(jpeg(0)).decode(), "path": None}],
        {"bytes": None, "path": "image001"},  # a name that looks like base64
    ],
)
def test_images_in_json_may_be_wrapped_or_in_objects(tmp_path: Path, image: object) -> None:
    (tmp_path / "image001").write_bytes(jpeg(0))
    [sample] = open_data(write_lines(tmp_path / "a.jsonl", json_row(0, image=image))).samples
    assert sample.images[0].read() == jpeg(0)


STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@pytest.mark.parametrize(
    ("kind", "cell"),
    [
        (pa.list_(STRUCT, 1), [{"bytes": jpeg(0), "path": "a"}]),
        (pa.binary_view(), jpeg(0)),
        (pa.string_view(), base64.b64encode(jpeg(0)).decode()),
        (pa.binary(len(jpeg(0))), jpeg(0)),
        (pa.dictionary(pa.int32(), pa.binary()), jpeg(0)),
        (pa.struct([("bytes", pa.binary())]), {"bytes": jpeg(0)}),
        (pa.struct([("bytes", pa.binary()), ("path", pa.string()), ("mode", pa.string())]), {"bytes": jpeg(0)}),
        (pa.struct([("bytes", pa.string()), ("path", pa.string())]), {"bytes": base64.b64encode(jpeg(0)).decode()}),
    ],
    ids=["list", "binary_view", "string_view", "fixed", "dictionary", "no_path", "more", "base64"],
)
@pytest.mark.parametrize("layout", ["arrow", "parquet"])
def test_images_of_other_writers_columns(tmp_path: Path, kind: pa.DataType, cell: object, layout: str) -> None:
    row = vqa_row(0)
    del row["image"]
    table = pa.Table.from_pylist([row]).append_column("image", pa.array([cell], kind))
    path = tmp_path / f"a.{layout}"
    if layout == "parquet":
        try:
            pq.write_table(table, path)
        except pa.ArrowNotImplementedError as error:
            pytest.skip(f"this pyarrow does not write that: {error}")
    else:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    [sample] = open_data(path).samples
    assert sample.images[0].read() == jpeg(0)


def test_a_part_without_bytes_is_half_a_download(tmp_path: Path) -> None:
    write_lines(tmp_path / "set_part0.jsonl", json_row(0))
    (tmp_path / "set_part1.jsonl").write_bytes(b"")
    with pytest.raises(BenchmarkDataError, match=r"set_part1\.jsonl is empty: fetch it again$"):
        open_data(tmp_path)


def test_caption_files_are_detailed_captions_in_their_language(tmp_path: Path) -> None:
    rows = [caption_row(0), caption_row(1, answer=["一个城镇。", " "])]
    english, chinese = open_data(write_arrow(tmp_path / "captions", rows)).samples
    assert (english.sample_id, english.task, english.form) == ("c0", "detailed_captioning", AnswerForm.TEXT)
    assert (english.language, english.references) == ("en", ("A town with 0 parks.",))
    assert (chinese.language, chinese.references) == ("zh", ("一个城镇。",))
    assert english.category == "Image captioning/Detailed Image Captioning"


def test_grounding_files_have_normalised_boxes(tmp_path: Path) -> None:
    rows = [grounding_row(0), grounding_row(1, category="Condition-based Visual Grounding")]
    fine, condition = open_data(write_parquet(tmp_path / "test-00000-of-00001.parquet", rows)).samples
    assert (fine.task, condition.task) == ("fine_grained_grounding", "condition_based_grounding")
    assert fine.box == (0.1, 0.2, 0.3, 0.4)
    assert fine.category == "Fine-grained Visual Grounding"  # byte for byte: macro averages are taken over these


def test_forms_of_answers_follow_from_task_and_options(tmp_path: Path) -> None:
    land_use = "Land use classification/Overall Land use classification"
    rows = [
        vqa_row(0, land_use, answer="CA"),
        vqa_row(1, "Object properties/Object motion state", answer="B")
        | {"multi-choice options": ["(A) Yes", "(B) No"]},
        vqa_row(2),
    ]
    several, yes_no, one = open_data(write_jsonl(tmp_path / "a.jsonl", rows)).samples
    assert (several.form, several.answer) == (AnswerForm.SEVERAL_OF, "AC")
    assert (yes_no.form, yes_no.answer) == (AnswerForm.YES_NO, "B")
    assert one.form is AnswerForm.ONE_OF


@pytest.mark.parametrize("info", [info for info in TASKS.values() if not info.is_own], ids=lambda info: info.short)
def test_every_category_of_the_benchmark_is_known(tmp_path: Path, info: Any) -> None:
    row = two_date_row(0) if info.num_dates == 2 else vqa_row(0)
    row |= {"category": info.category, "l2-category": info.l2_category, "answer": "A", "bbox": [0.1, 0.1, 0.2, 0.2]}
    [sample] = open_data(write_jsonl(tmp_path / "a.jsonl", [row])).samples
    assert sample.task == info.name


# --- what rsvqa build wrote ---


def test_a_built_data_set_is_asked_on_its_test_split(tmp_path: Path) -> None:
    data = open_data(make_built(tmp_path / "set"))
    assert (data.record.layout, data.record.split) == ("rsvqa build", "test")
    assert [sample.sample_id for sample in data.samples] == [
        f"s:{tile}/{short}1" for tile in (3, 4) for short in ("OCL", "OP", "DIC", "FVG")
    ]
    assert {image.read() for sample in data.samples for image in sample.images} == {jpeg(403), jpeg(404)}
    assert [sample.form for sample in data.samples[:4]] == [
        AnswerForm.ONE_OF,
        AnswerForm.YES_NO,
        AnswerForm.TEXT,
        AnswerForm.BOX,
    ]


def test_another_split_and_two_dates_of_a_built_data_set(tmp_path: Path) -> None:
    data = open_data(make_built(tmp_path / "set", later=True), split="train", tasks=["RCCD"])
    assert [[image.read() for image in sample.images] for sample in data.samples] == [
        [jpeg(400 + number), jpeg(500 + number)] for number in range(3)
    ]
    assert data.record.num_other_tasks == 12  # four tasks on three tiles
    assert data.record.num_images == 6


# --- rows with defects ---


def test_rows_with_defects_are_left_out_counted_and_listed(tmp_path: Path) -> None:
    rows = [
        vqa_row(0),
        vqa_row(1, answer="E"),
        vqa_row(2, answer="AB"),
        vqa_row(3, "Colours/Of things"),
        vqa_row(4) | {"multi-choice options": ["(A) red", "(C) green"]},
        vqa_row(5, "Counting/Counting with changing detection"),
        vqa_row(6, question=" "),
        vqa_row(7, image=[{"bytes": b"GIF89a", "path": "7.png"}]),
        vqa_row(0, question="Again?"),
        vqa_row(9, answer="E"),
    ]
    record = open_data(write_jsonl(tmp_path / "a.jsonl", rows)).record
    assert (record.num_rows, record.num_samples) == (10, 1)
    assert record.left_out == {
        "answer is not among the options": 2,
        "several right letters in a task with one": 1,
        "unknown category": 1,
        "options are not lettered (A), (B), …": 1,
        "number of images is 1, its task's is 2": 1,
        "no question": 1,
        "image cannot be read": 1,
        "question id occurs twice": 1,
    }
    assert record.left_out_rows[0] == UnaskedRow(
        where="a.jsonl line 2", reason="answer is not among the options", detail="'E'"
    )
    assert [row.where for row in record.left_out_rows] == [f"a.jsonl line {line}" for line in range(2, 11)]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bbox": [0.3, 0.2, 0.1, 0.4]}, "box is not 0 ≤ min < max ≤ 1"),
        ({"bbox": [0.1, 0.2, 0.3, 1.01]}, "box is not 0 ≤ min < max ≤ 1"),
        ({"bbox": [0.1, 0.2, 0.3]}, "box is not four numbers"),
        ({"bbox": [0.1, 0.2, 0.3, float("nan")]}, "box is not four numbers"),
        ({"image_width": 61}, "image is not of the stated size"),
    ],
)
def test_grounding_rows_with_defects(tmp_path: Path, changes: Row, reason: str) -> None:
    data = write_arrow(tmp_path / "set", [grounding_row(0), grounding_row(1, **changes)])
    record = open_data(data).record
    assert (record.num_samples, record.left_out) == (1, {reason: 1})


def test_an_image_without_bytes_is_left_out(tmp_path: Path) -> None:
    rows = [grounding_row(0), grounding_row(1, image={"bytes": None, "path": "lost.png"})]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    [left_out] = open_data(tmp_path / "a.parquet").record.left_out_rows
    assert (left_out.reason, left_out.detail) == ("image cannot be read", "no bytes, only the name 'lost.png'")


def as_format(kind: str, number: int = 1) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(make_pixels(number)).save(buffer, kind, **({"lossless": True} if kind == "WEBP" else {}))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["WEBP", "TIFF", "BMP", "PNG"])
@pytest.mark.parametrize("layout", ["arrow", "parquet", "jsonl"])
def test_images_of_any_format_are_decoded(tmp_path: Path, layout: str, kind: str) -> None:
    row = vqa_row(0, image=[{"bytes": as_format(kind), "path": "0.jpg"}])
    [sample] = open_data(LAYOUTS[layout](tmp_path, [row])).samples
    assert (decode_image(sample.images[0].read()) == make_pixels(1)).all()


IMAGE_CELLS: dict[str, tuple[pa.DataType, Any]] = {
    "bytes": (pa.binary(), png(1)),
    "a list of bytes": (pa.list_(pa.large_binary()), [png(1)]),
    "a name": (pa.string(), "images/1.png"),
    "a list of names": (pa.list_(pa.string()), ["images/1.png"]),
    "a struct with a name alone": (
        pa.struct({"bytes": pa.binary(), "path": pa.string()}),
        {"bytes": None, "path": "images/1.png"},
    ),
}


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
@pytest.mark.parametrize("cell", IMAGE_CELLS)
def test_images_may_be_plain_bytes_or_files_beside_the_data(tmp_path: Path, cell: str, suffix: str) -> None:
    (tmp_path / "set/images").mkdir(parents=True)
    (tmp_path / "set/images/1.png").write_bytes(png(1))
    kind, value = IMAGE_CELLS[cell]
    columns = {name: [part] for name, part in vqa_row(0).items() if name != "image"}
    table = pa.table({**columns, "image": pa.array([value], kind)})
    path = tmp_path / f"set/data.{suffix}"
    if suffix == "parquet":
        try:
            pq.write_table(table, path)
        except pa.ArrowNotImplementedError as error:
            pytest.skip(f"this pyarrow does not write that: {error}")
    else:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
    [sample] = open_data(tmp_path / "set").samples
    assert sample.images[0].read() == png(1)


@pytest.mark.parametrize(
    "images",
    [
        {"image": "images/1.png"},
        {"image_path": "images/1.png"},
        {"path": "images/1.png"},
        {"image": None, "path": "images/1.png"},
        {"image": "data:image/png;base64," + base64.b64encode(png(1)).decode()},
    ],
    ids=str,
)
def test_lines_of_json_may_name_their_images(tmp_path: Path, images: Row) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/1.png").write_bytes(png(1))
    row = {name: value for name, value in vqa_row(0).items() if name not in ("image", "path")}
    path = tmp_path / "set" / "a.jsonl"
    path.parent.mkdir()
    path.write_text(json.dumps(row | images), encoding="utf-8")
    [sample] = open_data(path).samples
    assert sample.images[0].read() == png(1)


@pytest.mark.parametrize("name", ["lost.png", "../secret.png", "/secret.png", "a\0b"])
def test_a_named_image_is_looked_for_beside_the_data_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.png").write_bytes(png(1))
    named = str(tmp_path / "secret.png") if name.startswith("/") else name
    path = tmp_path / "a/set/a.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(json.dumps(vqa_row(i) | {"image": named}) for i in range(2)), encoding="utf-8")
    with pytest.raises(BenchmarkDataError, match=r"none of 2 rows can be used.*no bytes, only the name"):
        open_data(path)


@pytest.mark.parametrize(
    ("answer", "options"),
    [
        ("b", ["(A) red", "(B) blue"]),
        ("(B)", ["A. red", "B. blue"]),
        ("B.", ["（A）red", "（B） blue"]),
        ("[b]", ["A) red", "B) blue"]),
        ("B", "A. red\nB. blue\nSelect the best answer for …"),
        ("B", "Choices:\n（A）red\n（B）blue"),
        ("B", "A. red B. blue"),
        ("B", "Choices:\n（A）red （B）blue\nSelect the best answer for …"),
        ("Ｂ", ["(A) red", "(B) blue"]),
        (["B"], ["(A) red", "(B) blue"]),
    ],
)
def test_other_ways_of_lettering_become_the_benchmarks(tmp_path: Path, answer: object, options: object) -> None:
    row = json.loads(write_jsonl(tmp_path / "a.jsonl", [vqa_row(0)]).read_text(encoding="utf-8"))
    row |= {"multi-choice options": options, "answer": answer}
    (tmp_path / "a.jsonl").write_text(json.dumps(row), encoding="utf-8")
    [sample] = open_data(tmp_path / "a.jsonl").samples
    assert (sample.options, sample.answer) == (("(A) red", "(B) blue"), "B")


def test_a_broken_line_is_a_row_that_is_left_out(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", vqa_rows(2))
    path.write_text(path.read_text() + '{"index": 2, "question": \n[]\n', encoding="utf-8")
    assert open_data(path).record.left_out == {"row cannot be read": 2}


@pytest.mark.parametrize(
    "options",
    [
        "odd",
        "",
        "red (A) green (B) blue",
        "red (A)\ngreen (B)",
        {"A": "red"},
        7,
        [["(A) red"], "(B) green"],
        "(A)",
        "A. J. B. K.",
    ],
)
def test_an_odd_cell_of_options_costs_its_row_alone(tmp_path: Path, options: object) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", vqa_rows(1))
    odd = json.loads(path.read_text(encoding="utf-8")) | {"index": 1, "multi-choice options": options}
    path.write_text(path.read_text(encoding="utf-8") + json.dumps(odd) + "\n", encoding="utf-8")
    data = open_data(path)
    assert [sample.sample_id for sample in data.samples] == ["0"]
    [row] = data.record.left_out_rows
    assert row.where == "a.jsonl line 2"
    assert row.reason in ("fewer than two options", "options are not lettered (A), (B), …")


def test_other_odd_cells_cost_their_rows_alone(tmp_path: Path) -> None:
    rows = [vqa_row(0), vqa_row(1, "Colours", task=["object_colour"]), vqa_row(2)]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[2] = lines[2].replace("Which colour", r"\ud800 Which colour")
    path.write_text("\n".join(lines), encoding="utf-8")
    assert [(row.reason, row.detail) for row in open_data(path).record.left_out_rows] == [
        ("unknown category", "'Colours'"),
        ("row cannot be read", "a text holds half a character (a lone surrogate)"),
    ]


def test_questions_that_a_review_rejected_are_not_asked(tmp_path: Path) -> None:
    rows = [vqa_row(0), vqa_row(1, review="rejected"), vqa_row(2, review="accepted")]
    assert open_data(write_jsonl(tmp_path / "a.jsonl", rows)).record.left_out == {"review: rejected": 1}


def test_ids_come_from_a_column_without_repetition(tmp_path: Path) -> None:
    rows = [caption_row(number, question_id="same") for number in range(3)]
    assert [s.sample_id for s in open_data(write_arrow(tmp_path / "set", rows)).samples] == ["0", "1", "2"]


# --- which questions ---


def test_tasks_by_name_short_name_and_level(tmp_path: Path) -> None:
    categories = ["Object properties/Object color", "Counting/Overall counting", "Complex reasoning/Route planning"]
    data = write_jsonl(tmp_path / "a.jsonl", [vqa_row(i, categories[i % 3]) for i in range(9)])

    def counts(*tasks: str) -> dict[str, int]:
        return dict(Counter(sample.task for sample in open_data(data, tasks=tasks).samples))

    assert counts("OCL") == {"object_colour": 3}
    assert counts("reasoning") == {"route_planning": 3}
    assert counts("Object Properties", "overall-counting") == {"object_colour": 3, "overall_counting": 3}
    with pytest.raises(
        BenchmarkDataError, match="holds no question of LUC; it has object_colour, overall_counting, route_plan"
    ):
        counts("LUC")


def test_limit_takes_the_first_and_sample_some_of_each_task_by_the_seed(tmp_path: Path) -> None:
    categories = ["Object properties/Object color", "Counting/Overall counting"]
    data = write_jsonl(tmp_path / "a.jsonl", [vqa_row(i, categories[i % 2]) for i in range(20)])

    def ids(**changes: Any) -> list[int]:
        return [int(sample.sample_id) for sample in open_data(data, **changes).samples]

    assert ids(limit=3) == [0, 1, 2]
    drawn = ids(per_task=4)
    assert drawn == sorted(drawn)
    assert [sum(i % 2 == parity for i in drawn) for parity in (0, 1)] == [4, 4]
    assert ids(per_task=4) == drawn
    assert ids(per_task=4, seed=1) != drawn
    assert ids(per_task=4, tasks=["OCL"]) == [i for i in drawn if i % 2 == 0]  # whichever other tasks are asked
    assert ids(per_task=4, limit=5) == drawn[:5]
    assert ids(per_task=11) == list(range(20))
    assert open_data(data, per_task=4).record.num_not_drawn == 12


# --- what is not there ---


def test_what_datasets_has_cached_beside_its_data_is_not_data(tmp_path: Path) -> None:
    folder = write_arrow(tmp_path / "set", vqa_rows(2))
    (folder / "cache-0123456789abcdef.arrow").write_bytes((folder / "data-00000-of-00001.arrow").read_bytes())
    assert open_data(folder).record.num_rows == 2


def test_splits_are_chosen_by_name(tmp_path: Path) -> None:
    for split, count in (("train", 2), ("test", 1)):
        write_arrow(tmp_path / "set" / split, [grounding_row(i) for i in range(count)])
    assert open_data(tmp_path / "set").record.split == "test"
    assert open_data(tmp_path / "set", split="train").record.num_samples == 2
    with pytest.raises(BenchmarkDataError, match="has no split 'val'; it has test, train"):
        open_data(tmp_path / "set", split="val")


def test_a_choice_of_splits_without_a_test_split_is_the_users(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write_arrow(tmp_path / "set" / split, [grounding_row(0)])
    with pytest.raises(BenchmarkDataError, match="has the splits train, val; choose one with `split`"):
        open_data(tmp_path / "set")


def test_half_a_download_is_not_taken_for_the_whole(tmp_path: Path) -> None:
    folder = write_arrow(tmp_path / "set", vqa_rows(6), num_shards=3)
    first, second, _ = sorted(folder.glob("*.arrow"))
    second.unlink()
    with pytest.raises(
        BenchmarkDataError, match=r"set lacks 1 of the 3 files data-…, the first is number 1: fetch them, or"
    ):
        open_data(folder)
    assert open_data(first).record.num_rows == 2  # 6 rows in 3 files


@pytest.mark.parametrize("first", [0, 1])
def test_parts_that_only_number_themselves_are_all_there_up_to_the_last(tmp_path: Path, first: int) -> None:
    for number in range(first, first + 12):
        write_jsonl(tmp_path / "set" / f"lite_part{number}.jsonl", [vqa_row(number)])
    assert open_data(tmp_path / "set").record.num_samples == 12
    (tmp_path / "set/lite_part7.jsonl").unlink()
    with pytest.raises(BenchmarkDataError, match=r"set lacks 1 of the 12 files lite_part…, the first is number 7: fet"):
        open_data(tmp_path / "set")
    assert open_data(tmp_path / "set/lite_part8.jsonl").record.num_samples == 1


def test_offline_and_not_cached_is_one_line_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(BenchmarkDataError) as caught:
        open_data("xlrs-lite")
    message = str(caught.value)
    assert "\n" not in message
    assert "hf download initiacms/XLRS-Bench-lite --repo-type dataset" in message
    assert "a local copy as `data`" in message


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("nothing", None, "no data at .*nothing: expected one of xlrs-lite, .* or a folder"),
        ("empty", {}, "holds no data: expected .arrow, .parquet or .jsonl files"),
        ("a", {"x.arrow": b"no arrow"}, "x.arrow: not a readable arrow file"),
        ("b", {"x.parquet": b"no parquet"}, "x.parquet: not a readable parquet file.*fetch it again"),
        (
            "c",
            {"x.jsonl": b"{}\n"},
            r"none of 1 rows can be used; the first, x.jsonl line 1: unknown category \(None\)",
        ),
        ("d", {"x.jsonl": b"\n"}, "holds no rows"),
        ("e", {"x.jsonl": b""}, "is empty: fetch it again"),
    ],
)
def test_bad_data_is_named(tmp_path: Path, name: str, content: dict[str, bytes] | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).mkdir()
        for file, data in content.items():
            (tmp_path / name / file).write_bytes(data)
    with pytest.raises(BenchmarkDataError, match=message):
        open_data(tmp_path / name)


def test_files_without_images_are_named(tmp_path: Path) -> None:
    import datasets

    datasets.Dataset.from_list([{"index": 0, "image": 7}]).save_to_disk(tmp_path / "names")
    with pytest.raises(BenchmarkDataError, match="column 'image' is int64; expected struct<bytes, path>, bytes, nam"):
        open_data(tmp_path / "names")
    datasets.Dataset.from_list([{"index": 0}]).save_to_disk(tmp_path / "none")
    with pytest.raises(BenchmarkDataError, match="no column 'image'; it has index"):
        open_data(tmp_path / "none")
