"""Text of label files in the encoding that they declare, else UTF-8, else the one that their bytes speak for."""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NamedTuple
from xml.etree import ElementTree

from rsvqa.rsvqa_builder.labels.raw import LabelError

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_FOREIGN = re.compile(rb"[\x80-\xff]+")
_TWO_BYTES = re.compile(rb"(?:[\xa1-\xf7][\xa1-\xfe])+")
_MAX_BLANK_BYTES = 64
_PIECE = 1 << 20
"""Bytes of a file that are looked at together."""

PLAIN_STEMS = frozenset({"readme", "license", "licence", "sources", "requirements", "classes"})
"""Stems of texts in folders of labels that hold none."""

_CHINESE, _WESTERN = "gb18030", "cp1252"


class LabelText(NamedTuple):
    """The text of a file, and a note when its encoding had to be found out."""

    text: str
    note: str = ""


def read_text(path: Path) -> LabelText:
    """Return a file's text; see `decoded`.

    Raises:
        LabelError: the file cannot be read, or is not text in the encoding that it declares.
    """
    return decoded(read_bytes(path))


def read_bytes(path: Path) -> bytes:
    """Return a file's content, unpacked where its name ends with ".gz".

    Raises:
        LabelError: the file cannot be read.
    """
    try:
        with opened(path) as file:
            return file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise LabelError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error


def is_utf8(path: Path) -> bool:
    """Return whether a file is text in UTF-8, reading it piece by piece.

    Raises:
        LabelError: the file cannot be read.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with opened(path) as file:
            while piece := file.read(_PIECE):
                decoder.decode(piece)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    except (OSError, EOFError, zlib.error) as error:
        raise LabelError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return True


def opened(path: Path) -> BinaryIO | gzip.GzipFile:
    """Open a file's content, unpacked where its name ends with ".gz"."""
    return gzip.open(path, "rb") if path.suffix.casefold() == ".gz" else path.open("rb")


def read_xml(path: Path) -> tuple[ElementTree.Element, str]:
    """Return the root element of an XML file, and a note on its encoding.

    Raises:
        LabelError: not XML, or XML with a document type declaration.
    """
    text, note = read_text(path)
    # Entities can make a small file expand to gigabytes; a zero byte would be text that was not decoded.
    if "<!DOCTYPE" in text or "<!ENTITY" in text or "\0" in text:
        raise LabelError("XML with a document type declaration, entities or zero bytes is not read")
    try:
        # the parser must not decode again by the declaration
        return ElementTree.fromstring(_DECLARATION.sub("", text.removeprefix("\ufeff"))), note  # noqa: S314
    except (ElementTree.ParseError, ValueError) as error:
        raise LabelError(f"not well-formed XML: {error}") from error


def first_beside(path: Path) -> Path | None:
    """Return the first file of the folder with a file's suffix that is not blank; None when all are."""
    return _first_filled(path.parent, path.suffix.casefold(), path.parent.stat().st_mtime_ns)


# Empty files are many where pictures hold nothing. The key follows what is in the folder.
@lru_cache(maxsize=64)
def _first_filled(folder: Path, suffix: str, version: int) -> Path | None:  # noqa: ARG001
    names = sorted(path for path in folder.iterdir() if path.suffix.casefold() == suffix and path.is_file())
    return next((path for path in names if path.stem.casefold() not in PLAIN_STEMS and not is_blank(path)), None)


def is_blank(path: Path) -> bool:
    """Tell whether a file is empty, or holds nothing but white space; one that cannot be read is not."""
    try:
        return path.stat().st_size <= _MAX_BLANK_BYTES and not path.read_bytes().strip()
    except OSError:
        return False


def decoded(content: bytes) -> LabelText:
    """Return bytes as text: by their byte order mark, by an XML declaration, as UTF-8, or as what they look like.

    What is not UTF-8 and declares nothing is Chinese where all foreign characters are pairs of bytes of GB 2312, and
    else Western European.

    Raises:
        LabelError: the bytes are not text in the encoding that they declare.
    """
    mark = next((name for sign, name in _MARKS if content.startswith(sign)), "")
    declared = _DECLARED.match(content[:1024])
    encoding = mark or (declared.group(1).decode("ascii") if declared else "utf-8")
    try:
        return LabelText(content.decode(encoding))
    except LookupError:
        raise LabelError(f"it declares the unknown encoding {encoding!r}: write it in UTF-8") from None
    except UnicodeDecodeError as error:
        if mark or (declared and encoding.casefold() not in ("utf-8", "utf8", "us-ascii", "ascii")):
            raise LabelError(f"it is not the {encoding} text that it declares: {error.reason}") from error
    if b"\0" in content:
        raise LabelError("it is not text: it holds zero bytes")
    is_chinese = all(_TWO_BYTES.fullmatch(run) for run in _FOREIGN.findall(content))
    encoding = _CHINESE if is_chinese else _WESTERN
    return LabelText(content.decode(encoding, errors="replace"), f"it is not UTF-8: read as {encoding}")
