"""Encodings of label files."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsvqa.rsvqa_builder.label_files import texts
from rsvqa.rsvqa_builder.label_files.texts import decoded, is_utf8
from rsvqa.rsvqa_builder.labels.raw import LabelError

GBK_XML = '<?xml version="1.0" encoding="GBK"?><a>船</a>'


@pytest.mark.parametrize(
    ("content", "text", "note"),
    [
        ("a,Straße".encode(), "a,Straße", ""),
        ("a,船".encode("utf-8-sig"), "a,船", ""),
        ("a,船".encode("utf-16"), "a,船", ""),
        ("a,Straße".encode("cp1252"), "a,Straße", "it is not UTF-8: read as cp1252"),
        ("a,船舶,b".encode("gbk"), "a,船舶,b", "it is not UTF-8: read as gb18030"),
        (GBK_XML.encode("gbk"), GBK_XML, ""),
        (b"", "", ""),
    ],
)
def test_text_is_read_as_declared_or_as_it_looks(content: bytes, text: str, note: str) -> None:
    assert decoded(content) == (text, note)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'<?xml version="1.0" encoding="GBK"?><a>\xff\xff</a>', "not the GBK text that it declares"),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "unknown encoding 'klingon'"),
        (b"\x89\xff\0\0", "holds zero bytes"),
    ],
)
def test_bytes_that_are_no_text_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(LabelError, match=message):
        decoded(content)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", True),
        ("a,Straße,船".encode(), True),
        ("a,Straße".encode("cp1252"), False),
        ("a,船舶,b".encode("gbk"), False),
        ("船".encode()[:-1], False),  # cut in a character
    ],
)
@pytest.mark.parametrize("piece", [1, 2, 1000])
def test_utf8_is_known_piece_by_piece(
    content: bytes, expected: bool, piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "_PIECE", piece)
    path = tmp_path / "labels.geojson"
    path.write_bytes(content)
    assert is_utf8(path) is expected


def test_a_file_that_is_not_there_has_no_encoding(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="cannot be read: No such file"):
        is_utf8(tmp_path / "labels.geojson")
