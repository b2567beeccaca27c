"""Encodings of label files."""

from __future__ import annotations

import pytest

from rsvqa.rsvqa_builder.label_files.texts import decoded
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
