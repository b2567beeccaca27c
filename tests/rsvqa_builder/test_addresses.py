"""Addresses without the keys that they carry, and what a build stores of them."""

from __future__ import annotations

import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rsvqa.rsvqa_builder.addresses import without_keys
from tests.make_sources import FARM, make_scene
from tests.run_build import build, read_report, rsvqa, tree_digest

SIGNED = "?X-Amz-Credential=AKIASENTINEL%2F2026/us-east-1&X-Amz-Signature=SENTINELA&id=3&se=2026-01-01T00:00:00.5Z"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("https://h/a.tif?X-Amz-Signature=0f&X-Amz-Date=1", "https://h/a.tif"),
        ("https://h/a.tif?id=3&sv=2020-08-04&sr=b&sig=x%3D", "https://h/a.tif?id=3"),
        ("'https://h/a.tif?sig=x': gone", "'https://h/a.tif': gone"),
        ("see https://h/a.tif?sig=x, or not", "see https://h/a.tif, or not"),
        ("/vsicurl/https://me:pa:ss@h/a.tif", "/vsicurl/https://h/a.tif"),
        ("https://h/wms?LAYERS=a&TOKEN=x&access_token=y", "https://h/wms?LAYERS=a"),
        ("https://h/a.tif?signed=1&monkey=2", "https://h/a.tif?signed=1&monkey=2"),
        ("AccountName=a;AccountKey=abc==;BlobEndpoint=b", "AccountName=a;AccountKey=…;BlobEndpoint=b"),
        ("what is it? a=b", "what is it? a=b"),
        ("s3://bucket/a b?.tif", "s3://bucket/a b?.tif"),
        ("me@example.org", "me@example.org"),
        ("", ""),
    ],
)
def test_what_is_told_of_an_address_holds_no_key(text: str, told: str) -> None:
    assert without_keys(text) == told
    assert without_keys(told) == told


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("scene")
    make_scene(folder, FARM._replace(name="farm", width=300, height=300))
    return (folder / "farm.tif").read_bytes()


@pytest.fixture(scope="module")
def host(scene: bytes) -> Iterator[str]:
    """A server that has one file by any name that ends with "farm.tif"."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.partition("?")[0].endswith("farm.tif"):
                self.send_error(404)
                return
            found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            first, last = (int(found[1]), min(int(found[2]), len(scene) - 1)) if found else (0, len(scene) - 1)
            self.send_response(206 if found else 200)
            if found:
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(scene)}")
            self.send_header("Content-Length", str(last + 1 - first))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(scene[first : last + 1])

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_build_tells_and_stores_no_key_of_an_address(host: str, tmp_path: Path) -> None:
    given = (f"http://me:SENTINEL@{host}/farm.tif{SIGNED}", f"http://{host}/gone.tif{SIGNED}")
    (tmp_path / "list.txt").write_text("\n".join([*given, f"http://{host}/farm.tif?id=3&sig=SENTINELB"]))
    (tmp_path / "sources.toml").write_text(
        "".join(f"[[source]]\nname = '{number}'\nroot = '{one}'\n" for number, one in enumerate(given[:1]))
    )
    for number, src in enumerate((given[0], given[1], tmp_path / "list.txt", tmp_path / "sources.toml")):
        out = tmp_path / f"out{number}"
        run = build(src, out, "--complete", "yes", "--tasks", "OC")
        assert run.code == (2 if src == given[1] else 0)
        assert "SENTINEL" not in run.out + run.err
        told = rsvqa("labels", "--src", src, "--workers", 0)
        assert "SENTINEL" not in told.out + told.err
        for path in [path for path in out.rglob("*") if path.is_file()]:
            assert b"SENTINEL" not in path.read_bytes(), path


def test_a_build_goes_on_with_an_address_that_is_signed_anew(host: str, tmp_path: Path) -> None:
    first = build(f"http://{host}/farm.tif?sig=SENTINELA", tmp_path / "set", "--complete", "yes", "--shard-of", "0/1")
    assert first.code == 0
    again = build(f"http://{host}/farm.tif?sig=SENTINELB", tmp_path / "set", "--complete", "yes")
    assert (again.code, again.err) == (0, "1 of 1 tiles are done already\n")
    plain = build(f"http://{host}/farm.tif", tmp_path / "plain", "--complete", "yes")
    assert plain.code == 0
    assert tree_digest(tmp_path / "set") == tree_digest(tmp_path / "plain")


def test_entries_of_a_list_that_differ_only_by_their_keys_are_one_scene(host: str, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"http://{host}/farm.tif?sig=A\nhttp://{host}/farm.tif?sig=B\n")
    assert build(tmp_path / "list.txt", tmp_path / "set", "--complete", "yes").code == 0
    report = read_report(tmp_path / "set")
    assert report["left_out"] == [
        {
            "path": f"/vsicurl/http://{host}/farm.tif",
            "reason": "it differs only by its keys from an entry before it in list.txt",
        }
    ]
    assert list(report["scenes"]) == ["farm"]
